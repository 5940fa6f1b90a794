/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "receiver.h"
#include "ring.h"

#include <errno.h>
#include <unistd.h>

static struct zrx_receiver receiver;
static struct zrx_ring ring;

/* Whether there is an io_uring to test here. */
static int set_up(uint32_t entries)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_options options = ZRX_OPTIONS_INIT;
	int result;

	memset(&receiver, 0, sizeof(receiver));
	memset(&ring, 0, sizeof(ring));
	receiver.options.ring_entries = entries;
	options.area_bytes = 1 << 20;
	CHECK_EQUAL(zrx_area_open(&receiver.area, &options, 4096, NULL), 0);
	result = zrx_ring_open(&ring, &receiver, 0, &error);
	if (result) {
		CHECK(error.message[0] && error.hint[0]);
		zrx_area_put(receiver.area, 1);
		printf("no io_uring here: %s\n", error.message);
		return 0;
	}
	CHECK_EQUAL(receiver.area->ring_fd, ring.uring.ring_fd);
	CHECK_EQUAL(receiver.info.ring_entries, entries);
	CHECK_EQUAL(zrx_ring_start(&ring), 0);
	return 1;
}

static void tear_down(int descriptors)
{
	CHECK_EQUAL(zrx_ring_stop(&ring), 0);
	CHECK_EQUAL(ring.in_flight, 0);
	zrx_ring_close(&ring, &receiver);
	zrx_area_put(receiver.area, 1);
	CHECK_EQUAL(open_descriptors(), descriptors);
}

/* Take one completion that is there. */
static uint64_t take(void)
{
	const struct zrx_completions completions = zrx_ring_completions(&ring, 0);
	unsigned head = *ring.uring.cq.khead;
	uint64_t user_data;

	CHECK(zrx_ring_tail(&ring) != head);
	user_data = zrx_completion(&completions, head)->user_data;
	zrx_ring_consumed(&ring, head + 1);
	return user_data;
}

/* Wait until the timer is seen, as an engine does; or fail. */
static void timer_comes(void)
{
	while (ring.timer_at) {
		if (zrx_ring_tail(&ring) == *ring.uring.cq.khead)
			CHECK_EQUAL(zrx_ring_wait(&ring, &receiver, 5000000000), 0);
		zrx_ring_internal(&ring, &receiver, take());
	}
}

static void test_timer(void)
{
	uint64_t soon = zrx_sys_now_ns() + 20000000;

	CHECK_EQUAL(zrx_ring_set_timer(&ring, soon), 1);
	CHECK_EQUAL(zrx_ring_set_timer(&ring, soon + 1), 1); /* one is enough */
	CHECK_EQUAL(ring.timer_at, soon);
	timer_comes();
	CHECK(zrx_sys_now_ns() >= soon);
}

/* An armed timer does not mask one that is due before, submitted with it or later. */
static void test_earlier_timer(int submit_first)
{
	uint64_t late = zrx_sys_now_ns() + 60000000000, soon = zrx_sys_now_ns() + 20000000;

	CHECK_EQUAL(zrx_ring_set_timer(&ring, late), 1);
	if (submit_first)
		CHECK_EQUAL(zrx_ring_wait(&ring, &receiver, 0), 0);
	CHECK_EQUAL(zrx_ring_set_timer(&ring, soon), 1);
	CHECK_EQUAL(ring.timer_at, soon);
	timer_comes();
	CHECK(zrx_sys_now_ns() >= soon);
}

static void test_wake(void)
{
	CHECK_EQUAL(zrx_ring_wait(&ring, &receiver, 1000000), -ETIME);
	zrx_area_nudge(receiver.area);
	CHECK_EQUAL(zrx_ring_wait(&ring, &receiver, -1), 0);
	CHECK_EQUAL(take(), ZRX_RING_WAKE);
	zrx_ring_internal(&ring, &receiver, ZRX_RING_WAKE);
	CHECK_EQUAL(zrx_ring_wait(&ring, &receiver, 1000000), -ETIME); /* armed again, and quiet */
	CHECK_EQUAL(ring.wake_armed, 1);
}

/* More requests than the ring has room for: submitted bit by bit, and all cancelled. */
static void test_stop_with_many_in_flight(void)
{
	int pair[2];

	tcp_pair(pair);
	for (int i = 0; i < 40; i++) {
		struct io_uring_sqe *sqe;

		while (!(sqe = zrx_ring_request(&ring, IORING_OP_POLL_ADD, pair[0], 1ull << 32)))
			zrx_ring_wait(&ring, &receiver, 0);
		sqe->poll32_events = 1; /* POLLIN: never */
	}
	CHECK(ring.in_flight >= 40);
	CHECK_EQUAL(zrx_ring_stop(&ring), 0);
	CHECK_EQUAL(ring.in_flight, 0);
	close_pair(pair);
}

/* The kernel had no memory for a completion, and told so once: closing gives up, and says so. */
static void test_stop_with_one_lost(void)
{
	ring.in_flight++;
	CHECK_EQUAL(zrx_ring_stop(&ring), -EBADR);
	CHECK_EQUAL(ring.in_flight, 1);
	ring.in_flight--;
}

int main(void)
{
	int descriptors = open_descriptors();

	if (!set_up(8))
		return 0;
	test_timer();
	test_earlier_timer(0);
	test_earlier_timer(1);
	test_wake();
	test_stop_with_many_in_flight();
	test_stop_with_one_lost();
	tear_down(descriptors);
	return 0;
}
