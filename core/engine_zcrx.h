/* SPDX-License-Identifier: MIT */
/* The engines zcrx and zcrx-nodev from the inside: what their opening and their receiving share. */
#ifndef ZRX_ENGINE_ZCRX_H
#define ZRX_ENGINE_ZCRX_H

#include <stdatomic.h>
#include <stdint.h>

#include "budget.h"
#include "ifq.h"
#include "receiver.h"
#include "ring.h"
#include "shared_queue.h"

#define ZRX_ZCRX_WIDE 1 /* completions of 32 bytes */
/* What nobody announces is looked for again, ever later while nothing comes. */
#define ZRX_ZCRX_FIRST_NS 1000000u

struct zrx_zcrx {
	struct zrx_ring ring;
	struct zrx_ifq queue;
	struct zrx_budget budget; /* of a NIC's queue */
	uint32_t spent;    /* of the refill entries taken: the last that is known to have helped no
			      copy */
	uint64_t retry_ns; /* the next wait of retry_at */
	uint64_t backlog_ns; /* of backlog_at */
	/* When to look again although nothing completes (zrx_sys_now_ns); 0: no need. */
	uint64_t retry_at;   /* parked: has the NIC let chunks go? */
	uint64_t backlog_at; /* is there room in the refill ring again? */
	uint64_t watch_at;   /* after traffic: has a stream stopped silently? */
	uint64_t delivered;  /* completions with bytes: references that the kernel gave out */
	uint32_t arms;       /* requests to make before the next wait, at most */
	uint32_t arms_left;
	struct zrx_shared_queue *shared; /* NULL: the queue is this receiver's alone */
	uint8_t nodev;
	uint8_t counted; /* which chunks are free is known: all completions are this receiver's */
	uint8_t retired;
	uint8_t retry;    /* it is time: let the parked try again */
	uint8_t shortage; /* a copy found no chunk: flush, whoever waits */
	uint8_t suspect;  /* streams may have stopped without saying so */
	uint8_t active;   /* data since the last look */
	uint8_t notice;   /* an event waits to be asked for again */
	_Atomic uint64_t flushes;
	_Atomic uint64_t alloc_failures;
};

static inline struct zrx_refill *zrx_zcrx_refill(const struct zrx_receiver *receiver)
{
	return receiver->area->refill;
}

int zrx_zcrx_open(struct zrx_receiver *receiver, struct zrx_error *error);
int zrx_zcrx_nodev_open(struct zrx_receiver *receiver, struct zrx_error *error);
int zrx_zcrx_start(struct zrx_receiver *receiver);
int zrx_zcrx_stop(struct zrx_receiver *receiver);
void zrx_zcrx_retire(struct zrx_receiver *receiver);
int zrx_zcrx_close(struct zrx_receiver *receiver);

#endif
