/* SPDX-License-Identifier: MIT */
/*
 * The refill ring of the zcrx engines: shared memory in which buffers go back to the kernel, one
 * entry for each buffer that was delivered (the kernel counts references per chunk).
 *
 * Any thread may fill it, one at a time. A thread that finds it locked pushes its slots onto the
 * list of returned ones, which the holder of the lock empties into the ring; so no thread waits.
 */
#ifndef ZRX_REFILL_H
#define ZRX_REFILL_H

#include <stdatomic.h>
#include <stdint.h>

#include "slot.h"
#include "uapi.h"

struct zrx_area;

struct zrx_refill {
	_Atomic uint32_t *head; /* the kernel's */
	_Atomic uint32_t *tail; /* ours */
	struct zrx_uapi_rqe *entries;
	uint32_t entry_count;
	uint64_t area_token;

	_Atomic uint32_t lock;
	/* Under the lock: */
	uint32_t closed;
	struct zrx_chain backlog;       /* released, but the ring was full */
	_Atomic uint64_t backlog_count; /* for stats */
	_Atomic uint64_t backlog_high;
	_Atomic uint64_t filled; /* entries ever written */
};

/*
 * Any thread: move the backlog, what area->returned holds and the chain, which may be empty, into
 * the ring, as far as there is room. Never blocks: if another thread is at it, that thread does it.
 */
void zrx_refill_give(struct zrx_area *area, struct zrx_chain chain);

static inline void zrx_refill_drain(struct zrx_area *area)
{
	zrx_refill_give(area, (struct zrx_chain){0});
}

/* How many entries the kernel has taken, modulo 2^32 and from where it began to count. */
static inline uint32_t zrx_refill_taken(const struct zrx_refill *refill)
{
	/* Acquire pairs with the kernel's store-release of head: what it took, it has read. */
	return atomic_load_explicit(refill->head, memory_order_acquire);
}

/* Entries that the kernel has not taken yet. */
static inline uint32_t zrx_refill_pending(const struct zrx_refill *refill)
{
	return atomic_load_explicit(refill->tail, memory_order_relaxed) - zrx_refill_taken(refill);
}

static inline uint64_t zrx_refill_backlog(struct zrx_refill *refill)
{
	return atomic_load_explicit(&refill->backlog_count, memory_order_relaxed);
}

/* Owner: wait for the thread that is filling, if any, and let no other begin. */
void zrx_refill_close(struct zrx_refill *refill);

#endif
