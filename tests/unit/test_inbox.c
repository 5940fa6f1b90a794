/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "inbox.h"
#include "sys.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define PRODUCERS 4
#define EACH      4000

static struct zrx_area area;

static struct zrx_arrival numbered(uint64_t number)
{
	return (struct zrx_arrival){.cookie = number, .given = -1, .own = -1};
}

static void open_inbox(struct zrx_inbox *inbox, uint32_t entries)
{
	memset(inbox, 0, sizeof(*inbox));
	CHECK_EQUAL(zrx_inbox_open(inbox, entries), 0);
	zrx_inbox_join(inbox, &area);
}

static void test_order_and_bounds(void)
{
	struct zrx_arrival arrival;
	struct zrx_inbox inbox;

	memset(&inbox, 0, sizeof(inbox));
	CHECK_EQUAL(zrx_inbox_open(&inbox, 4), 0);
	arrival = numbered(0);
	/* Nobody can push before there is a receiver. */
	CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), -ESHUTDOWN);
	zrx_inbox_join(&inbox, &area);
	CHECK(!zrx_inbox_first(&inbox));
	/* Several times round, and always four at most. */
	for (uint64_t next = 0, taken = 0; next < 40; taken += 3) {
		while (zrx_inbox_depth(&inbox) < 4) {
			arrival = numbered(next++);
			CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), 0);
		}
		arrival = numbered(1000);
		CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), -ENOBUFS);
		for (uint64_t i = 0; i < 3; i++) {
			CHECK_EQUAL(zrx_inbox_first(&inbox)->cookie, taken + i);
			zrx_inbox_take(&inbox);
		}
	}
	zrx_inbox_close(&inbox);
	CHECK(zrx_inbox_is_closed(&inbox));
	CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), -ESHUTDOWN);
	CHECK(zrx_inbox_first(&inbox)); /* what is in it stays */
	zrx_inbox_close(&inbox);
	zrx_inbox_free(&inbox);
}

/* Whoever sleeps is woken, once for each push that finds him asleep; who is awake is not. */
static void test_wake(void)
{
	struct zrx_arrival arrival = numbered(1);
	struct zrx_inbox inbox;
	uint64_t count;

	open_inbox(&inbox, 4);
	CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), 0);
	CHECK_EQUAL(read(area.wake_fd, &count, sizeof(count)), -1);
	atomic_store(&area.waiting, ZRX_WAIT_BACKLOG); /* for something else */
	CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), 0);
	CHECK_EQUAL(read(area.wake_fd, &count, sizeof(count)), -1);
	atomic_store(&area.waiting, ZRX_WAIT_INBOX);
	CHECK_EQUAL(zrx_inbox_push(&inbox, &arrival), 0);
	CHECK_EQUAL(read(area.wake_fd, &count, sizeof(count)), (long long)sizeof(count));
	zrx_inbox_wake(&inbox);
	CHECK_EQUAL(read(area.wake_fd, &count, sizeof(count)), (long long)sizeof(count));
	atomic_store(&area.waiting, 0);
	zrx_inbox_close(&inbox);
	atomic_store(&area.waiting, ZRX_WAIT_INBOX);
	zrx_inbox_wake(&inbox);
	CHECK_EQUAL(read(area.wake_fd, &count, sizeof(count)), -1);
	atomic_store(&area.waiting, 0);
	zrx_inbox_free(&inbox);
}

struct producer {
	struct zrx_inbox *inbox;
	uint64_t first;
	uint64_t pushed;
	pthread_t thread;
};

static void *produce(void *argument)
{
	struct producer *producer = argument;

	while (producer->pushed < EACH) {
		struct zrx_arrival arrival = numbered(producer->first + producer->pushed);
		int result = zrx_inbox_push(producer->inbox, &arrival);

		if (result == -ESHUTDOWN)
			break;
		if (result)
			sched_yield();
		producer->pushed += !result;
	}
	return NULL;
}

/* Each is there once, and those of one producer in their order; also if it is closed meanwhile. */
static void test_producers(uint64_t close_after)
{
	struct producer producers[PRODUCERS];
	uint64_t next[PRODUCERS] = {0}, taken = 0, pushed = 0;
	const struct zrx_arrival *first;
	struct zrx_inbox inbox;

	open_inbox(&inbox, 8);
	for (uint64_t i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){.inbox = &inbox, .first = i * EACH};
		CHECK(!pthread_create(&producers[i].thread, NULL, produce, &producers[i]));
	}
	while (taken < PRODUCERS * EACH) {
		if (taken == close_after)
			zrx_inbox_close(&inbox);
		first = zrx_inbox_first(&inbox);
		if (!first && taken >= close_after)
			break;
		if (!first) {
			sched_yield();
			continue;
		}
		CHECK_EQUAL(first->cookie % EACH, next[first->cookie / EACH]++);
		zrx_inbox_take(&inbox);
		taken++;
	}
	for (int i = 0; i < PRODUCERS; i++) {
		CHECK(!pthread_join(producers[i].thread, NULL));
		pushed += producers[i].pushed;
	}
	CHECK_EQUAL(taken, pushed);
	zrx_inbox_free(&inbox);
}

int main(void)
{
	area.wake_fd = zrx_sys_eventfd_open();
	area.poll_fd = -1;
	CHECK(area.wake_fd >= 0);
	test_order_and_bounds();
	test_wake();
	test_producers(UINT64_MAX);
	test_producers(0);
	test_producers(1000);
	zrx_sys_close(area.wake_fd);
	return 0;
}
