/* SPDX-License-Identifier: MIT */
/* Which queue to take: pure. */
#ifndef ZRX_KERNEL_NIC_CHOOSE_H
#define ZRX_KERNEL_NIC_CHOOSE_H

#include "netlink/netdev.h"
#include "nic/claim/rss.h"

#define ZRX_NO_QUEUE UINT32_MAX

/*
 * The highest queue that is neither bound nor in taken and not below first_queue: drivers and
 * administrators hand out work from below. ZRX_NO_QUEUE if there is none.
 */
uint32_t zrx_nic_choose(const struct zrx_netdev_queue *queues, uint32_t count,
			const struct zrx_queue_set *taken, uint32_t first_queue);

#endif /* ZRX_KERNEL_NIC_CHOOSE_H */
