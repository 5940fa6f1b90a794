/* SPDX-License-Identifier: MIT */
#include <sched.h>

#include "area.h"
#include "refill.h"

static int try_lock(struct zrx_refill *refill)
{
	/* Sequentially consistent: see zrx_refill_give. Acquires what the last holder wrote. */
	return !atomic_exchange_explicit(&refill->lock, 1, memory_order_seq_cst);
}

static void unlock(struct zrx_refill *refill)
{
	atomic_store_explicit(&refill->lock, 0, memory_order_seq_cst);
}

/* Put as much of the chain into the ring as it has room for; returns the rest. */
static struct zrx_chain fill(struct zrx_area *area, struct zrx_refill *refill,
			     struct zrx_chain chain)
{
	uint32_t tail = atomic_load_explicit(refill->tail, memory_order_relaxed);
	uint32_t room = refill->entry_count - zrx_refill_pending(refill);
	struct zrx_chain done = {.head = chain.head};

	while (room && chain.head) {
		struct zrx_slot *slot = zrx_slot_at(&area->slots, chain.head - 1);
		struct zrx_uapi_rqe *entry = &refill->entries[tail & (refill->entry_count - 1)];

		entry->off = refill->area_token | slot->where;
		entry->len =
			0; /* not read by any kernel: the reference is counted, not the bytes */
		entry->pad = 0;
		tail++;
		room--;
		done.tail = chain.head;
		done.count++;
		chain.head = slot->next;
	}
	chain.count -= done.count;
	if (!done.count)
		return chain;
	/*
	 * Release: the entries, and the last reads of the buffers, come before the kernel's acquire
	 * of tail.
	 */
	atomic_store_explicit(refill->tail, tail, memory_order_release);
	atomic_store_explicit(&refill->filled,
			      atomic_load_explicit(&refill->filled, memory_order_relaxed) +
				      done.count,
			      memory_order_relaxed);
	if (zrx_area_owned(area))
		zrx_slots_free(&area->slots, done);
	else
		zrx_slots_free_remote(&area->slots, done);
	return chain;
}

static struct zrx_chain join(struct zrx_area *area, struct zrx_chain first, struct zrx_chain second)
{
	if (!first.count)
		return second;
	if (!second.count)
		return first;
	zrx_slot_at(&area->slots, first.tail - 1)->next = second.head;
	first.tail = second.tail;
	first.count += second.count;
	return first;
}

static void note_backlog(struct zrx_refill *refill)
{
	uint64_t count = refill->backlog.count;

	atomic_store_explicit(&refill->backlog_count, count, memory_order_relaxed);
	if (count > atomic_load_explicit(&refill->backlog_high, memory_order_relaxed))
		atomic_store_explicit(&refill->backlog_high, count, memory_order_relaxed);
}

/* Under the lock. A closed ring takes nothing: the slots go with the area. */
static void settle(struct zrx_area *area, struct zrx_refill *refill, struct zrx_chain chain)
{
	uint32_t head = 0;

	/* Acquire pairs with zrx_chain_push. Looked at first: it is empty, as a rule. */
	if (atomic_load_explicit(&area->returned, memory_order_relaxed))
		head = atomic_exchange_explicit(&area->returned, 0, memory_order_acquire);
	if (refill->closed)
		return;
	if (head)
		chain = join(area, zrx_chain_measure(&area->slots, head), chain);
	refill->backlog = fill(area, refill, join(area, refill->backlog, chain));
	note_backlog(refill);
}

void zrx_refill_give(struct zrx_area *area, struct zrx_chain chain)
{
	struct zrx_refill *refill = area->refill;
	int locked = try_lock(refill);

	/*
	 * A thread that finds the lock taken leaves its slots to the holder, and tries once more:
	 * its push comes before that try_lock, and the holder looks at the list again after unlock;
	 * all four are sequentially consistent, so one of the two sees the other.
	 */
	if (!locked && chain.count) {
		zrx_chain_push(&area->slots, &area->returned, chain);
		chain = (struct zrx_chain){0};
		locked = try_lock(refill);
	}
	while (locked) {
		settle(area, refill, chain);
		chain = (struct zrx_chain){0};
		unlock(refill);
		locked = atomic_load_explicit(&area->returned, memory_order_seq_cst) &&
			 try_lock(refill);
	}
}

void zrx_refill_close(struct zrx_refill *refill)
{
	while (!try_lock(refill))
		sched_yield(); /* a holder writes at most one ring's worth of entries */
	refill->closed = 1;
	unlock(refill);
}
