/* SPDX-License-Identifier: MIT */
/* Release: from any thread, in any order, once. */
#include <errno.h>
#include <string.h>

#include "area.h"
#include "receiver.h"
#include "refill.h"
#include "sys.h"

/*
 * Take the buffer's view out of its hold, and put the hold before the chain if that was the last
 * one. Returns 1 for a view taken, -EALREADY or -EINVAL.
 */
static inline int claim(const struct zrx_holds *holds, const struct zrx_buffer *buffer,
			struct zrx_chain *chain)
{
	uint32_t index = zrx_slot_hold(buffer->slot), view = zrx_slot_view(buffer->slot);
	_Atomic uint64_t *hold = &holds->words[index];
	uint64_t word, left;

	if (index >= holds->total || view >= ZRX_HOLD_VIEWS)
		return -EINVAL;
	word = zrx_hold_word(holds, index);
	/*
	 * Of two releases at the same time one wins. Acquire and release: who takes the last view
	 * hands the chunk on for all, after their last reads of it.
	 */
	do {
		if (word >> 32 != buffer->generation || !(word >> view & 1))
			return -EALREADY;
		left = word - (1ull << view);
		if (!(left & ZRX_HOLD_OUT))
			left |= ZRX_HOLD_RETURNING;
	} while (!atomic_compare_exchange_weak_explicit(hold, &word, left, memory_order_acq_rel,
							memory_order_relaxed));
	if (left & ZRX_HOLD_OUT)
		return 1;
	holds->next[index] = chain->head;
	chain->head = index + 1;
	if (!chain->tail)
		chain->tail = chain->head;
	return 1;
}

static void wake_for(struct zrx_area *area, uint32_t waiting)
{
	if (!(waiting & ZRX_WAIT_RETURN) && !(area->refill && zrx_refill_backlog(area->refill)))
		return;
	if (atomic_exchange_explicit(&area->waiting, 0, memory_order_seq_cst))
		zrx_area_nudge(area);
}

/*
 * An owner that sleeps, or waits for the ring's descriptor in an event loop, asked to be woken.
 * Sequentially consistent, after the chain was handed over: either the owner sees the chain before
 * it sleeps, or this sees that it asks (zrx_receiver_receive, may_sleep).
 */
static inline void wake_waiter(struct zrx_area *area)
{
	uint32_t waiting = atomic_load_explicit(&area->waiting, memory_order_seq_cst);

	if (waiting)
		wake_for(area, waiting);
}

static void hand_on(struct zrx_area *area, struct zrx_chain chain)
{
	if (atomic_load_explicit(&area->closed, memory_order_acquire) &&
	    !(area->refill && zrx_refill_outlives(area->refill)))
		return; /* nothing will be received any more: counting is all */
	if (area->refill)
		zrx_refill_give(area, chain);
	else if (zrx_area_owned(area))
		zrx_windows_settle(area->receiver, chain);
	else
		zrx_chain_push(&area->holds, &area->returned, chain);
	wake_waiter(area);
}

static inline const struct zrx_buffer *front(const struct zrx_run *run)
{
	return (const void *)run->at;
}

/*
 * The usual case: the owner releases, one after the other, views of one stream that each have a
 * chunk to themselves. Returns how many there were.
 */
static uint32_t release_whole(struct zrx_area *area, struct zrx_run *run)
{
	uint32_t index = front(run)->slot, owner, count;

	owner = index < area->holds.chunks ? area->holds.owners[index] : 0;
	if (!(owner & ZRX_HOLD_WHOLE))
		return 0;
	count = area->receiver->engine->take_back(area, run, owner);
	if (count)
		zrx_window_credit_holds(area->receiver, owner >> ZRX_HOLD_OWNER_BITS, count);
	return count;
}

/* Those at the front of the run, as far as they are of this area. Returns 0 or the first error. */
static int release_of(struct zrx_area *area, struct zrx_run *run)
{
	int direct =
		zrx_area_owned(area) && !atomic_load_explicit(&area->closed, memory_order_relaxed);
	struct zrx_chain chain = {0};
	int64_t views = 0;
	int result = 0;

	do {
		int claimed;

		if (direct) {
			views += release_whole(area, run);
			if (run->at == run->end || front(run)->area != area)
				break;
		}
		claimed = claim(&area->holds, front(run), &chain);
		if (claimed > 0)
			views++;
		else if (!result)
			result = claimed;
		run->at += run->stride;
	} while (run->at != run->end && front(run)->area == area);
	if (chain.head)
		hand_on(area, chain);
	else if (direct && views)
		wake_waiter(area);
	if (views)
		zrx_area_put(area, views);
	return result;
}

/*
 * Release buffers that lie stride bytes apart. skip_empty: entries without a buffer are no error.
 */
static int release(const struct zrx_buffer *first, size_t stride, uint32_t count, int skip_empty)
{
	struct zrx_run run = {(const char *)first, (const char *)first + stride * count, stride};
	int result = 0;

	while (run.at != run.end) {
		struct zrx_area *area = front(&run)->area;

		if (area && area->magic == ZRX_AREA_MAGIC) {
			int failed;

			if (area->forked) /* the parent's buffers are the parent's to release */
				return 0;
			failed = release_of(area, &run);
			if (!result)
				result = failed;
			continue;
		}
		if (!result && !(skip_empty && !area))
			result = -EINVAL;
		run.at += stride;
	}
	return result;
}

/* One alone, as many consumers do: without what a run costs. Returns 0 if it is not the usual case.
 */
static inline int release_one(const struct zrx_buffer *buffer)
{
	struct zrx_area *area = buffer->area;
	uint32_t index = buffer->slot, owner;

	if (!area || area->magic != ZRX_AREA_MAGIC || area->forked || index >= area->holds.chunks ||
	    !zrx_area_owned(area) || atomic_load_explicit(&area->closed, memory_order_relaxed))
		return 0;
	owner = area->holds.owners[index];
	if (!(owner & ZRX_HOLD_WHOLE))
		return 0;
	if (!area->receiver->engine->take_one(area, buffer, owner))
		return 0;
	zrx_window_credit_holds(area->receiver, owner >> ZRX_HOLD_OWNER_BITS, 1);
	wake_waiter(area);
	zrx_area_put(area, 1);
	return 1;
}

int zrx_buffer_release(const struct zrx_buffer *buffers, uint32_t count)
{
	if (count == 1 && release_one(buffers))
		return 0;
	return release(buffers, sizeof(*buffers), count, 0);
}

int zrx_event_release(const struct zrx_event *events, uint32_t count)
{
	if (!count)
		return 0;
	return release(&events->buffer, sizeof(*events), count, 1);
}
