/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LOOPS 300

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void test_arguments(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 0, 0), -EINVAL);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 65537, 0), -EINVAL);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, NULL, 1, 0), -EINVAL);
	CHECK_EQUAL(zrx_receiver_receive(NULL, &event, 1, 0), -EINVAL);
	CHECK_EQUAL(zrx_receiver_close(NULL), 0);
	CHECK_EQUAL(zrx_receiver_open(NULL, NULL, NULL), -EINVAL);
	rig_close(&rig);
}

/* The kernel may interrupt a wait for its own business (a ring that was closed before): go on. */
static int receive_uninterrupted(struct rig *rig, struct zrx_event *event, int64_t timeout_ns)
{
	int64_t end = now_ns() + timeout_ns;
	int result;

	do
		result = zrx_receiver_receive(rig->receiver, event, 1, end - now_ns());
	while (result == -EINTR && now_ns() < end);
	return result;
}

static void test_timeouts(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;
	int64_t begun;

	rig_open(&rig, engine, NULL);
	begun = now_ns();
	for (int i = 0; i < 100; i++)
		CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 1, 0), 0);
	CHECK(now_ns() - begun < 1000000000);
	begun = now_ns();
	CHECK_EQUAL(receive_uninterrupted(&rig, &event, 150000000), 0);
	CHECK(now_ns() - begun >= 150000000);
	CHECK(now_ns() - begun < 3000000000);
	rig_close(&rig);
}

static void ignore(int number)
{
	(void)number;
}

static void test_interrupted(uint32_t engine)
{
	struct sigaction action = {.sa_handler = ignore};
	struct itimerval soon = {.it_value = {.tv_usec = 100000}};
	struct zrx_event event;
	struct rig rig;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 1, 0), 0);
	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 1, -1), -EINTR);
	event = rig_message(&rig, "nothing is lost");
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

/* No event is written beyond the capacity, and what has no room comes with the next call. */
static void test_capacity(uint32_t engine)
{
	struct zrx_event events[2], marker;
	struct rig rig;
	int messages = 0;

	rig_open(&rig, engine, NULL);
	memset(&marker, 0x55, sizeof(marker));
	for (int i = 0; i < 5; i++) {
		send_bytes(rig.pair[1], "x", 1);
		usleep(2000);
	}
	while (messages < 5) {
		events[1] = marker;
		rig_receive(&rig, events, 1);
		CHECK(!memcmp(&events[1], &marker, sizeof(marker)));
		messages += (int)events[0].buffer.length;
		CHECK_EQUAL(zrx_event_release(events, 1), 0);
	}
	CHECK_EQUAL(messages, 5);
	rig_close(&rig);
}

static void test_no_leak(uint32_t engine)
{
	int before = open_descriptors();

	for (int i = 0; i < LOOPS; i++) {
		struct zrx_options options = ZRX_OPTIONS_INIT;
		struct zrx_receiver *receiver;
		struct zrx_event event;

		options.engine = engine;
		options.area_bytes = 1 << 20;
		CHECK_EQUAL(zrx_receiver_open(&receiver, &options, NULL), 0);
		if (i % 2)
			CHECK_EQUAL(zrx_receiver_receive(receiver, &event, 1, 0), 0);
		CHECK_EQUAL(zrx_receiver_close(receiver), 0);
	}
	CHECK_EQUAL(open_descriptors(), before);
}

static void *close_elsewhere(void *receiver)
{
	return (void *)(intptr_t)zrx_receiver_close(receiver);
}

/* Closed by a thread that cannot cancel: all of it stays until the last buffer, and goes then. */
static void test_deferred_close(uint32_t engine)
{
	int before = open_descriptors();
	struct zrx_event event;
	pthread_t thread;
	struct rig rig;
	void *result;

	rig_open(&rig, engine, NULL);
	event = rig_message(&rig, "unchanged");
	CHECK(!pthread_create(&thread, NULL, close_elsewhere, rig.receiver));
	pthread_join(thread, &result);
	CHECK_EQUAL((intptr_t)result, ZRX_CLOSE_DEFERRED);
	send_bytes(rig.pair[1], "must not overwrite it", 21);
	usleep(20000);
	CHECK(!memcmp(event.buffer.data, "unchanged", 9));
	CHECK(open_descriptors() > before + 2);
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	close_pair(rig.pair);
	CHECK_EQUAL(open_descriptors(), before);
}

static void *receive_and_exit(void *argument)
{
	struct rig *rig = argument;
	static struct zrx_event event;

	event = rig_message(rig, "from one that is gone");
	return &event;
}

/* The owner has exited; a thread that may even have its pthread_t cleans up. */
static void test_owner_is_gone(uint32_t engine)
{
	int before = open_descriptors();
	struct rig rig;
	pthread_t thread;
	void *event, *result;

	rig_open(&rig, engine, NULL);
	CHECK(!pthread_create(&thread, NULL, receive_and_exit, &rig));
	pthread_join(thread, &event);
	CHECK(!pthread_create(&thread, NULL, close_elsewhere, rig.receiver));
	pthread_join(thread, &result);
	CHECK_EQUAL((intptr_t)result, ZRX_CLOSE_DEFERRED);
	CHECK_EQUAL(zrx_event_release(event, 1), 0);
	close_pair(rig.pair);
	CHECK_EQUAL(open_descriptors(), before);
}

int main(void)
{
	for_each_engine(test_arguments);
	for_each_engine(test_timeouts);
	for_each_engine(test_interrupted);
	for_each_engine(test_capacity);
	for_each_engine(test_no_leak);
	for_each_engine(test_deferred_close);
	for_each_engine(test_owner_is_gone);
	return 0;
}
