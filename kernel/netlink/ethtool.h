/* SPDX-License-Identifier: MIT */
/*
 * A NIC's settings, read and written through the SIOCETHTOOL ioctl, or as netlink attributes where
 * the ioctl has no word for them (header/data split). One call, one setting.
 */
#ifndef ZRX_KERNEL_ETHTOOL_H
#define ZRX_KERNEL_ETHTOOL_H

#include <stdint.h>
#include <linux/ethtool.h>

#include "netlink/genl.h"

#define ZRX_RSS_ENTRIES 2048 /* the largest indirection table that is handled */
#define ZRX_RULES       4096 /* the most rules of one NIC that are looked at */

/* ETHTOOL_A_RINGS_TCP_DATA_SPLIT */
#define ZRX_SPLIT_UNKNOWN 0u /* to set: the driver's own choice, "auto" */
#define ZRX_SPLIT_OFF     1u
#define ZRX_SPLIT_ON      2u

struct zrx_ethtool_driver {
	char driver[32];
	char version[32];
	char firmware[32];
	char bus[32];
};

struct zrx_ethtool_rings {
	uint32_t rx;
	uint32_t rx_max;
	uint32_t jumbo;   /* descriptors of a second ring, for payload or large packets; 0: none */
	uint32_t buf_len; /* bytes of the driver's own buffers; 0: it does not tell */
	uint32_t split;   /* ZRX_SPLIT_* */
	uint32_t thresh;
	uint32_t has_thresh; /* the driver has the setting, which does not mean that it is not zero
			      */
};

struct zrx_ethtool_channels {
	uint32_t rx; /* receive queues: rx and combined */
	uint32_t max;
};

/* Bits of zrx_ethtool_feature. */
#define ZRX_FEATURE_STATE_ON    (1u << 0)
#define ZRX_FEATURE_STATE_FIXED (1u << 1) /* cannot be changed */

struct zrx_ethtool_rss {
	uint32_t count; /* 0: the NIC has no table */
	uint32_t queue[ZRX_RSS_ENTRIES];
};

/* All take an AF_INET socket for the ioctl and return 0 or -errno. */
int zrx_ethtool_driver(int socket, const char *name, struct zrx_ethtool_driver *found);
int zrx_ethtool_channels(int socket, const char *name, struct zrx_ethtool_channels *found);

/* A feature by its kernel name ("rx-ntuple-filter"). -ENOENT: this kernel has no such feature. */
int zrx_ethtool_feature(int socket, const char *name, const char *feature, uint32_t *state);
int zrx_ethtool_feature_set(int socket, const char *name, const char *feature, int on);

int zrx_ethtool_rss(int socket, const char *name, struct zrx_ethtool_rss *rss);
/* rss NULL: back to the driver's default. Only the table: some drivers reopen the NIC for a new
 * key. */
int zrx_ethtool_rss_set(int socket, const char *name, const struct zrx_ethtool_rss *rss);

/* Additional RSS contexts, which flow rules can name, with tables as long as the main one. -ENOENT:
 * there is no such context; -EBUSY to remove: rules name it. */
int zrx_ethtool_context(int socket, const char *name, uint32_t context,
			struct zrx_ethtool_rss *rss);
int zrx_ethtool_context_add(int socket, const char *name, const struct zrx_ethtool_rss *rss,
			    uint32_t *context);
int zrx_ethtool_context_set(int socket, const char *name, uint32_t context,
			    const struct zrx_ethtool_rss *rss);
int zrx_ethtool_context_remove(int socket, const char *name, uint32_t context);

/* Rules of the receive classifier. context: the RSS context that it leads to; 0: to its queue. */
int zrx_ethtool_rule_add(int socket, const char *name, struct ethtool_rx_flow_spec *rule,
			 uint32_t context);
int zrx_ethtool_rule_remove(int socket, const char *name, uint32_t location);
/* context: RSS context of a rule with FLOW_RSS; may be NULL. */
int zrx_ethtool_rule(int socket, const char *name, uint32_t location,
		     struct ethtool_rx_flow_spec *rule, uint32_t *context);
struct zrx_ethtool_rule_table {
	uint32_t size; /* locations are below it */
	uint32_t any;  /* the driver chooses a location itself: ask for RX_CLS_LOC_ANY, no other */
	uint32_t count;
	uint32_t location[ZRX_RULES];
};
/*
 * The locations in use. While there is no rule at all, ask for none where locations are told to the
 * driver (table.any 0): gve (Linux 7.2) crashes.
 */
int zrx_ethtool_rules(int socket, const char *name, struct zrx_ethtool_rule_table *table);
int zrx_ethtool_lists(const struct zrx_ethtool_rule_table *table, uint32_t location);
/* The last location that is free; -ENOSPC. */
int zrx_ethtool_free_place(const struct zrx_ethtool_rule_table *table, uint32_t *location);

/* Packets of a receive queue that the NIC could not split, by the driver's count. -EOPNOTSUPP: it
 * keeps none. */
int zrx_ethtool_unsplit(int socket, const char *name, uint32_t queue, uint64_t *count);

/* By the family "ethtool". */
int zrx_ethtool_rings(struct zrx_genl *ethtool, uint32_t ifindex, struct zrx_ethtool_rings *rings);
/*
 * *changed: whether it had been set to something else. Reading cannot tell a driver's own choice
 * from the same set by an administrator; this does. In doubt, 1.
 */
int zrx_ethtool_split_set(struct zrx_genl *ethtool, uint32_t ifindex, uint32_t split,
			  uint32_t *changed);
int zrx_ethtool_thresh_set(struct zrx_genl *ethtool, uint32_t ifindex, uint32_t thresh);

#endif /* ZRX_KERNEL_ETHTOOL_H */
