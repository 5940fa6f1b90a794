/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "hold.h"
#include "sys.h"

#define SPARE_BYTES                                                                              \
	1024u /* of the area for each spare hold: many streams may each have a little in a chunk \
	       */
#define SPARE_MIN 16u
#define SPARE_MAX (1u << 24)

static uint32_t spare_for(uint64_t area_bytes)
{
	uint64_t wanted = area_bytes / SPARE_BYTES;

	if (wanted > SPARE_MAX)
		wanted = SPARE_MAX;
	return (uint32_t)(wanted < SPARE_MIN ? SPARE_MIN : wanted);
}

int zrx_holds_open(struct zrx_holds *holds, uint64_t chunks, uint32_t chunk_shift)
{
	uint32_t spare = spare_for(chunks << chunk_shift);

	if (chunks + spare > ZRX_HOLDS_MAX)
		return -E2BIG;
	holds->chunks = (uint32_t)chunks;
	holds->total = holds->chunks + spare;
	holds->words = zrx_sys_alloc(holds->total * sizeof(*holds->words));
	/* Three tables, one behind the other. */
	holds->owners = zrx_sys_alloc((2ull * holds->total + spare) * sizeof(*holds->owners));
	if (!holds->words || !holds->owners) {
		zrx_holds_close(holds);
		return -ENOMEM;
	}
	holds->next = holds->owners + holds->total;
	holds->spare_chunks = holds->next + holds->total;
	holds->spare_fresh = holds->chunks;
	holds->spare_left = spare;
	return 0;
}

void zrx_holds_close(struct zrx_holds *holds)
{
	zrx_sys_free(holds->words);
	zrx_sys_free(holds->owners);
	*holds = (struct zrx_holds){0};
}

uint32_t zrx_hold_join(const struct zrx_holds *holds, uint32_t index, uint32_t owner,
		       uint64_t *epoch)
{
	uint32_t begun = holds->owners[index] & ZRX_HOLD_BEGUN;
	uint64_t word = zrx_hold_word(holds, index), more;

	if ((holds->owners[index] ^ owner) >> ZRX_HOLD_OWNER_BITS || begun == ZRX_HOLD_VIEWS ||
	    zrx_hold_references(word) == ZRX_HOLD_REFERENCES)
		return ZRX_HOLD_VIEWS;
	/*
	 * Views of it are released meanwhile. With the last one it is returning, and whoever
	 * cleared it has it. Relaxed: what is added has been handed to nobody yet.
	 */
	do {
		if (!(word & ZRX_HOLD_OUT))
			return ZRX_HOLD_VIEWS;
		more = (word + ZRX_HOLD_REFERENCE) | 1ull << begun;
	} while (!atomic_compare_exchange_weak_explicit(
		&holds->words[index], &word, more, memory_order_relaxed, memory_order_relaxed));
	holds->owners[index]++;
	*epoch = word & ~(uint64_t)UINT32_MAX;
	return begun;
}

int zrx_hold_refer(const struct zrx_holds *holds, uint32_t index)
{
	/* Other threads only take views away: the references stay as they are read, the hold stays
	 * out. */
	if (zrx_hold_references(zrx_hold_word(holds, index)) == ZRX_HOLD_REFERENCES)
		return 0;
	atomic_fetch_add_explicit(&holds->words[index], ZRX_HOLD_REFERENCE, memory_order_relaxed);
	return 1;
}

uint32_t zrx_hold_spare(struct zrx_holds *holds, uint32_t chunk)
{
	uint32_t index;

	if (!holds->spare_left)
		return UINT32_MAX;
	if (holds->spare_free) {
		index = holds->spare_free - 1;
		holds->spare_free = holds->next[index];
	} else {
		index = holds->spare_fresh++;
	}
	holds->spare_left--;
	holds->spare_chunks[index - holds->chunks] = chunk;
	return index;
}

struct zrx_chain zrx_chain_measure(const struct zrx_holds *holds, uint32_t head)
{
	struct zrx_chain chain = {.head = head};

	for (uint32_t at = head; at; at = holds->next[at - 1])
		chain.tail = at;
	return chain;
}

void zrx_chain_push(const struct zrx_holds *holds, _Atomic uint32_t *list, struct zrx_chain chain)
{
	uint32_t *next = &holds->next[chain.tail - 1];
	uint32_t head = atomic_load_explicit(list, memory_order_relaxed);

	/*
	 * Lists are only ever taken whole, so a stale head cannot be mistaken for a current one.
	 * Sequentially consistent because zrx_refill_give looks at the list after it has let go of
	 * its lock.
	 */
	do {
		*next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		list, &head, chain.head, memory_order_seq_cst, memory_order_relaxed));
}
