/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "inbox.h"
#include "sys.h"

int zrx_inbox_open(struct zrx_inbox *inbox, uint32_t entries)
{
	inbox->slots = zrx_sys_alloc(entries * sizeof(*inbox->slots));
	if (!inbox->slots)
		return -ENOMEM;
	inbox->mask = entries - 1;
	inbox->kept.given = -1;
	inbox->timer_fd = -1;
	atomic_init(&inbox->producers, ZRX_INBOX_CLOSED);
	for (uint32_t i = 0; i < entries; i++)
		atomic_init(&inbox->slots[i].turn, i);
	return 0;
}

void zrx_inbox_free(struct zrx_inbox *inbox)
{
	zrx_sys_free(inbox->slots);
	inbox->slots = NULL;
}

void zrx_inbox_join(struct zrx_inbox *inbox, struct zrx_area *area)
{
	inbox->area = area;
	/* Pairs with the acquire in inbox_enter. */
	atomic_fetch_and_explicit(&inbox->producers, ~ZRX_INBOX_CLOSED, memory_order_release);
}

/*
 * As long as a producer is counted, the area stays: close waits for it. Acquire pairs with the
 * release in zrx_inbox_join: who finds it open sees the area.
 */
static int inbox_enter(struct zrx_inbox *inbox)
{
	uint32_t before = atomic_fetch_add_explicit(&inbox->producers, 1, memory_order_acquire);

	return before & ZRX_INBOX_CLOSED ? -ESHUTDOWN : 0;
}

static void inbox_leave(struct zrx_inbox *inbox)
{
	/* Pairs with the acquire in zrx_inbox_close. */
	atomic_fetch_sub_explicit(&inbox->producers, 1, memory_order_release);
}

/*
 * Sequentially consistent, after what the owner is to find was stored: either it sees that before
 * it sleeps, or this sees that it sleeps (zrx_receiver_receive, may_sleep).
 */
static void inbox_wake_sleeper(struct zrx_inbox *inbox)
{
	if (atomic_load_explicit(&inbox->area->waiting, memory_order_seq_cst) & ZRX_WAIT_INBOX)
		zrx_area_nudge(inbox->area);
}

void zrx_inbox_wake(struct zrx_inbox *inbox)
{
	if (!inbox_enter(inbox))
		inbox_wake_sleeper(inbox);
	inbox_leave(inbox);
}

static int inbox_write(struct zrx_inbox *inbox, const struct zrx_arrival *arrival)
{
	uint32_t at = atomic_load_explicit(&inbox->tail, memory_order_relaxed);

	for (;;) {
		struct zrx_inbox_slot *slot = &inbox->slots[at & inbox->mask];
		/* Acquire pairs with the release in zrx_inbox_take: what it was is read. */
		int32_t turn =
			(int32_t)(atomic_load_explicit(&slot->turn, memory_order_acquire) - at);

		if (turn < 0)
			return -ENOBUFS;
		if (turn > 0) { /* another producer took that place */
			at = atomic_load_explicit(&inbox->tail, memory_order_relaxed);
			continue;
		}
		/* Relaxed: the slot's turn says when it may be read. */
		if (!atomic_compare_exchange_weak_explicit(
			    &inbox->tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
			continue;
		slot->arrival = *arrival;
		/* Pairs with the load in zrx_inbox_first; see inbox_wake_sleeper. */
		atomic_store_explicit(&slot->turn, at + 1, memory_order_seq_cst);
		return 0;
	}
}

int zrx_inbox_push(struct zrx_inbox *inbox, const struct zrx_arrival *arrival)
{
	int result = inbox_enter(inbox);

	if (!result)
		result = inbox_write(inbox, arrival);
	if (!result)
		inbox_wake_sleeper(inbox);
	inbox_leave(inbox);
	return result;
}

const struct zrx_arrival *zrx_inbox_first(struct zrx_inbox *inbox)
{
	uint32_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
	struct zrx_inbox_slot *slot = &inbox->slots[head & inbox->mask];

	/* Pairs with the store in inbox_write. */
	return atomic_load_explicit(&slot->turn, memory_order_seq_cst) == head + 1 ? &slot->arrival
										   : NULL;
}

void zrx_inbox_take(struct zrx_inbox *inbox)
{
	uint32_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
	struct zrx_inbox_slot *slot = &inbox->slots[head & inbox->mask];

	atomic_store_explicit(&slot->turn, head + inbox->mask + 1, memory_order_release);
	atomic_store_explicit(&inbox->head, head + 1, memory_order_relaxed);
}

void zrx_inbox_close(struct zrx_inbox *inbox)
{
	atomic_fetch_or_explicit(&inbox->producers, ZRX_INBOX_CLOSED, memory_order_relaxed);
	/* Acquire pairs with the release in inbox_leave: what they have pushed is there. */
	while (atomic_load_explicit(&inbox->producers, memory_order_acquire) != ZRX_INBOX_CLOSED)
		zrx_sys_yield();
}
