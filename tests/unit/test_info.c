/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static void test_info(uint32_t engine)
{
	struct zrx_info info = {.size = sizeof(info)};
	struct rig rig;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL(zrx_receiver_info(rig.receiver, &info), 0);
	CHECK_EQUAL(info.engine, engine);
	CHECK_EQUAL(info.zero_copy, 0);
	CHECK_EQUAL(info.area_bytes, 2 << 20);
	CHECK(info.area_kind != ZRX_AREA_AUTO);
	CHECK(info.buffer_bytes >= 4096 && !(info.buffer_bytes & (info.buffer_bytes - 1)));
	CHECK_EQUAL(!info.ring_entries, engine == ZRX_ENGINE_RECV);
	CHECK_EQUAL(!info.refill_entries, engine == ZRX_ENGINE_RECV);
	CHECK(!info.interface[0]);
	rig_close(&rig);
}

/* What an older caller has no room for is not written. */
static void test_short_structs(uint32_t engine)
{
	struct zrx_stats stats;
	struct zrx_info info;
	struct zrx_error error = {0};
	struct zrx_event event;
	struct rig rig;

	rig_open(&rig, engine, NULL);
	event = rig_message(&rig, "12345");
	memset(&stats, 0x55, sizeof(stats));
	stats.size = offsetof(struct zrx_stats, buffers);
	CHECK_EQUAL(zrx_receiver_stats(rig.receiver, &stats), 0);
	CHECK_EQUAL(stats.bytes, 5);
	CHECK_EQUAL(stats.buffers, 0x5555555555555555);
	memset(&info, 0x55, sizeof(info));
	info.size = offsetof(struct zrx_info, zero_copy);
	CHECK_EQUAL(zrx_receiver_info(rig.receiver, &info), 0);
	CHECK_EQUAL(info.engine, engine);
	CHECK_EQUAL(info.zero_copy, 0x55555555);
	stats.size = info.size = 0;
	CHECK_EQUAL(zrx_receiver_stats(rig.receiver, &stats), -EINVAL);
	CHECK_EQUAL(zrx_receiver_info(rig.receiver, &info), -EINVAL);
	CHECK_EQUAL(zrx_receiver_error(rig.receiver, &error), -EINVAL);
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

static struct zrx_receiver *to_wake;

static void wake(int number)
{
	(void)number;
	zrx_receiver_wake(to_wake);
}

/* From a signal handler, while the receiver sleeps: whether EINTR or 0, it returns. */
static void test_wake_from_signal(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;

	rig_open(&rig, engine, NULL);
	to_wake = rig.receiver;
	CHECK(signal(SIGALRM, wake) != SIG_ERR);
	alarm(1);
	CHECK(zrx_receiver_receive(rig.receiver, &event, 1, -1) <= 0);
	/* Wakes merge, and one that came before is not lost. */
	zrx_receiver_receive(rig.receiver, &event, 1, 0);
	zrx_receiver_wake(rig.receiver);
	zrx_receiver_wake(rig.receiver);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 1, -1), 0);
	CHECK(rig_stats(&rig).wakes >= 1);
	rig_close(&rig);
}

static int readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms);
}

/* An engine may look once more after traffic, but not for ever. */
static void becomes_quiet(struct rig *rig)
{
	struct zrx_event event;
	int rounds = 0;

	while (readable(zrx_receiver_fd(rig->receiver), 200)) {
		CHECK_EQUAL(zrx_receiver_receive(rig->receiver, &event, 1, 0), 0);
		CHECK(rounds++ < 5);
	}
}

/* The descriptor: quiet when there is nothing, readable by data, by a wake, by an add. */
static void test_fd(uint32_t engine)
{
	struct zrx_event events[4];
	struct rig rig;
	int other[2], fd;
	uint64_t stream;

	rig_open(&rig, engine, NULL);
	fd = zrx_receiver_fd(rig.receiver);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, events, 4, 0), 0);
	CHECK_EQUAL(zrx_receiver_fd(rig.receiver), fd);
	becomes_quiet(&rig);
	send_bytes(rig.pair[1], "data", 4);
	CHECK_EQUAL(readable(fd, 5000), 1);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, events, 4, 0), 1);
	CHECK_EQUAL(zrx_event_release(events, 1), 0);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, events, 4, 0), 0);
	becomes_quiet(&rig);
	zrx_receiver_wake(rig.receiver);
	CHECK_EQUAL(readable(fd, 5000), 1);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, events, 4, 0), 0);
	tcp_pair(other);
	send_bytes(other[1], "more", 4);
	CHECK_EQUAL(zrx_receiver_add(rig.receiver, other[0], NULL, &stream), 0);
	CHECK_EQUAL(readable(fd, 5000), 1);
	rig_receive(&rig, events, 1);
	CHECK_EQUAL(events[0].stream, stream);
	CHECK_EQUAL(zrx_event_release(events, 1), 0);
	rig_close(&rig);
	close_pair(other);
}

int main(void)
{
	for_each_engine(test_info);
	for_each_engine(test_short_structs);
	for_each_engine(test_wake_from_signal);
	for_each_engine(test_fd);
	return 0;
}
