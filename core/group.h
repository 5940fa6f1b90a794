/* SPDX-License-Identifier: MIT */
/* A group from the inside: its receivers' inboxes, and its listeners. */
#ifndef ZRX_GROUP_H
#define ZRX_GROUP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "inbox.h"
#include "zcrx.h"

struct zrx_listener {
	int32_t fd;       /* the group's own; -1: none */
	int32_t blocking; /* its file was, before */
	struct zrx_stream_options options;
};

struct zrx_group {
	pthread_mutex_t lock; /* of what comes and goes: receivers, listeners. Not of the inboxes */
	uint32_t count;
	uint32_t open;     /* receivers that are not closed: under the lock */
	uint32_t by_queue; /* the NIC leads connections to queues: their receiver is found by NAPI
			      id */
	uint32_t on_nic;
	uint32_t forked;      /* set in a child: touch nothing */
	uint64_t chunk_bytes; /* of each receiver: bounds of a window */
	uint64_t area_max_bytes;
	char interface[16];
	struct zrx_stats closed; /* sums of receivers that are closed: under the lock */

	struct zrx_listener listeners[ZRX_GROUP_LISTENERS];
	_Atomic uint32_t listening; /* bits: those that are listened on */

	_Atomic uint32_t turn;          /* where the next look for the least loaded begins */
	_Atomic uint64_t starved_until; /* a connection that is accepted lacks a descriptor:
					   nobody accepts more (zrx_sys_now_ns) */
	_Atomic uint64_t napi_at;       /* when NAPI ids may be looked up again (zrx_sys_now_ns) */
	_Atomic uint64_t settle_at; /* when the NIC may be looked at for what dead processes left */
	_Atomic uint64_t settle_ns; /* the next wait of that */

	_Atomic uint64_t accepted;
	_Atomic uint64_t added;
	_Atomic uint64_t handed_over;
	_Atomic uint64_t copied;
	_Atomic uint64_t refused;
	_Atomic uint64_t inbox_full;
	_Atomic uint64_t accept_retries;

	struct zrx_inbox inboxes[];
};

/* Counters of a group are written by many threads, a few times for each connection. */
static inline void zrx_group_counted(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* A receiver of a group is about to be closed, by its owner or whoever closes the group. */
void zrx_group_leave(struct zrx_receiver *receiver);

/*
 * Hand a socket over to where it belongs. self: the inbox of the calling thread, which is not
 * pushed to; NULL: it has none. Returns 1 if it belongs to self; 0: it is handed over; -ENOBUFS or
 * -ESHUTDOWN: nothing has happened. arrival->flags may get ZRX_ADDED_COPIED.
 */
int zrx_group_hand_over(struct zrx_group *group, struct zrx_inbox *self,
			struct zrx_arrival *arrival);

/* Let go of a socket that nobody is going to add. */
void zrx_group_let_go(struct zrx_group *group, const struct zrx_arrival *arrival);

/* No receiver is left, or the group goes: stop listening. Under the lock. */
void zrx_group_stop_listening(struct zrx_group *group);

/* Close those that are open: as zrx_group_close, which frees the group next. */
int zrx_group_close_receivers(struct zrx_group *group);
void zrx_group_free(struct zrx_group *group);

/* What a receiver counted, before it goes. Under the lock. */
void zrx_group_sum_closed(struct zrx_group *group, const struct zrx_receiver *receiver);

/* In a forked child: close the descriptors that are the group's. */
void zrx_group_forked(struct zrx_inbox *inbox);

#endif
