/* SPDX-License-Identifier: MIT */
/* Release: from any thread, in any order, once. */
#include <errno.h>
#include <string.h>

#include "area.h"
#include "receiver.h"
#include "refill.h"
#include "sys.h"

/* Mark the buffer's slot free and put it before the chain. 0, -EALREADY or -EINVAL. */
static inline int claim(struct zrx_slots *slots, const struct zrx_buffer *buffer,
			struct zrx_chain *chain)
{
	struct zrx_slot *slot = zrx_slot_find(slots, buffer->slot);
	uint32_t generation = buffer->generation;

	if (!slot || !(generation & 1))
		return -EINVAL;
	/*
	 * Of two releases at the same time one wins. Relaxed: what orders the bytes is the
	 * hand-over that follows (refill tail, returned list, references), each a release.
	 */
	if (!atomic_compare_exchange_strong_explicit(&slot->generation, &generation, generation + 1,
						     memory_order_relaxed, memory_order_relaxed))
		return -EALREADY;
	slot->next = chain->head;
	chain->head = buffer->slot + 1;
	if (!chain->tail)
		chain->tail = chain->head;
	chain->count++;
	return 0;
}

/*
 * An owner that sleeps, or waits for the ring's descriptor in an event loop, asked to be woken.
 * Sequentially consistent, after the chain was handed over: either the owner sees the chain before
 * it sleeps, or this sees that it asks (zrx_receiver_receive, may_sleep).
 */
static void wake_waiter(struct zrx_area *area)
{
	uint32_t waiting = atomic_load_explicit(&area->waiting, memory_order_seq_cst);

	if (!waiting)
		return;
	if (!(waiting & ZRX_WAIT_RETURN) && !(area->refill && zrx_refill_backlog(area->refill)))
		return;
	if (atomic_exchange_explicit(&area->waiting, 0, memory_order_seq_cst))
		zrx_area_nudge(area);
}

static void give_back(struct zrx_area *area, struct zrx_chain chain)
{
	if (atomic_load_explicit(&area->closed, memory_order_acquire)) {
		/* Nothing will be received any more: counting is all. */
	} else if (area->refill) {
		zrx_refill_give(area, chain);
	} else if (zrx_area_owned(area)) {
		area->receiver->engine->take_back(area->receiver, chain);
	} else {
		zrx_chain_push(&area->slots, &area->returned, chain);
	}
	wake_waiter(area);
	zrx_area_put(area, chain.count);
}

/*
 * Release buffers that lie stride bytes apart. skip_empty: entries without a buffer are no error.
 */
static int release(const struct zrx_buffer *first, size_t stride, uint32_t count, int skip_empty)
{
	const char *at = (const char *)first, *end = at + stride * count;
	int result = 0;

	while (at != end) {
		const struct zrx_buffer *buffer = (const void *)at;
		struct zrx_area *area = buffer->area;
		struct zrx_chain chain = {0};

		if (!area || area->magic != ZRX_AREA_MAGIC) {
			if (!result && !(skip_empty && !area))
				result = -EINVAL;
			at += stride;
			continue;
		}
		if (area->forked) /* the parent's buffers are the parent's to release */
			return 0;
		do {
			int claimed = claim(&area->slots, buffer, &chain);

			if (claimed && !result)
				result = claimed;
			at += stride;
			buffer = (const void *)at;
		} while (at != end && buffer->area == area);
		if (chain.count)
			give_back(area, chain);
	}
	return result;
}

int zrx_buffer_release(const struct zrx_buffer *buffers, uint32_t count)
{
	return release(buffers, sizeof(*buffers), count, 0);
}

int zrx_event_release(const struct zrx_event *events, uint32_t count)
{
	if (!count)
		return 0;
	return release(&events->buffer, sizeof(*events), count, 1);
}
