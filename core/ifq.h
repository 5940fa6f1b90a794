/* SPDX-License-Identifier: MIT */
/* What the kernel calls an ifq: an area and a refill ring, bound to a NIC queue or to none. */
#ifndef ZRX_IFQ_H
#define ZRX_IFQ_H

#include "ring.h"
#include "uapi.h"

struct zrx_area;
struct zrx_nic;
struct zrx_parts;
struct zrx_refill;

struct zrx_ifq {
	uint32_t id; /* of the ifq, in its ring */
	uint32_t rx_buf_len;
	uint32_t features;    /* ZRX_FEATURE_*, as the kernel tells */
	uint32_t event_types; /* 1 << ZRX_UAPI_EVENT_*, asked for */
	void *region;         /* refill ring, and the statistics where there are any */
	size_t region_bytes;
	uint32_t entries;
	const struct zrx_uapi_zcrx_stats *stats; /* written by the kernel; NULL: none */
	size_t stats_offset;
	struct zrx_nic *nic; /* NULL without a device */
	int registered;      /* the kernel has the area */
};

/* Ask the kernel what its zcrx can do: ZRX_FEATURE_*. */
uint32_t zrx_ifq_features(struct zrx_ring *ring);

/*
 * Register the receiver's area on the queue that its options name (nodev: on none), and fill
 * refill. On failure everything is undone and error says which precondition does not hold.
 */
int zrx_ifq_register(struct zrx_ifq *queue, struct zrx_ring *ring, struct zrx_refill *refill,
		     struct zrx_receiver *receiver, int nodev, struct zrx_error *error);

/*
 * Take the ifq of another ring, whose owner has not received yet, for this one, too: same area,
 * same refill ring, same queue. It is bound until the last of them is closed. Returns 0, or a
 * negative errno with error filled.
 */
int zrx_ifq_import(struct zrx_ifq *queue, struct zrx_ring *ring, const struct zrx_ifq *from,
		   struct zrx_ring *from_ring, struct zrx_error *error);

/* After the last ring is closed: unmap the refill ring. */
void zrx_ifq_forget(struct zrx_ifq *queue);

/* Have the kernel take everything out of the refill ring now. Owner's thread. */
int zrx_ifq_flush(const struct zrx_ifq *queue, struct zrx_ring *ring);

/* Ask for the next notice of this type. Owner's thread. */
int zrx_ifq_rearm_event(const struct zrx_ifq *queue, struct zrx_ring *ring, uint32_t type);

/*
 * The area has memory for so many bytes, whole chunks: give what is new to the kernel, as one more
 * part. It cannot be taken back. Owner's thread. Returns 0, or a negative errno: nothing happened.
 */
int zrx_ifq_extend(const struct zrx_ifq *queue, struct zrx_ring *ring, struct zrx_parts *parts,
		   const struct zrx_area *area, uint64_t bytes);

#endif
