/* SPDX-License-Identifier: MIT */
/* Who has a chunk: epochs, views, spare holds. */
#include "check.h"
#include "hold.h"

#include <errno.h>

#define CHUNKS 4
#define SEVEN  (7u << ZRX_HOLD_OWNER_BITS | ZRX_HOLD_ALONE)
#define EIGHT  (8u << ZRX_HOLD_OWNER_BITS | ZRX_HOLD_ALONE)

static struct zrx_holds holds;

static uint64_t word_of(uint32_t index)
{
	return zrx_hold_word(&holds, index);
}

static uint64_t begin(uint32_t index, uint32_t owner)
{
	return zrx_hold_begin(&holds, index, word_of(index), owner);
}

/* What a release does. */
static void clear(uint32_t index, uint32_t view)
{
	holds.words[index] -= 1ull << view;
	if (!(holds.words[index] & ZRX_HOLD_OUT))
		holds.words[index] |= ZRX_HOLD_RETURNING;
}

static void test_epochs(void)
{
	uint64_t first = begin(1, SEVEN), second;

	CHECK_EQUAL(first >> 32, 1);
	CHECK_EQUAL(zrx_hold_references(word_of(1)), 1);
	CHECK_EQUAL(holds.owners[1] >> ZRX_HOLD_OWNER_BITS, 7);
	CHECK(!zrx_hold_idle(word_of(1)));
	clear(1, 0);
	CHECK(!zrx_hold_idle(word_of(1))); /* on its way back */
	zrx_hold_rest(&holds, 1);
	CHECK(zrx_hold_idle(word_of(1)));
	second = begin(1, SEVEN);
	CHECK_EQUAL(second >> 32, 2);
	clear(1, 0);
	zrx_hold_rest(&holds, 1);
	holds.words[1] = (uint64_t)UINT32_MAX << 32; /* they wrap */
	CHECK_EQUAL(begin(1, SEVEN) >> 32, 0);
	CHECK_EQUAL(word_of(1), ZRX_HOLD_FIRST);
	clear(1, 0);
	zrx_hold_rest(&holds, 1);
}

/* As many views as there are bits, none twice in an epoch, none for another stream, none once it is
 * returning. */
static void test_join(void)
{
	uint64_t epoch = 0;

	begin(2, SEVEN);
	CHECK_EQUAL(zrx_hold_join(&holds, 2, EIGHT, &epoch), ZRX_HOLD_VIEWS);
	CHECK_EQUAL(zrx_hold_join(&holds, 2, SEVEN, &epoch), 1);
	CHECK_EQUAL(epoch >> 32, word_of(2) >> 32);
	clear(2, 1);
	for (uint32_t view = 2; view < ZRX_HOLD_VIEWS; view++)
		CHECK_EQUAL(zrx_hold_join(&holds, 2, SEVEN, &epoch), view);
	CHECK_EQUAL(zrx_hold_join(&holds, 2, SEVEN, &epoch), ZRX_HOLD_VIEWS);
	CHECK_EQUAL(zrx_hold_references(word_of(2)), ZRX_HOLD_VIEWS);
	for (uint32_t view = 0; view < ZRX_HOLD_VIEWS; view++)
		if (view != 1)
			clear(2, view);
	CHECK_EQUAL((uint32_t)word_of(2) & ZRX_HOLD_OUT, 0);
	zrx_hold_rest(&holds, 2);
	begin(2, SEVEN);
	clear(2, 0);
	CHECK_EQUAL(zrx_hold_join(&holds, 2, SEVEN, &epoch), ZRX_HOLD_VIEWS);
	zrx_hold_rest(&holds, 2);
}

/* At once, and only what is just so. */
static void test_take_whole(void)
{
	uint32_t owner = SEVEN | ZRX_HOLD_WHOLE | 1, slot = zrx_slot(3, 0), index = 99;
	uint32_t epoch = (uint32_t)(begin(3, SEVEN | ZRX_HOLD_WHOLE) >> 32);

	CHECK(!zrx_hold_take_whole(&holds, slot, epoch - 1, owner, &index));
	CHECK(!zrx_hold_take_whole(&holds, slot, 0, owner, &index));
	CHECK(!zrx_hold_take_whole(&holds, zrx_slot(3, 1), epoch, owner, &index));
	CHECK(!zrx_hold_take_whole(&holds, UINT32_MAX, epoch, owner, &index));
	CHECK(!zrx_hold_take_whole(&holds, slot, epoch, owner + 1, &index));
	CHECK(zrx_hold_refer(&holds, 3));
	CHECK(!zrx_hold_take_whole(&holds, slot, epoch, owner, &index));
	holds.words[3] -= ZRX_HOLD_REFERENCE;
	CHECK(zrx_hold_take_whole(&holds, slot, epoch, owner, &index));
	CHECK_EQUAL(index, 3);
	CHECK(zrx_hold_idle(word_of(3)));
	CHECK(!zrx_hold_take_whole(&holds, slot, epoch, owner, &index));
}

static void test_references(void)
{
	uint64_t epoch;

	begin(3, SEVEN);
	for (uint32_t i = 1; i < ZRX_HOLD_REFERENCES; i++)
		CHECK(zrx_hold_refer(&holds, 3));
	CHECK(!zrx_hold_refer(&holds, 3));
	CHECK_EQUAL(zrx_hold_references(word_of(3)), ZRX_HOLD_REFERENCES);
	CHECK_EQUAL(zrx_hold_join(&holds, 3, SEVEN, &epoch),
		    ZRX_HOLD_VIEWS); /* its reference would not fit */
	clear(3, 0);
	zrx_hold_rest(&holds, 3);
}

static void test_spare(void)
{
	uint32_t left = holds.spare_left, index;

	for (uint32_t i = 0; i < left; i++) {
		index = zrx_hold_spare(&holds, i % CHUNKS);
		CHECK(index >= CHUNKS && index < holds.total);
		CHECK_EQUAL(zrx_hold_chunk(&holds, index), i % CHUNKS);
		CHECK(zrx_hold_idle(word_of(index)));
		begin(index, SEVEN);
	}
	CHECK(!zrx_holds_room(&holds));
	CHECK_EQUAL(zrx_hold_spare(&holds, 0), UINT32_MAX);
	clear(CHUNKS + 5, 0);
	zrx_hold_rest(&holds, CHUNKS + 5);
	CHECK_EQUAL(zrx_hold_spare(&holds, 3), CHUNKS + 5);
	CHECK_EQUAL(zrx_hold_chunk(&holds, CHUNKS + 5), 3);
	CHECK_EQUAL(zrx_hold_chunk(&holds, 2), 2);
}

int main(void)
{
	struct zrx_holds large = {0};

	CHECK_EQUAL(zrx_holds_open(&large, ZRX_HOLDS_MAX, 12), -E2BIG);
	CHECK_EQUAL(zrx_holds_open(&holds, CHUNKS, 12), 0);
	test_epochs();
	test_join();
	test_references();
	test_take_whole();
	test_spare();
	zrx_holds_close(&holds);
	CHECK(!holds.words && !holds.total);
	return 0;
}
