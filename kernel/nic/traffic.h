/* SPDX-License-Identifier: MIT */
/* What the kernel counts of one receive queue and of the pool that feeds it. */
#ifndef ZRX_KERNEL_NIC_TRAFFIC_H
#define ZRX_KERNEL_NIC_TRAFFIC_H

#include <stdint.h>

/* Counted since some time in the past: only differences tell. ZRX_UNKNOWN where it is not told. */
struct zrx_nic_traffic {
	uint64_t packets;
	uint64_t bytes;
	/*
	 * Chunks that the driver took from the area, at least. The page pool counts those that it
	 * had in its cache, and not the one that it hands out at once whenever it fills the cache
	 * with up to 64 (net/core/page_pool.c, page_pool_alloc_netmems).
	 */
	uint64_t chunks;
	uint64_t unsplit; /* packets of the queue that the NIC could not split */
	uint64_t starved; /* times the queue had no buffer */
};

/* Any part of it may stay unknown; never fails. napi_id: of the queue, 0 if not known. */
void zrx_nic_traffic_read(struct zrx_nic_traffic *traffic, uint32_t ifindex, uint32_t queue,
			  uint32_t napi_id);

#endif /* ZRX_KERNEL_NIC_TRAFFIC_H */
