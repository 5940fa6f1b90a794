/* SPDX-License-Identifier: MIT */
/*
 * Slots: one for each buffer that is out. A slot remembers where the bytes are and, by its
 * generation, whether they have been released. Odd generation: out; even: free.
 *
 * The table grows in slabs that stay until the area goes, so any thread may look a slot up without
 * a lock.
 */
#ifndef ZRX_SLOT_H
#define ZRX_SLOT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ZRX_SLAB_SHIFT 12
#define ZRX_SLAB_SLOTS (1u << ZRX_SLAB_SHIFT)
#define ZRX_SLABS_MAX  16384u

struct zrx_slot {
	_Atomic uint32_t generation;
	uint32_t next;  /* index + 1 of the next slot in a chain; 0: none */
	uint64_t where; /* offset in the area */
};

/*
 * Released slots on their way back, linked by next, which is 0 in the last. head and tail are index
 * + 1; 0: empty.
 */
struct zrx_chain {
	uint32_t head;
	uint32_t tail;
	uint32_t count;
};

struct zrx_slots {
	struct zrx_slot *_Atomic slabs[ZRX_SLABS_MAX];
	uint32_t slab_count;    /* the owner's */
	uint32_t free;          /* the owner's free list: index + 1 */
	_Atomic uint32_t freed; /* chains freed by other threads: index + 1 */
};

/* NULL if there is no such slot. The acquire pairs with the release in zrx_slots_grow. */
static inline struct zrx_slot *zrx_slot_find(struct zrx_slots *slots, uint32_t index)
{
	struct zrx_slot *slab;

	if (index >= ZRX_SLABS_MAX << ZRX_SLAB_SHIFT)
		return NULL;
	slab = atomic_load_explicit(&slots->slabs[index >> ZRX_SLAB_SHIFT], memory_order_acquire);
	return slab ? &slab[index & (ZRX_SLAB_SLOTS - 1)] : NULL;
}

/* A slot known to exist. */
static inline struct zrx_slot *zrx_slot_at(struct zrx_slots *slots, uint32_t index)
{
	return &atomic_load_explicit(&slots->slabs[index >> ZRX_SLAB_SHIFT],
				     memory_order_acquire)[index & (ZRX_SLAB_SLOTS - 1)];
}

/* Owner. Make sure that there is a free slot: 0, or -ENOMEM. */
int zrx_slots_reserve(struct zrx_slots *slots);

/*
 * Owner, after a reserve that succeeded: take the first slot of a free list (slots->free, or a copy
 * that replaces it) and mark it out. Returns its index.
 */
static inline uint32_t zrx_slot_take(struct zrx_slots *slots, uint32_t *free, uint64_t where,
				     uint32_t *generation)
{
	uint32_t index = *free - 1;
	struct zrx_slot *slot = zrx_slot_at(slots, index);
	uint32_t out = atomic_load_explicit(&slot->generation, memory_order_relaxed) + 1;

	*free = slot->next;
	slot->where = where;
	*generation = out;
	/* The user hands the buffer to other threads with ordering of his own. */
	atomic_store_explicit(&slot->generation, out, memory_order_relaxed);
	return index;
}

/* Owner: put a chain on the free list. */
void zrx_slots_free(struct zrx_slots *slots, struct zrx_chain chain);

/* Any thread: the same; the owner picks them up in zrx_slots_reserve. */
void zrx_slots_free_remote(struct zrx_slots *slots, struct zrx_chain chain);

/* A list as taken off an atomic one, with its end and length found. */
struct zrx_chain zrx_chain_measure(struct zrx_slots *slots, uint32_t head);

/* Push a chain onto an atomic list of slots. */
void zrx_chain_push(struct zrx_slots *slots, _Atomic uint32_t *list, struct zrx_chain chain);

void zrx_slots_destroy(struct zrx_slots *slots);

#endif
