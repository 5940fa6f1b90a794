/* SPDX-License-Identifier: MIT */
/*
 * The area: the memory that received bytes lie in, and all that buffers need after their receiver
 * is gone. Counted: the receiver and each buffer that is out hold it.
 */
#ifndef ZRX_AREA_H
#define ZRX_AREA_H

#include <stdatomic.h>
#include <stdint.h>

#include "slot.h"
#include "zcrx.h"

struct zrx_refill;
struct zrx_receiver;

/* zrx_area.waiting: for what to wake the owner, which sleeps in a receive or in an event loop. */
#define ZRX_WAIT_RETURN  1u /* any buffer that comes back: streams are parked */
#define ZRX_WAIT_BACKLOG 2u /* a refill ring that overflows: only the owner can wait for room */

#define ZRX_AREA_MAGIC 0x7a72785f61726561ull

struct zrx_area {
	uint64_t magic; /* what is not an area is refused, as far as that can be told */
	uint8_t *base;  /* NULL where the CPU has no view of it */
	uint64_t bytes;
	uint32_t kind;        /* ZRX_AREA_*, never AUTO */
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
	struct zrx_refill *refill; /* engines zcrx: any thread releases straight into it; freed with
				      the area, because a releasing thread may still look at it */

	/* Shared between the owner and releasing threads. */
	_Atomic int64_t references;    /* receiver + buffers out */
	_Atomic uint32_t returned;     /* chains released by other threads: index + 1 */
	_Atomic uint64_t return_count; /* buffers released by other threads, ever */
	_Atomic uint32_t waiting;      /* ZRX_WAIT_* */
	_Atomic uint32_t wake_asked;   /* zrx_receiver_wake */
	_Atomic uint32_t polled;       /* zrx_receiver_fd was called: keep poll_fd up to date */

	struct zrx_slots slots;

	struct zrx_area *fork_next; /* registry of core/fork.c */
	struct zrx_area *fork_previous;
	int ring_fd; /* closed in a forked child; -1: none */
};

/*
 * Get the memory that the options ask for, cut into chunks of chunk_bytes.
 * Returns 0, -ENOMEM, or -EINVAL where it is too small or misaligned.
 */
int zrx_area_open(struct zrx_area **area, const struct zrx_options *options, uint32_t chunk_bytes,
		  struct zrx_error *error);

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

/* Whether there is an owner; whether the calling thread is it. */
int zrx_area_has_owner(const struct zrx_area *area);
int zrx_area_owned(const struct zrx_area *area);

static inline uint32_t zrx_area_chunks(const struct zrx_area *area)
{
	return (uint32_t)(area->bytes >> area->chunk_shift);
}

#endif
