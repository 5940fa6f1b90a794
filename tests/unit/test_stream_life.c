/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void expect_end(struct rig *rig, uint64_t stream, uint16_t flags)
{
	struct zrx_event event;

	rig_receive(rig, &event, 1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_END);
	CHECK_EQUAL(event.stream, stream);
	CHECK_EQUAL(event.flags, flags);
	CHECK(!event.buffer.area && !event.error);
}

static void expect_refusal(struct rig *rig, int result, int code, uint32_t stage)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK_EQUAL(result, code);
	CHECK_EQUAL(zrx_receiver_error(rig->receiver, &error), 0);
	CHECK_EQUAL(error.code, code);
	CHECK_EQUAL(error.stage, stage);
	CHECK(error.message[0]);
}

static void test_add_refusals(uint32_t engine)
{
	struct {
		struct zrx_stream_options options;
		uint64_t tail;
	} newer = {ZRX_STREAM_OPTIONS_INIT, 1};
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_receiver *rx;
	struct rig rig;
	int other[2], copy;
	uint64_t stream = 7;

	rig_open(&rig, engine, NULL);
	rx = rig.receiver;
	tcp_pair(other);
	newer.options.size = sizeof(newer);
	expect_refusal(&rig, zrx_receiver_add(rx, other[0], &newer.options, &stream), -E2BIG,
		       ZRX_STAGE_OPTIONS);
	options.flags = 1;
	expect_refusal(&rig, zrx_receiver_add(rx, other[0], &options, &stream), -EINVAL,
		       ZRX_STAGE_OPTIONS);
	options.flags = options.size = 0;
	expect_refusal(&rig, zrx_receiver_add(rx, other[0], &options, &stream), -EINVAL,
		       ZRX_STAGE_OPTIONS);
	copy = dup(rig.pair[0]);
	expect_refusal(&rig, zrx_receiver_add(rx, rig.pair[0], NULL, &stream), -EEXIST,
		       ZRX_STAGE_SOCKET);
	expect_refusal(&rig, zrx_receiver_add(rx, copy, NULL, &stream), -EEXIST, ZRX_STAGE_SOCKET);
	expect_refusal(&rig, zrx_receiver_add(rx, -1, NULL, &stream), -EBADF, ZRX_STAGE_SOCKET);
	CHECK_EQUAL(stream, 7); /* untouched */
	CHECK_EQUAL(rig_stats(&rig).streams, 1);
	close(copy);
	rig_close(&rig);
	close_pair(other);
}

static void test_out_of_descriptors(uint32_t engine)
{
	struct rlimit limit, low;
	struct rig rig;
	int other[2], before;
	uint64_t stream;

	rig_open(&rig, engine, NULL);
	tcp_pair(other);
	before = open_descriptors();
	CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
	low = limit;
	low.rlim_cur = (rlim_t)dup(0);
	close((int)low.rlim_cur);
	CHECK(!setrlimit(RLIMIT_NOFILE, &low));
	expect_refusal(&rig, zrx_receiver_add(rig.receiver, other[0], NULL, &stream), -EMFILE,
		       ZRX_STAGE_SOCKET);
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_EQUAL(open_descriptors(), before);
	CHECK_EQUAL(zrx_receiver_add(rig.receiver, other[0], NULL, &stream), 0);
	rig_close(&rig);
	close_pair(other);
}

/* Removed, before the first receive and after; and added again as another stream. */
static void test_remove(uint32_t engine)
{
	struct rig rig;
	uint64_t again;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, rig.stream), 0);
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, rig.stream), -ENOENT);
	expect_end(&rig, rig.stream, ZRX_END_REMOVED);
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, rig.stream), -ENOENT);
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, 0), -ENOENT);
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, UINT64_MAX), -ENOENT);
	CHECK_EQUAL(rig_stats(&rig).streams, 0);

	send_bytes(rig.pair[1], "waits", 5);
	CHECK_EQUAL(zrx_receiver_add(rig.receiver, rig.pair[0], NULL, &again), 0);
	CHECK(again != rig.stream);
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, rig.stream), -ENOENT);
	rig.stream = again;
	for (int left = 5; left;) {
		struct zrx_event event;

		rig_receive(&rig, &event, 1);
		CHECK_EQUAL(event.stream, again);
		left -= (int)event.buffer.length;
		CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	}
	CHECK_EQUAL(zrx_receiver_remove(rig.receiver, again), 0);
	expect_end(&rig, again, ZRX_END_REMOVED);
	rig_close(&rig);
}

/* The peer's end and the receiver's own side: each stands alone. */
static void test_half_closed(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;
	char byte;

	rig_open(&rig, engine, NULL);
	CHECK(!shutdown(rig.pair[0], SHUT_WR));
	CHECK_EQUAL(read(rig.pair[1], &byte, 1), 0);
	event = rig_message(&rig, "still heard");
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	CHECK(!shutdown(rig.pair[1], SHUT_WR));
	expect_end(&rig, rig.stream, 0);
	rig_close(&rig);
}

/* The receiver's reference is gone with the end event: now a close is a close. */
static void test_end_lets_go(uint32_t engine)
{
	struct rig rig;
	int before;
	char byte;

	before = open_descriptors();
	rig_open(&rig, engine, NULL);
	CHECK(!shutdown(rig.pair[1], SHUT_WR));
	expect_end(&rig, rig.stream, 0);
	close(rig.pair[0]);
	alarm(20); /* bounds the read */
	CHECK_EQUAL(read(rig.pair[1], &byte, 1), 0);
	alarm(0);
	close(rig.pair[1]);
	CHECK_EQUAL(zrx_receiver_close(rig.receiver), 0);
	CHECK_EQUAL(open_descriptors(), before);
}

static void *use_elsewhere(void *argument)
{
	struct rig *rig = argument;
	struct zrx_event event;
	uint64_t stream;

	CHECK_EQUAL(zrx_receiver_add(rig->receiver, rig->pair[1], NULL, &stream), -EPERM);
	CHECK_EQUAL(zrx_receiver_remove(rig->receiver, rig->stream), -EPERM);
	CHECK_EQUAL(zrx_receiver_receive(rig->receiver, &event, 1, 0), -EPERM);
	expect_refusal(rig, -EPERM, -EPERM, ZRX_STAGE_THREAD);
	CHECK_EQUAL(zrx_receiver_wake(rig->receiver), 0);
	CHECK_EQUAL(rig_stats(rig).streams, 1);
	return NULL;
}

static void test_threads(uint32_t engine)
{
	struct zrx_event event;
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 1, 0), 0);
	CHECK(!pthread_create(&thread, NULL, use_elsewhere, &rig));
	pthread_join(thread, NULL);
	event = rig_message(&rig, "the owner's");
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

int main(void)
{
	for_each_engine(test_add_refusals);
	for_each_engine(test_out_of_descriptors);
	for_each_engine(test_remove);
	for_each_engine(test_half_closed);
	for_each_engine(test_end_lets_go);
	for_each_engine(test_threads);
	return 0;
}
