/* SPDX-License-Identifier: MIT */
/*
 * The refill ring of the zcrx engines: shared memory in which buffers go back to the kernel, one
 * entry for each reference that the kernel gave out with a completion. They go back when the last
 * view of their hold is released: the kernel has no use for a chunk before it has all of them.
 *
 * What the ring has no room for is noted by chunk, so that the holds are free for other views at
 * once: the kernel takes from the ring only when packets come, and what it has delivered must not
 * wait for that.
 *
 * Any thread may fill it, one at a time. A thread that finds it locked pushes its holds onto the
 * list of returned ones, which the holder of the lock empties into the ring; so no thread waits.
 *
 * The ring of a queue that several receivers share is filled by a zrx_refill for each of their
 * areas. There a thread may wait until another has written what it has, a ring's worth at most.
 */
#ifndef ZRX_REFILL_H
#define ZRX_REFILL_H

#include <stdatomic.h>
#include <stdint.h>

#include "hold.h"
#include "parts.h"
#include "uapi.h"

#define ZRX_REFILL_LINE 64 /* bytes of a cache line */

struct zrx_area;

/* Of a ring that several areas fill. */
struct zrx_refill_shared {
	_Atomic uint32_t lock; /* taken after that of an area */
	/* Under the lock: */
	uint32_t closed;               /* the ring is gone */
	struct zrx_area *_Atomic left; /* closed, but not all of theirs is in the ring yet; each is
					  held */
};

/* Of a chunk: entries that the ring had no room for. */
struct zrx_owed {
	uint32_t references;
	uint32_t next; /* chunk + 1; 0: the last */
};

/* The chunks of which some are owed, from the first on that is to have its entries. */
struct zrx_backlog {
	uint32_t head; /* chunk + 1; 0: there is none */
	uint32_t tail;
	uint64_t references; /* of all of them */
};

struct zrx_refill {
	_Atomic uint32_t *head; /* the kernel's */
	_Atomic uint32_t *tail; /* ours */
	struct zrx_uapi_rqe *entries;
	uint32_t entry_count;
	struct zrx_parts parts;           /* of the area, as the kernel knows them */
	struct zrx_refill_shared *shared; /* NULL: this area alone fills it */
	/* Under the shared lock: in the list of those that have left. */
	uint32_t listed;
	struct zrx_area *left_next;

	char apart[ZRX_REFILL_LINE]; /* what follows is written by each thread that releases */
	_Atomic uint32_t lock;
	/* Under the lock: */
	uint32_t closed;
	struct zrx_backlog backlog;     /* released, but the ring was full */
	struct zrx_owed *owed;          /* by chunk */
	_Atomic uint64_t backlog_count; /* for stats */
	_Atomic uint64_t backlog_high;
	_Atomic uint64_t filled; /* entries ever written */
};

/* What could be owed of so many chunks. Returns 0 or -ENOMEM. */
int zrx_refill_hold(struct zrx_refill *refill, uint64_t chunks);

/*
 * Any thread: move the backlog, what area->returned holds and the chain, which may be empty, into
 * the ring, as far as there is room; the holds go to the owner. Never blocks: if another thread is
 * at it, that thread does it.
 */
void zrx_refill_give(struct zrx_area *area, struct zrx_chain chain);

/*
 * Owner: put the holds of buffers of this area into the ring that have one view, one reference and
 * this owner, from the front of the run on, as far as nobody else is at it and there is room. They
 * are idle then. Returns how many there were.
 */
uint32_t zrx_refill_whole(struct zrx_area *area, struct zrx_run *run, uint32_t owner);

/* The same of one buffer. Returns 0 if it is not such a one, or another thread is at it. */
int zrx_refill_one(struct zrx_area *area, const struct zrx_buffer *buffer, uint32_t owner);

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

/* Owner, before it sleeps: whether released holds wait that nobody is at. */
int zrx_refill_to_do(struct zrx_area *area);

/*
 * The area is closed. Owner: wait for the thread that is filling, if any, and let no other begin; a
 * shared ring still takes what comes back.
 */
void zrx_refill_close(struct zrx_area *area);

/* Whether what is released after the close goes into the ring. */
static inline int zrx_refill_outlives(const struct zrx_refill *refill)
{
	return refill->shared != NULL;
}

/* Fill the ring of that one, too, which is its own until now. */
void zrx_refill_share(struct zrx_refill *refill, const struct zrx_refill *with,
		      struct zrx_refill_shared *shared);

/* Owner: put what areas that were closed have left into the ring, as far as there is room. */
void zrx_refill_serve_left(struct zrx_refill *refill);

/* The ring is about to go: no thread touches it after this. */
void zrx_refill_shared_close(struct zrx_refill_shared *shared);

#endif
