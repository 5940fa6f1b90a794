/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "slot.h"
#include "sys.h"

static int slots_grow(struct zrx_slots *slots)
{
	uint32_t first = slots->slab_count << ZRX_SLAB_SHIFT;
	struct zrx_slot *slab;

	if (slots->slab_count == ZRX_SLABS_MAX)
		return -ENOMEM;
	slab = zrx_sys_alloc(sizeof(*slab) * ZRX_SLAB_SLOTS);
	if (!slab)
		return -ENOMEM;
	for (uint32_t i = 0; i < ZRX_SLAB_SLOTS; i++)
		slab[i].next = i + 1 < ZRX_SLAB_SLOTS ? first + i + 2 : 0;
	/* Pairs with the acquire in zrx_slot_find: a found slab is initialised. */
	atomic_store_explicit(&slots->slabs[slots->slab_count], slab, memory_order_release);
	slots->slab_count++;
	slots->free = first + 1;
	return 0;
}

int zrx_slots_reserve(struct zrx_slots *slots)
{
	if (slots->free)
		return 0;
	/* Pairs with the release in zrx_chain_push: the links of the chain are visible. */
	if (atomic_load_explicit(&slots->freed, memory_order_relaxed))
		slots->free = atomic_exchange_explicit(&slots->freed, 0, memory_order_acquire);
	return slots->free ? 0 : slots_grow(slots);
}

void zrx_slots_free(struct zrx_slots *slots, struct zrx_chain chain)
{
	zrx_slot_at(slots, chain.tail - 1)->next = slots->free;
	slots->free = chain.head;
}

struct zrx_chain zrx_chain_measure(struct zrx_slots *slots, uint32_t head)
{
	struct zrx_chain chain = {.head = head};

	for (uint32_t at = head; at; at = zrx_slot_at(slots, at - 1)->next) {
		chain.tail = at;
		chain.count++;
	}
	return chain;
}

void zrx_chain_push(struct zrx_slots *slots, _Atomic uint32_t *list, struct zrx_chain chain)
{
	struct zrx_slot *tail = zrx_slot_at(slots, chain.tail - 1);
	uint32_t head = atomic_load_explicit(list, memory_order_relaxed);

	/*
	 * Lists are only ever taken whole, so a stale head cannot be mistaken for a current one.
	 * Sequentially consistent because zrx_refill_give looks at the list after it has let go of
	 * its lock.
	 */
	do {
		tail->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		list, &head, chain.head, memory_order_seq_cst, memory_order_relaxed));
}

void zrx_slots_free_remote(struct zrx_slots *slots, struct zrx_chain chain)
{
	zrx_chain_push(slots, &slots->freed, chain);
}

void zrx_slots_destroy(struct zrx_slots *slots)
{
	for (uint32_t i = 0; i < slots->slab_count; i++)
		zrx_sys_free(atomic_load_explicit(&slots->slabs[i], memory_order_relaxed));
}
