/* SPDX-License-Identifier: MIT */
/* The refill ring against memory that this test, in the kernel's place, reads. */
#include "check.h"
#include "area.h"
#include "refill.h"

#include <pthread.h>

#define ENTRIES 8
#define THREADS 4
#define EACH    2000
#define TOKEN   (5ull << 48)

static struct zrx_area area; /* large */
static struct zrx_refill refill;
static struct zrx_uapi_rqe entries[ENTRIES];
static _Atomic uint32_t head, tail;

static void set_up(void)
{
	uint32_t generation;

	memset(&area, 0, sizeof(area));
	memset(&refill, 0, sizeof(refill));
	head = tail = UINT32_MAX - 3; /* the indexes wrap on the way */
	refill.head = &head;
	refill.tail = &tail;
	refill.entries = entries;
	refill.entry_count = ENTRIES;
	refill.area_token = TOKEN;
	area.refill = &refill;
	for (uint32_t i = 0; i < THREADS * EACH; i++) {
		CHECK_EQUAL(zrx_slots_reserve(&area.slots), 0);
		CHECK_EQUAL(zrx_slot_take(&area.slots, &area.slots.free, (uint64_t)i * 4096,
					  &generation),
			    i);
	}
}

static struct zrx_chain one(uint32_t index)
{
	zrx_slot_at(&area.slots, index)->next = 0;
	return (struct zrx_chain){index + 1, index + 1, 1};
}

/* As a thread that finds the lock taken. */
static void push(uint32_t index)
{
	zrx_chain_push(&area.slots, &area.returned, one(index));
}

/* What the kernel would take next. */
static uint32_t consume(void)
{
	struct zrx_uapi_rqe entry;

	CHECK(head != tail);
	entry = entries[head % ENTRIES];
	head++; /* from here on it may be written again */
	CHECK_EQUAL(entry.pad, 0);
	CHECK_EQUAL(entry.off & ~((1ull << 48) - 1), TOKEN);
	return (uint32_t)((entry.off & ((1ull << 48) - 1)) / 4096);
}

static void test_one(void)
{
	set_up();
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_pending(&refill), 0);
	push(3);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_pending(&refill), 1);
	CHECK_EQUAL(consume(), 3);
	CHECK_EQUAL(refill.filled, 1);
	zrx_slots_destroy(&area.slots);
}

/* A full ring loses nothing: the rest waits in the backlog. */
static void test_backlog(void)
{
	unsigned char seen[30] = {0};

	set_up();
	for (uint32_t i = 0; i < 30; i++)
		push(i);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_pending(&refill), ENTRIES);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 30 - ENTRIES);
	zrx_refill_drain(&area); /* no room: nothing moves */
	CHECK_EQUAL(zrx_refill_pending(&refill), ENTRIES);
	for (int i = 0; i < 30; i++) {
		uint32_t index = consume();

		CHECK(index < 30 && !seen[index]);
		seen[index] = 1;
		zrx_refill_drain(&area);
	}
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	CHECK_EQUAL(refill.backlog_high, 30 - ENTRIES);
	CHECK(head == tail);
	zrx_slots_destroy(&area.slots);
}

/* Who has the lock fills for others too: the backlog first, then what they left, then its own. */
static void test_give(void)
{
	set_up();
	zrx_refill_give(&area, one(7));
	CHECK_EQUAL(consume(), 7);
	for (uint32_t i = 0; i < ENTRIES; i++)
		zrx_refill_give(&area, one(i));
	zrx_refill_give(&area, one(20));
	CHECK_EQUAL(zrx_refill_backlog(&refill), 1);
	push(21);
	for (uint32_t i = 0; i < ENTRIES; i++)
		CHECK_EQUAL(consume(), i);
	zrx_refill_give(&area, one(22));
	CHECK_EQUAL(area.returned, 0);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	for (uint32_t i = 20; i < 23; i++)
		CHECK_EQUAL(consume(), i);
	CHECK(head == tail);
	CHECK_EQUAL(refill.filled, 1 + ENTRIES + 3);
	zrx_slots_destroy(&area.slots);
}

/* Slots that are in the ring are free again: the owner's at once, others' when it asks for some. */
static void test_freed(void)
{
	set_up();
	area.slots.free = 0;
	zrx_refill_give(&area, one(3));
	CHECK_EQUAL(area.slots.freed, 4);
	area.owner = zrx_thread_number();
	zrx_refill_give(&area, one(5));
	CHECK_EQUAL(area.slots.free, 6);
	area.slots.free = 0;
	CHECK_EQUAL(zrx_slots_reserve(&area.slots), 0);
	CHECK_EQUAL(area.slots.free, 4);
	area.owner = 0;
	zrx_slots_destroy(&area.slots);
}

static void *release_some(void *argument)
{
	uint32_t first = *(uint32_t *)argument;

	for (uint32_t i = first; i < first + EACH; i++)
		zrx_refill_give(&area, one(i));
	return NULL;
}

/* Threads release while the kernel takes: each entry comes once. */
static void test_threads(void)
{
	static unsigned char seen[THREADS * EACH];
	pthread_t threads[THREADS];
	uint32_t firsts[THREADS];

	set_up();
	for (uint32_t i = 0; i < THREADS; i++) {
		firsts[i] = i * EACH;
		CHECK(!pthread_create(&threads[i], NULL, release_some, &firsts[i]));
	}
	for (uint32_t taken = 0; taken < THREADS * EACH;) {
		zrx_refill_drain(&area); /* as the owner does: the backlog waits for it */
		while (head != tail) {
			uint32_t index = consume();

			CHECK(index < THREADS * EACH && !seen[index]);
			seen[index] = 1;
			taken++;
		}
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQUAL(refill.filled, THREADS * EACH);
	zrx_slots_destroy(&area.slots);
}

static void test_closed(void)
{
	set_up();
	zrx_refill_close(&refill);
	push(1);
	zrx_refill_drain(&area);
	zrx_refill_give(&area, one(2));
	CHECK_EQUAL(zrx_refill_pending(&refill), 0);
	CHECK_EQUAL(area.returned, 0);
	zrx_slots_destroy(&area.slots);
}

int main(void)
{
	test_one();
	test_backlog();
	test_give();
	test_freed();
	test_threads();
	test_closed();
	return 0;
}
