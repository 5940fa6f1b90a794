/* SPDX-License-Identifier: MIT */
/* Which thread a receiver is bound to, and what the others may do. */
#include "area.h"
#include "check.h"
#include "receiver.h"
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define ROUNDS 2000

static void *run(void *(*body)(void *), void *argument)
{
	pthread_t thread;
	void *result;

	CHECK_EQUAL(pthread_create(&thread, NULL, body, argument), 0);
	CHECK_EQUAL(pthread_join(thread, &result), 0);
	return result;
}

static void *number(void *result)
{
	*(uint64_t *)result = zrx_thread_number();
	return (void *)(uintptr_t)pthread_self();
}

/* pthread_self() comes again with the next thread's stack; the number does not. */
static void test_numbers(void)
{
	uint64_t own = zrx_thread_number(), first, second;
	void *first_self = run(number, &first);
	void *second_self = run(number, &second);

	CHECK(own && first && second);
	CHECK(first != own && second != own && first != second);
	CHECK_EQUAL(zrx_thread_number(), own);
	if (first_self != second_self)
		printf("pthread_self() is not given again here\n");
}

static void *receive_once(void *argument)
{
	struct rig *rig = argument;
	struct zrx_event event;

	return (void *)(intptr_t)zrx_receiver_receive(rig->receiver, &event, 1, 0);
}

/* The owner has exited, and a thread comes that looks like it. */
static void test_heir(uint32_t engine)
{
	struct rig rig;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL((intptr_t)run(receive_once, &rig), 0);
	CHECK_EQUAL((intptr_t)run(receive_once, &rig), -EPERM);
	rig_close(&rig);
}

static _Atomic int refused;

/* Calls that are the owner's: refused, and what the owner's last call failed with stays. */
static void *meddle(void *argument)
{
	struct rig *rig = argument;
	struct zrx_event event;

	for (int i = 0; i < ROUNDS; i++) {
		struct zrx_error error = ZRX_ERROR_INIT;

		CHECK_EQUAL(zrx_receiver_add(rig->receiver, -1, NULL, NULL), -EPERM);
		CHECK_EQUAL(zrx_receiver_error(rig->receiver, &error), 0);
		CHECK_EQUAL(error.code, -EPERM);
		CHECK_EQUAL(error.stage, ZRX_STAGE_THREAD);
		CHECK(error.message[0] && error.hint[0]);
		CHECK_EQUAL(zrx_receiver_remove(rig->receiver, rig->stream), -EPERM);
		CHECK_EQUAL(zrx_receiver_receive(rig->receiver, &event, 1, 0), -EPERM);
		CHECK_EQUAL(zrx_receiver_receive(rig->receiver, &event, 0, 0), -EPERM);
		refused = 1;
	}
	return NULL;
}

static void test_wrong_thread(uint32_t engine)
{
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL((intptr_t)receive_once(&rig), 0);
	refused = 0;
	CHECK_EQUAL(pthread_create(&thread, NULL, meddle, &rig), 0);
	for (int i = 0; i < ROUNDS || !refused; i++) {
		struct zrx_error error = ZRX_ERROR_INIT;

		CHECK_EQUAL(zrx_receiver_add(rig.receiver, -1, NULL, NULL), -EBADF);
		CHECK_EQUAL(zrx_receiver_error(rig.receiver, &error), 0);
		CHECK_EQUAL(error.code, -EBADF);
		CHECK_EQUAL(error.stage, ZRX_STAGE_SOCKET);
	}
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
	rig_close(&rig);
}

/* Of threads that receive first at the same time one becomes the owner. */
static void test_first_together(uint32_t engine)
{
	for (int i = 0; i < 50; i++) {
		void *results[2];
		pthread_t thread[2];
		struct rig rig;

		rig_open(&rig, engine, NULL);
		for (int t = 0; t < 2; t++)
			CHECK_EQUAL(pthread_create(&thread[t], NULL, receive_once, &rig), 0);
		for (int t = 0; t < 2; t++)
			CHECK_EQUAL(pthread_join(thread[t], &results[t]), 0);
		CHECK_EQUAL((intptr_t)results[0] + (intptr_t)results[1], -EPERM);
		rig_close(&rig);
	}
}

static void *wake_a_sleeper(void *argument)
{
	struct rig *rig = argument;

	while (!rig_stats(rig).waits)
		usleep(1000);
	usleep(50000);
	zrx_receiver_wake(rig->receiver);
	return NULL;
}

/* The longest timeout there is sleeps; it neither returns at once nor spins. */
static void test_longest_timeout(uint32_t engine)
{
	struct zrx_event event;
	pthread_t thread;
	struct rig rig;
	int result;

	rig_open(&rig, engine, NULL);
	CHECK_EQUAL(pthread_create(&thread, NULL, wake_a_sleeper, &rig), 0);
	do /* tearing down the rings of tests before may interrupt it */
		result = zrx_receiver_receive(rig.receiver, &event, 1, INT64_MAX);
	while (result == -EINTR);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
	CHECK_EQUAL(rig_stats(&rig).wakes, 1);
	CHECK(rig_stats(&rig).waits < 10);
	rig_close(&rig);
}

int main(void)
{
	test_numbers();
	for_each_engine(test_heir);
	for_each_engine(test_wrong_thread);
	for_each_engine(test_first_together);
	for_each_engine(test_longest_timeout);
	return 0;
}
