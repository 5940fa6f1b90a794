/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "slot.h"

#include <pthread.h>

#define THREADS 4
#define EACH    1000

static struct zrx_slots slots; /* large */

static struct zrx_chain chain_of_one(uint32_t index)
{
	return (struct zrx_chain){index + 1, index + 1, 1};
}

static uint32_t take(uint64_t where, uint32_t *generation)
{
	CHECK_EQUAL(zrx_slots_reserve(&slots), 0);
	return zrx_slot_take(&slots, &slots.free, where, generation);
}

static void release(uint32_t index)
{
	zrx_slot_at(&slots, index)->generation++;
}

static void test_generations(void)
{
	uint32_t first, second, index = take(4096, &first);

	CHECK(first & 1); /* out */
	CHECK_EQUAL(zrx_slot_at(&slots, index)->where, 4096);
	release(index);
	zrx_slots_free(&slots, chain_of_one(index));
	CHECK_EQUAL(take(8192, &second), index);
	CHECK_EQUAL(second, first + 2);
	release(index);
	zrx_slots_free(&slots, chain_of_one(index));
}

static void test_find(void)
{
	CHECK(zrx_slot_find(&slots, 0) == zrx_slot_at(&slots, 0));
	CHECK(!zrx_slot_find(&slots, ZRX_SLAB_SLOTS)); /* not yet there */
	CHECK(!zrx_slot_find(&slots, ZRX_SLABS_MAX << ZRX_SLAB_SHIFT));
	CHECK(!zrx_slot_find(&slots, UINT32_MAX));
}

/* More than one slab: all different, and what was found before stays where it is. */
static void test_growth(void)
{
	static unsigned char seen[2 * ZRX_SLAB_SLOTS];
	struct zrx_slot *zero = zrx_slot_find(&slots, 0);
	uint32_t generation;

	for (uint32_t i = 0; i < 2 * ZRX_SLAB_SLOTS; i++) {
		uint32_t index = take(i, &generation);

		CHECK(index < 2 * ZRX_SLAB_SLOTS && !seen[index]);
		seen[index] = 1;
	}
	CHECK_EQUAL(slots.slab_count, 2);
	CHECK(zrx_slot_find(&slots, 0) == zero);
	for (uint32_t i = 0; i < 2 * ZRX_SLAB_SLOTS; i++) {
		release(i);
		zrx_slots_free(&slots, chain_of_one(i));
	}
}

static void *free_some(void *argument)
{
	uint32_t first = *(uint32_t *)argument;

	for (uint32_t i = first; i < first + EACH; i++)
		zrx_slots_free_remote(&slots, chain_of_one(i));
	return NULL;
}

/* None that threads free at the same time is lost or doubled. */
static void test_remote_free(void)
{
	static unsigned char seen[THREADS * EACH];
	uint32_t firsts[THREADS], generation;
	pthread_t threads[THREADS];

	slots.free = 0; /* as if all were out */
	for (uint32_t i = 0; i < THREADS; i++) {
		firsts[i] = i * EACH;
		CHECK(!pthread_create(&threads[i], NULL, free_some, &firsts[i]));
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < THREADS * EACH; i++) {
		uint32_t index = take(0, &generation);

		CHECK(index < THREADS * EACH && !seen[index]);
		seen[index] = 1;
	}
	CHECK_EQUAL(slots.slab_count, 2); /* it had no need to grow */
}

int main(void)
{
	test_generations();
	test_find();
	test_growth();
	test_remote_free();
	zrx_slots_destroy(&slots);
	return 0;
}
