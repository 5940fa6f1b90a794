/* SPDX-License-Identifier: MIT */
/*
 * The inbox of a receiver in a group: sockets that other threads have brought, for its owner to
 * add. A bounded queue without a lock; of many producers, and of one consumer, the owner. It
 * outlives its receiver, because a producer may still look at it.
 */
#ifndef ZRX_INBOX_H
#define ZRX_INBOX_H

#include <stdatomic.h>
#include <stdint.h>

#include "area.h"
#include "zcrx.h"

struct zrx_group;

/* A socket on its way to a receiver. */
struct zrx_arrival {
	struct zrx_stream_options options; /* checked */
	uint64_t cookie;
	int32_t given;  /* the caller's descriptor, or that of the accepted connection */
	int32_t own;    /* the library's duplicate */
	uint32_t flags; /* ZRX_ADDED_* */
	uint32_t moves; /* how often it came to a receiver that could not read it */
};

struct zrx_inbox_slot {
	/*
	 * Whose turn it is: the position at which it may be written, or that one + 1: it may be
	 * read.
	 */
	_Atomic uint32_t turn;
	struct zrx_arrival arrival;
};

struct zrx_inbox {
	struct zrx_group *group;
	struct zrx_receiver *receiver; /* until it is closed; under the group's lock for others */
	struct zrx_area *area;         /* to wake the owner by; while a producer is counted */
	struct zrx_inbox_slot *slots;
	uint32_t mask;
	uint32_t queue;        /* of its NIC */
	uint32_t watching;     /* listeners that the engine watches: the owner's, bits */
	uint32_t ready;        /* those that have connections: the owner's, bits */
	uint32_t accept_first; /* the listener whose turn it is: the owner's */
	uint64_t retry_at;     /* accepting waits until then (zrx_sys_now_ns); 0: it does not */
	uint64_t reminded_at;  /* the retry_at that the engine was asked to remind of */
	int timer_fd;          /* engine recv: by which it does; -1: none */
	struct zrx_arrival
		kept; /* accepted, and not yet handed over: the owner's. given -1: none */

	char apart[ZRX_AREA_LINE];
	_Atomic uint32_t head;    /* the owner's to write */
	_Atomic uint32_t streams; /* likewise: how many it has */
	_Atomic uint32_t napi_id; /* of its queue, as it was last looked up; 0: not known */
	char apart_behind[ZRX_AREA_LINE];
	_Atomic uint32_t tail;
	_Atomic uint32_t producers; /* under way; ZRX_INBOX_CLOSED */
};

#define ZRX_INBOX_CLOSED (1u << 31)

/* With one slot "written" and "free for the next round" would be the same turn. */
#define ZRX_INBOX_LEAST 2u

/* Returns 0 or -ENOMEM. Closed at first. entries: a power of two, at least ZRX_INBOX_LEAST. */
int zrx_inbox_open(struct zrx_inbox *inbox, uint32_t entries);
void zrx_inbox_free(struct zrx_inbox *inbox);

/* There is a receiver, whose area this is. */
void zrx_inbox_join(struct zrx_inbox *inbox, struct zrx_area *area);

/*
 * Any thread: hand a socket over, and wake the owner if it sleeps. Returns 0, -ENOBUFS if it is
 * full, or -ESHUTDOWN if it is closed.
 */
int zrx_inbox_push(struct zrx_inbox *inbox, const struct zrx_arrival *arrival);

/* Any thread: wake the owner if it sleeps, or see to it that it looks before it does. */
void zrx_inbox_wake(struct zrx_inbox *inbox);

/* Owner, or whoever closes: the next one, which stays there until it is taken; NULL: none. */
const struct zrx_arrival *zrx_inbox_first(struct zrx_inbox *inbox);
void zrx_inbox_take(struct zrx_inbox *inbox);

/* Nobody can push any more; whoever was about to is through. */
void zrx_inbox_close(struct zrx_inbox *inbox);

static inline int zrx_inbox_is_closed(const struct zrx_inbox *inbox)
{
	return (atomic_load_explicit(&inbox->producers, memory_order_relaxed) & ZRX_INBOX_CLOSED) !=
	       0;
}

/* How many wait in it, about. */
static inline uint32_t zrx_inbox_depth(const struct zrx_inbox *inbox)
{
	uint32_t tail = atomic_load_explicit(&inbox->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);

	return (int32_t)(tail - head) > 0 ? tail - head : 0;
}

/* How much its owner has to do, about. */
static inline uint32_t zrx_inbox_load(const struct zrx_inbox *inbox)
{
	return atomic_load_explicit(&inbox->streams, memory_order_relaxed) + zrx_inbox_depth(inbox);
}

#endif
