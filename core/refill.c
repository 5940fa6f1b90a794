/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "receiver.h"
#include "refill.h"
#include "sys.h"

int zrx_refill_hold(struct zrx_refill *refill, uint64_t chunks)
{
	refill->owed = zrx_sys_alloc(chunks * sizeof(*refill->owed));
	return refill->owed ? 0 : -ENOMEM;
}

static int try_lock(struct zrx_refill *refill)
{
	/* Sequentially consistent: see zrx_refill_give. Acquires what the last holder wrote. */
	return !atomic_exchange_explicit(&refill->lock, 1, memory_order_seq_cst);
}

/* A holder writes at most one ring's worth of entries. */
static void wait_lock(struct zrx_refill *refill)
{
	while (!try_lock(refill))
		zrx_sys_yield();
}

static void unlock(struct zrx_refill *refill)
{
	atomic_store_explicit(&refill->lock, 0, memory_order_seq_cst);
}

static void leave_shared(struct zrx_refill_shared *shared)
{
	atomic_store_explicit(&shared->lock, 0, memory_order_release);
}

static ZRX_INTO void leave_ring(struct zrx_refill *refill)
{
	if (refill->shared)
		leave_shared(refill->shared);
}

static void enter_shared(struct zrx_refill_shared *shared)
{
	/* Acquire pairs with the release of leave_shared: tail and entries as they were left. */
	while (atomic_exchange_explicit(&shared->lock, 1, memory_order_acquire))
		zrx_sys_yield();
}

static ZRX_APART int enter_if_open(struct zrx_refill_shared *shared)
{
	enter_shared(shared);
	if (!shared->closed)
		return 1;
	leave_shared(shared);
	return 0;
}

/* Under the lock of the area: whether the ring may be filled; then leave_ring follows. */
static ZRX_INTO int enter_ring(struct zrx_refill *refill)
{
	return refill->shared ? enter_if_open(refill->shared) : !refill->closed;
}

static int is_closed(const struct zrx_area *area)
{
	/* Relaxed: whoever closed it has had the lock since (zrx_refill_close). */
	return atomic_load_explicit(&area->closed, memory_order_relaxed) != 0;
}

static inline void set_entry(struct zrx_uapi_rqe *entry, uint64_t offset)
{
	entry->off = offset;
	entry->len = 0; /* not read by any kernel: the reference is counted, not the bytes */
	entry->pad = 0;
}

static uint32_t tail_of(const struct zrx_refill *refill)
{
	return atomic_load_explicit(refill->tail, memory_order_relaxed);
}

/* So many behind the tail. */
static struct zrx_uapi_rqe *entry_at(const struct zrx_refill *refill, uint32_t behind)
{
	return &refill->entries[(tail_of(refill) + behind) & (refill->entry_count - 1)];
}

static uint32_t room_left(const struct zrx_refill *refill)
{
	return refill->entry_count - zrx_refill_pending(refill);
}

/* So many entries are written. */
static ZRX_INTO void publish(struct zrx_refill *refill, uint32_t written)
{
	/*
	 * Release: the entries, and the last reads of the buffers, come before the kernel's acquire
	 * of tail.
	 */
	atomic_store_explicit(refill->tail, tail_of(refill) + written, memory_order_release);
	atomic_store_explicit(&refill->filled,
			      atomic_load_explicit(&refill->filled, memory_order_relaxed) + written,
			      memory_order_relaxed);
}

/* The holds are done with: their streams are credited, by the owner. */
static void settled(struct zrx_area *area, struct zrx_chain done)
{
	if (!done.head || is_closed(area))
		return;
	area->holds.next[done.tail - 1] = 0;
	if (zrx_area_owned(area))
		zrx_windows_settle(area->receiver, done);
	else
		zrx_chain_push(&area->holds, &area->settled, done);
}

/* What is being written behind the tail. */
struct filling {
	const struct zrx_area *area;
	struct zrx_refill *refill;
	uint32_t room;
	uint32_t written;
};

/* Entries for so many references to the chunk, as far as there is room; returns how many there is
 * none for. */
static uint32_t fill_chunk(struct filling *filling, uint32_t chunk, uint32_t references)
{
	uint64_t where = (uint64_t)chunk << filling->area->chunk_shift;
	uint64_t offset = zrx_parts_offset(&filling->refill->parts, where);

	for (; references && filling->written < filling->room; references--)
		set_entry(entry_at(filling->refill, filling->written++), offset);
	return references;
}

static void fill_backlog(struct filling *filling)
{
	struct zrx_backlog *backlog = &filling->refill->backlog;
	uint32_t before = filling->written;

	while (backlog->head) {
		struct zrx_owed *owed = &filling->refill->owed[backlog->head - 1];

		owed->references = fill_chunk(filling, backlog->head - 1, owed->references);
		if (owed->references)
			break;
		backlog->head = owed->next;
	}
	backlog->references -= filling->written - before;
}

static void owe(struct zrx_refill *refill, uint32_t chunk, uint32_t references)
{
	struct zrx_backlog *backlog = &refill->backlog;
	struct zrx_owed *owed = &refill->owed[chunk];

	if (!owed->references) {
		owed->next = 0;
		if (backlog->head)
			refill->owed[backlog->tail - 1].next = chunk + 1;
		else
			backlog->head = chunk + 1;
		backlog->tail = chunk + 1;
	}
	owed->references += references;
	backlog->references += references;
}

static void fill_chain(struct filling *filling, struct zrx_chain chain)
{
	const struct zrx_holds *holds = &filling->area->holds;

	for (uint32_t at = chain.head; at; at = holds->next[at - 1]) {
		uint32_t chunk = zrx_hold_chunk(holds, at - 1);
		uint32_t references = zrx_hold_references(zrx_hold_word(holds, at - 1));

		references = fill_chunk(filling, chunk, references);
		if (references)
			owe(filling->refill, chunk, references);
	}
}

static struct zrx_chain join(struct zrx_area *area, struct zrx_chain first, struct zrx_chain second)
{
	if (!first.head)
		return second;
	if (!second.head)
		return first;
	area->holds.next[first.tail - 1] = second.head;
	first.tail = second.tail;
	return first;
}

static void note_backlog(struct zrx_refill *refill)
{
	uint64_t count = refill->backlog.references;

	atomic_store_explicit(&refill->backlog_count, count, memory_order_relaxed);
	if (count > atomic_load_explicit(&refill->backlog_high, memory_order_relaxed))
		atomic_store_explicit(&refill->backlog_high, count, memory_order_relaxed);
}

/*
 * Nobody receives for this area any more, who would come back to its backlog: the others of the
 * ring do. Under the shared lock.
 */
static void leave_behind(struct zrx_area *area, struct zrx_refill *refill)
{
	struct zrx_refill_shared *shared = refill->shared;

	if (!shared || !is_closed(area) || refill->listed || !refill->backlog.head)
		return;
	/* Relaxed: who releases holds the area, too. */
	atomic_fetch_add_explicit(&area->references, 1, memory_order_relaxed);
	refill->listed = 1;
	refill->left_next = atomic_load_explicit(&shared->left, memory_order_relaxed);
	atomic_store_explicit(&shared->left, area, memory_order_relaxed);
}

/* Under the lock. A closed ring takes nothing: the holds go with the area. */
static void settle(struct zrx_area *area, struct zrx_refill *refill, struct zrx_chain chain)
{
	struct filling filling = {area, refill, 0, 0};
	uint32_t head = 0;

	/* Acquire pairs with zrx_chain_push. Looked at first: it is empty, as a rule. */
	if (atomic_load_explicit(&area->returned, memory_order_relaxed))
		head = atomic_exchange_explicit(&area->returned, 0, memory_order_acquire);
	if (!enter_ring(refill))
		return;
	if (head)
		chain = join(area, zrx_chain_measure(&area->holds, head), chain);
	filling.room = room_left(refill);
	fill_backlog(&filling);
	fill_chain(&filling, chain);
	if (filling.written)
		publish(refill, filling.written);
	leave_behind(area, refill);
	leave_ring(refill);
	note_backlog(refill);
	settled(area, chain);
}

void zrx_refill_give(struct zrx_area *area, struct zrx_chain chain)
{
	struct zrx_refill *refill = area->refill;
	int locked = try_lock(refill);

	/*
	 * A thread that finds the lock taken leaves its holds to the holder, and tries once more:
	 * its push comes before that try_lock, and the holder looks at the list again after unlock;
	 * all four are sequentially consistent, so one of the two sees the other.
	 */
	if (!locked && chain.head) {
		zrx_chain_push(&area->holds, &area->returned, chain);
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

/* How many entries there is room for up to where the ring begins again. */
static uint32_t room_in_row(const struct zrx_refill *refill)
{
	uint32_t room = room_left(refill);
	uint32_t behind = (uint32_t)(refill->entries + refill->entry_count - entry_at(refill, 0));

	return room < behind ? room : behind;
}

/* Up to there. */
static ZRX_INTO uint32_t fill_run(struct zrx_area *area, struct zrx_refill *refill,
				  struct zrx_run *run, uint32_t owner, int linear)
{
	/* Kept apart from what the loop writes, which could alias it. */
	const struct zrx_holds holds = area->holds;
	const uint32_t shift = area->chunk_shift;
	const size_t stride = run->stride, room = room_in_row(refill) * stride;
	struct zrx_uapi_rqe *entry = entry_at(refill, 0);
	const char *at = run->at, *end = run->end;
	uint32_t count;

	if ((size_t)(end - at) > room)
		end = at + room;
	for (; at != end; at += stride, entry++) {
		const struct zrx_buffer *buffer = (const void *)at;
		uint64_t where;
		uint32_t index;

		if (buffer->area != area ||
		    !zrx_hold_take_whole(&holds, buffer->slot, buffer->generation, owner, &index))
			break;
		where = (uint64_t)index << shift;
		set_entry(entry, linear ? where : zrx_parts_offset(&refill->parts, where));
	}
	/* Looked up again: the loop needs all registers. */
	refill = area->refill;
	count = (uint32_t)(entry - entry_at(refill, 0));
	run->at = at;
	publish(refill, count);
	return count;
}

static ZRX_APART uint32_t fill_whole(struct zrx_area *area, struct zrx_refill *refill,
				     struct zrx_run *run, uint32_t owner)
{
	/* The owner releases, who alone adds parts. */
	if (zrx_parts_linear_all(&refill->parts))
		return fill_run(area, refill, run, owner, 1);
	return fill_run(area, refill, run, owner, 0);
}

uint32_t zrx_refill_whole(struct zrx_area *area, struct zrx_run *run, uint32_t owner)
{
	struct zrx_refill *refill = area->refill;
	uint32_t count = 0;

	if (!try_lock(refill))
		return 0;
	/* What came before goes before. */
	if (!refill->backlog.head && enter_ring(refill)) {
		count = fill_whole(area, refill, run, owner);
		if (count && run->at != run->end && entry_at(refill, 0) == refill->entries)
			count += fill_whole(area, refill, run, owner);
		leave_ring(refill);
	}
	unlock(refill);
	/* As in zrx_refill_give: what others left meanwhile. */
	if (atomic_load_explicit(&area->returned, memory_order_seq_cst))
		zrx_refill_drain(area);
	return count;
}

int zrx_refill_one(struct zrx_area *area, const struct zrx_buffer *buffer, uint32_t owner)
{
	struct zrx_refill *refill = area->refill;
	uint32_t index;
	int done = 0;

	/* A shared ring has one lock more: that is the unusual case. */
	if (refill->shared || !try_lock(refill))
		return 0;
	if (!refill->closed && !refill->backlog.head && room_left(refill) &&
	    zrx_hold_take_whole(&area->holds, buffer->slot, buffer->generation, owner, &index)) {
		set_entry(entry_at(refill, 0),
			  zrx_parts_offset(&refill->parts, (uint64_t)index << area->chunk_shift));
		publish(refill, 1);
		done = 1;
	}
	unlock(refill);
	if (atomic_load_explicit(&area->returned, memory_order_seq_cst))
		zrx_refill_drain(area);
	return done;
}

int zrx_refill_to_do(struct zrx_area *area)
{
	/* Sequentially consistent: pairs with zrx_chain_push, and wake_waiter after it. */
	return zrx_refill_backlog(area->refill) ||
	       atomic_load_explicit(&area->returned, memory_order_seq_cst);
}

/* Also if another thread is at it: after that one. */
static void settle_after(struct zrx_area *area)
{
	struct zrx_refill *refill = area->refill;

	wait_lock(refill);
	settle(area, refill, (struct zrx_chain){0});
	unlock(refill);
	/* As in zrx_refill_give: what others left meanwhile. */
	if (atomic_load_explicit(&area->returned, memory_order_seq_cst))
		zrx_refill_drain(area);
}

void zrx_refill_close(struct zrx_area *area)
{
	struct zrx_refill *refill = area->refill;

	if (refill->shared) {
		settle_after(area);
		return;
	}
	wait_lock(refill);
	refill->closed = 1;
	unlock(refill);
}

/* ---- a ring that several areas fill ---- */

void zrx_refill_share(struct zrx_refill *refill, const struct zrx_refill *with,
		      struct zrx_refill_shared *shared)
{
	refill->head = with->head;
	refill->tail = with->tail;
	refill->entries = with->entries;
	refill->entry_count = with->entry_count;
	refill->parts = with->parts;
	refill->shared = shared;
}

/* One that has left, which the caller holds from here on; NULL: there is none. */
static struct zrx_area *next_left(struct zrx_refill_shared *shared)
{
	struct zrx_area *area;

	enter_shared(shared);
	area = atomic_load_explicit(&shared->left, memory_order_relaxed);
	if (area) {
		area->refill->listed = 0;
		atomic_store_explicit(&shared->left, area->refill->left_next, memory_order_relaxed);
	}
	leave_shared(shared);
	return area;
}

void zrx_refill_serve_left(struct zrx_refill *refill)
{
	struct zrx_refill_shared *shared = refill->shared;
	int done = 1;

	/* Relaxed: one that is missed now is there at the next look. */
	while (done && shared && atomic_load_explicit(&shared->left, memory_order_relaxed)) {
		struct zrx_area *area = next_left(shared);

		if (!area)
			return;
		settle_after(area);
		done = !zrx_refill_backlog(area->refill); /* else it is in the list again */
		zrx_area_put(area, 1);
	}
}

void zrx_refill_shared_close(struct zrx_refill_shared *shared)
{
	struct zrx_area *area;

	enter_shared(shared);
	shared->closed = 1;
	leave_shared(shared);
	while ((area = next_left(shared)))
		zrx_area_put(area, 1);
}
