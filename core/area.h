/* SPDX-License-Identifier: MIT */
/*
 * The area: the memory that received bytes lie in, and all that buffers need after their receiver
 * is gone. Counted: the receiver and each buffer that is out hold it.
 */
#ifndef ZRX_AREA_H
#define ZRX_AREA_H

#include <stdatomic.h>
#include <stdint.h>

#include "hold.h"
#include "zcrx.h"

struct zrx_refill;
struct zrx_receiver;
struct zrx_shared_queue;

/* zrx_area.waiting: for what to wake the owner, which sleeps in a receive or in an event loop. */
#define ZRX_WAIT_RETURN                                                                           \
	1u                  /* any buffer that comes back: streams are parked, or at their window \
			     */
#define ZRX_WAIT_BACKLOG 2u /* a refill ring that overflows: only the owner can wait for room */
#define ZRX_WAIT_INBOX   4u /* a socket that another thread brings, or a listener */

#define ZRX_AREA_LINE 64 /* bytes of a cache line */

/* Of most machines, and of chunks so small that instructions count: loops that know it need a
 * register less. */
#define ZRX_PAGE_SHIFT 12u

/* Of a loop that needs all registers: not to be made a part of its caller. */
#define ZRX_APART __attribute__((noinline))
/* Into each of its callers, for the arguments that are constant there. */
#define ZRX_INTO inline __attribute__((always_inline))

#define ZRX_AREA_MAGIC 0x7a72785f61726561ull

struct zrx_area {
	uint64_t magic;       /* what is not an area is refused, as far as that can be told */
	uint8_t *base;        /* NULL where the CPU has no view of it */
	uint64_t bytes;       /* grows: the owner's to read */
	uint64_t max_bytes;   /* how far; bytes where it does not grow */
	uint64_t space_bytes; /* address space at base: what to unmap */
	uint64_t grain;       /* what its size is a multiple of: the pages it is made of */
	uint32_t kind;        /* ZRX_AREA_*, never AUTO */
	int32_t node;         /* NUMA node on which its memory is preferred; -1: none */
	uint32_t chunk_shift; /* log2 of the chunk */
	int dmabuf_fd;        /* -1, or our own */
	int wake_fd;          /* eventfd; lives as long as anyone may signal it */
	int poll_fd;          /* eventfd that the ring signals, for event loops; -1: the ring's own
				 descriptor serves */
	void (*free)(void *memory, uint64_t bytes, void *context);
	void *free_context;

	_Atomic uint64_t owner;        /* zrx_thread_number of the receiving thread; 0: none yet */
	_Atomic uint32_t closed;       /* release only counts */
	uint32_t forked;               /* set in a child: touch nothing */
	struct zrx_receiver *receiver; /* until it is destroyed */
	struct zrx_receiver *deferred; /* closed while its ring was needed: goes with the last
					  buffer */
	uint32_t lost; /* a NIC may write into the memory for ever: it is nobody's to free */
	_Atomic uint32_t needs;  /* of the memory: this area, while it has references, and areas
				    that borrow it */
	struct zrx_area *lender; /* whose memory this is; NULL: it has its own */
	struct zrx_shared_queue *shared; /* of a lender: freed with it */
	struct zrx_refill *refill; /* engines zcrx: any thread releases straight into it; freed with
				      the area, because a releasing thread may still look at it */

	struct zrx_area *fork_next; /* registry of core/fork.c */
	struct zrx_area *fork_previous;
	int ring_fd; /* closed in a forked child; -1: none */

	struct zrx_holds holds;
	_Atomic uint32_t waiting;    /* ZRX_WAIT_*: the owner's to write, as a rule */
	_Atomic uint32_t wake_asked; /* zrx_receiver_wake */
	_Atomic uint32_t polled;     /* zrx_receiver_fd was called: keep poll_fd up to date */

	/* What each release writes, on lines that nobody needs who only reads what stands above. */
	char apart[ZRX_AREA_LINE];
	_Atomic int64_t references; /* receiver + buffers out */
	_Atomic uint32_t returned;  /* chains released by other threads: index + 1 */
	_Atomic uint32_t
		settled; /* likewise, in the refill ring by now: the owner credits their streams */
	char apart_behind[ZRX_AREA_LINE];
};

/*
 * Get the memory that the options ask for, cut into chunks of chunk_bytes.
 * Returns 0, -ENOMEM, or -EINVAL where it is too small or misaligned.
 */
int zrx_area_open(struct zrx_area **area, const struct zrx_options *options, uint32_t chunk_bytes,
		  struct zrx_error *error);

/* The same, with its memory on a NUMA node, as far as there is some; -1: anywhere. */
int zrx_area_open_near(struct zrx_area **area, const struct zrx_options *options,
		       uint32_t chunk_bytes, int32_t node, struct zrx_error *error);

/*
 * The same memory for one more receiver of its queue: with holds, references and lists of its own.
 * The lender lives as long as this one. Returns 0, or a negative errno.
 */
int zrx_area_borrow(struct zrx_area **area, struct zrx_area *lender, struct zrx_error *error);

/* The memory is lost. */
void zrx_area_lose(struct zrx_area *area);

/* Once its chunks are known: the table of who has them. Returns 0, -ENOMEM, or -E2BIG. */
int zrx_area_hold(struct zrx_area *area, struct zrx_error *error);

/*
 * Owner: memory for an area that grows to so many bytes, at their place; then they are what it has,
 * or it is given up. take returns 0, or -ENOMEM: nothing was taken.
 */
int zrx_area_take(struct zrx_area *area, uint64_t bytes);
void zrx_area_give_up(struct zrx_area *area, uint64_t bytes);

/* Let go of references; the last one frees the area and everything that hangs on it. */
void zrx_area_put(struct zrx_area *area, int64_t references);

/* Undo an open that nobody has seen: caller-supplied memory is not freed. */
void zrx_area_abandon(struct zrx_area *area);

/* Wake the owner, be it asleep in a receive or in a poll of its descriptor. Async-signal-safe. */
void zrx_area_nudge(struct zrx_area *area);

/*
 * A number of the calling thread that no other thread of the process has, or will have:
 * pthread_self and gettid are given again to later threads. Never 0. No system call.
 */
uint64_t zrx_thread_number(void);

/* Whether the calling thread is the owner; whether there is one. */
int zrx_area_owned(const struct zrx_area *area);

static inline int zrx_area_has_owner(const struct zrx_area *area)
{
	return atomic_load_explicit(&area->owner, memory_order_relaxed) != 0;
}

static inline uint32_t zrx_area_chunks(const struct zrx_area *area)
{
	return (uint32_t)(area->bytes >> area->chunk_shift);
}

/* When it has grown as far as it may. */
static inline uint64_t zrx_area_chunks_most(const struct zrx_area *area)
{
	return area->max_bytes >> area->chunk_shift;
}

#endif
