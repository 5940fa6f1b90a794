/* SPDX-License-Identifier: MIT */
/* Arithmetic on receive-side scaling tables: pure. */
#ifndef ZRX_KERNEL_NIC_RSS_H
#define ZRX_KERNEL_NIC_RSS_H

#include <stddef.h>
#include <stdint.h>

#include "netlink/ethtool.h"
#include "netlink/netdev.h"

/* A set of queue numbers. */
struct zrx_queue_set {
	uint64_t bits[ZRX_NETDEV_QUEUES / 64];
};

void zrx_queue_set_add(struct zrx_queue_set *set, uint32_t queue);
int zrx_queue_set_has(const struct zrx_queue_set *set, uint32_t queue);
uint32_t zrx_queue_set_count(const struct zrx_queue_set *set);
/* The lowest; UINT32_MAX if the set is empty. */
uint32_t zrx_queue_set_first(const struct zrx_queue_set *set);

/* How many entries lead to the queue. */
uint32_t zrx_rss_count(const struct zrx_ethtool_rss *rss, uint32_t queue);

/*
 * The table without the queue: its entries go round to the queues that the table names otherwise,
 * else to any below queue_count; never to one in avoid. All other entries stay. Returns how many
 * entries moved, or -EBUSY where no other queue is left.
 */
int zrx_rss_move_away(const struct zrx_ethtool_rss *now, uint32_t queue, uint32_t queue_count,
		      const struct zrx_queue_set *avoid, struct zrx_ethtool_rss *next);

/*
 * Whether now can have come from before by moving the queue away, as above. If not, somebody else
 * has changed the table since.
 */
int zrx_rss_is_moved(const struct zrx_ethtool_rss *before, const struct zrx_ethtool_rss *now,
		     uint32_t queue);

/*
 * Share the entries out equally among the queues (at least one), and only among them. As few
 * entries as possible change: each takes its flows to another queue.
 */
void zrx_rss_share(struct zrx_ethtool_rss *rss, const struct zrx_queue_set *queues);

/* Whether the table leads to these queues only. */
int zrx_rss_is_within(const struct zrx_ethtool_rss *rss, const struct zrx_queue_set *queues);

int zrx_rss_equal(const struct zrx_ethtool_rss *a, const struct zrx_ethtool_rss *b);

/* Whether it is what drivers start with: queues 0..n-1 in turn. */
int zrx_rss_is_default(const struct zrx_ethtool_rss *rss);

/* The ethtool command that makes the NIC spread as this table does. */
void zrx_rss_command(const struct zrx_ethtool_rss *rss, const char *interface, char *text,
		     size_t size);

#endif /* ZRX_KERNEL_NIC_RSS_H */
