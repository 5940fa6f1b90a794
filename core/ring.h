/* SPDX-License-Identifier: MIT */
/* One io_uring, as the engines that use one need it. The owner's thread, but for open and close. */
#ifndef ZRX_RING_H
#define ZRX_RING_H

#include <stdint.h>

#include "sys.h"
#include "zcrx.h"

struct zrx_receiver;
struct zrx_stream;

/*
 * user_data: a stream's handle, never below 1 << 32; or one of these.
 */
#define ZRX_RING_WAKE   1u /* the area's eventfd became readable */
#define ZRX_RING_CANCEL 2u /* a cancel request is done: says nothing that is not known */
#define ZRX_RING_TIMER  3u
#define ZRX_RING_NOTICE 4u /* zcrx event */
#define ZRX_RING_LISTEN 5u /* a listener has connections: its number above the lowest byte */

struct zrx_ring {
	struct io_uring uring;
	uint32_t flags;     /* IORING_SETUP_* in use */
	uint32_t in_flight; /* requests whose last completion is not yet seen */
	uint64_t timer_at;  /* when the timer is due; 0: none is armed */
	uint64_t slept_at;  /* counters.bytes when it last slept */
	uint8_t wake_armed;
	uint8_t was_full; /* the completion ring was seen full */
	uint8_t poll_attached;
	struct __kernel_timespec timer;
};

/*
 * Create a ring with room for options.ring_entries completions and publish its descriptor in the
 * area. wide: 32-byte completions and deferred task work, or an error; else the best flags the
 * kernel has.
 */
int zrx_ring_open(struct zrx_ring *ring, struct zrx_receiver *receiver, int wide,
		  struct zrx_error *error);
void zrx_ring_close(struct zrx_ring *ring, struct zrx_receiver *receiver);

/* Bind to this thread. */
int zrx_ring_start(struct zrx_ring *ring);

/* A zeroed request; NULL if there is no room until the next enter. */
struct io_uring_sqe *zrx_ring_request(struct zrx_ring *ring, uint8_t opcode, int fd,
				      uint64_t user_data);

int zrx_ring_cancel(struct zrx_ring *ring, const struct zrx_stream *stream); /* 0 or -EAGAIN */

/*
 * A completion ZRX_RING_TIMER at this time (zrx_sys_now_ns), or earlier where one is armed that is
 * due before. 0: no room for the request.
 */
int zrx_ring_set_timer(struct zrx_ring *ring, uint64_t at_ns);

/* As zrx_engine.watch. */
int zrx_ring_watch(struct zrx_ring *ring, int fd, uint32_t listener);

/* Submit and wait, as zrx_engine.wait; watches the area's eventfd. */
int zrx_ring_wait(struct zrx_ring *ring, struct zrx_receiver *receiver, int64_t timeout_ns);

/* A completion that is no stream's: the ring's part of it. */
void zrx_ring_internal(struct zrx_ring *ring, struct zrx_receiver *receiver, uint64_t user_data);

/*
 * Cancel everything and reap until nothing is in flight. Data that still comes is dropped: its
 * streams are going, and the bytes with them.
 */
int zrx_ring_stop(struct zrx_ring *ring);

/* Where completions lie, to be kept beside a loop that reads them. */
struct zrx_completions {
	const struct io_uring_cqe *first;
	unsigned mask;
	unsigned shift;
};

/* wide: as the ring was opened. */
static inline struct zrx_completions zrx_ring_completions(const struct zrx_ring *ring, int wide)
{
	return (struct zrx_completions){ring->uring.cq.cqes, ring->uring.cq.ring_mask, !!wide};
}

static inline const struct io_uring_cqe *zrx_completion(const struct zrx_completions *completions,
							unsigned head)
{
	return &completions->first[(size_t)(head & completions->mask) << completions->shift];
}

/* How many completions from this one to that lie in a row in memory. */
static inline unsigned zrx_completions_in_row(const struct zrx_completions *completions,
					      unsigned from, unsigned to)
{
	unsigned left = completions->mask + 1 - (from & completions->mask);

	return to - from < left ? to - from : left;
}

static inline unsigned zrx_ring_tail(const struct zrx_ring *ring)
{
	/* Pairs with the kernel's store-release after it has written the completions. */
	return io_uring_smp_load_acquire(ring->uring.cq.ktail);
}

/* Completions wait outside of the ring, because it was full: the next enter moves them in. */
static inline int zrx_ring_overflowed(const struct zrx_ring *ring)
{
	return (IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
}

static inline void zrx_ring_consumed(struct zrx_ring *ring, unsigned head)
{
	/* Pairs with the kernel's load-acquire before it writes over them. */
	io_uring_smp_store_release(ring->uring.cq.khead, head);
}

#endif
