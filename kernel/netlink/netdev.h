/* SPDX-License-Identifier: MIT */
/* A netdev's queues and page pools, by the generic netlink family "netdev". */
#ifndef ZRX_KERNEL_NETDEV_H
#define ZRX_KERNEL_NETDEV_H

#include <stdint.h>

#include "netlink/genl.h"

/* Who feeds a receive queue with memory; bits of zrx_netdev_queue.bound. */
#define ZRX_BOUND_IO_URING (1u << 0)
#define ZRX_BOUND_DMABUF   (1u << 1)
#define ZRX_BOUND_XSK      (1u << 2)
#define ZRX_BOUND_LEASE    (1u << 3)

#define ZRX_NETDEV_QUEUES 512 /* more are passed over */

struct zrx_netdev_queue {
	uint32_t id;
	uint32_t napi_id;    /* 0: the driver does not tell */
	uint32_t bound;      /* ZRX_BOUND_* */
	uint32_t dmabuf;     /* id, with ZRX_BOUND_DMABUF */
	uint32_t rx_buf_len; /* with ZRX_BOUND_IO_URING, 7.0 and newer; else 0 */
};

struct zrx_netdev_pool {
	uint64_t id;
	uint64_t napi_id;
	uint64_t inflight;
	uint64_t inflight_bytes;
	uint32_t io_uring; /* belongs to a zcrx queue */
	uint32_t detached; /* its queue is gone, its memory is still out */
};

struct zrx_netdev_queue_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t starved; /* times there was no buffer; UINT64_MAX: the driver does not tell */
};

struct zrx_netdev_pool_stats {
	uint64_t alloc_fast;
	uint64_t alloc_slow;
	uint64_t alloc_empty;
	uint64_t alloc_refill;
	uint64_t recycle_ring;
	uint64_t recycle_cached;
};

/* One receive queue. -ENOENT: the interface is down; -EINVAL: no such queue. */
int zrx_netdev_queue_get(struct zrx_genl *netdev, uint32_t ifindex, uint32_t queue,
			 struct zrx_netdev_queue *found);

/* All receive queues: returns how many were written to found, or -errno. None while it is down. */
int zrx_netdev_queues(struct zrx_genl *netdev, uint32_t ifindex, struct zrx_netdev_queue *found,
		      uint32_t capacity);

/* The interrupt of a NAPI instance; *irq is 0 where the driver does not tell. */
int zrx_netdev_napi_irq(struct zrx_genl *netdev, uint32_t napi_id, uint32_t *irq);

/* The page pools of an interface: returns how many were written to found, or -errno. */
int zrx_netdev_pools(struct zrx_genl *netdev, uint32_t ifindex, struct zrx_netdev_pool *found,
		     uint32_t capacity);

/* What a receive queue has received since its interface came up. -EOPNOTSUPP: the driver does not
 * tell. */
int zrx_netdev_queue_stats(struct zrx_genl *netdev, uint32_t ifindex, uint32_t queue,
			   struct zrx_netdev_queue_stats *stats);

/* -EOPNOTSUPP where the kernel keeps no statistics. */
int zrx_netdev_pool_stats(struct zrx_genl *netdev, uint64_t pool,
			  struct zrx_netdev_pool_stats *stats);

#endif /* ZRX_KERNEL_NETDEV_H */
