/* SPDX-License-Identifier: MIT */
/*
 * One NIC, behind a table of what can be read from it and changed in it. The product's is the real
 * one; tests put one in memory here, which fails where they want it to.
 */
#ifndef ZRX_KERNEL_NIC_DEVICE_H
#define ZRX_KERNEL_NIC_DEVICE_H

#include "netlink/ethtool.h"
#include "netlink/netdev.h"
#include "zcrx.h"

struct zrx_nic_device;

/* All return 0 (queues: a count) or a negative errno, and then may leave a sentence in kernel_text.
 */
struct zrx_nic_ops {
	int (*driver)(struct zrx_nic_device *device, struct zrx_ethtool_driver *found);
	int (*channels)(struct zrx_nic_device *device, struct zrx_ethtool_channels *found);
	int (*queues)(struct zrx_nic_device *device, struct zrx_netdev_queue *found,
		      uint32_t capacity);
	int (*irq)(struct zrx_nic_device *device, uint32_t napi_id, uint32_t *irq); /* NULL: is not
										     told */
	int (*xdp)(struct zrx_nic_device *device, uint32_t *attached);
	int (*mtu)(struct zrx_nic_device *device, uint32_t *mtu);
	int (*rings)(struct zrx_nic_device *device, struct zrx_ethtool_rings *rings);
	int (*split_set)(struct zrx_nic_device *device, uint32_t split, uint32_t *changed);
	int (*thresh_set)(struct zrx_nic_device *device, uint32_t thresh);
	int (*feature)(struct zrx_nic_device *device, const char *feature, uint32_t *state);
	int (*feature_set)(struct zrx_nic_device *device, const char *feature, int on);
	int (*rss)(struct zrx_nic_device *device, struct zrx_ethtool_rss *rss);
	int (*rss_set)(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss);
	int (*context)(struct zrx_nic_device *device, uint32_t context,
		       struct zrx_ethtool_rss *rss);
	int (*context_add)(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss,
			   uint32_t *context);
	int (*context_set)(struct zrx_nic_device *device, uint32_t context,
			   const struct zrx_ethtool_rss *rss);
	int (*context_remove)(struct zrx_nic_device *device, uint32_t context);
	int (*rules)(struct zrx_nic_device *device, struct zrx_ethtool_rule_table *table);
	int (*rule)(struct zrx_nic_device *device, uint32_t location,
		    struct ethtool_rx_flow_spec *rule, uint32_t *context);
	int (*rule_add)(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
			uint32_t context);
	int (*rule_remove)(struct zrx_nic_device *device, uint32_t location);
	void (*pause_ms)(struct zrx_nic_device *device, uint32_t milliseconds);
};

struct zrx_nic_device {
	const struct zrx_nic_ops *ops;
	char name[16];
	uint32_t ifindex;
	char kernel_text[128];
};

#define ZRX_NIC_NTUPLE "rx-ntuple-filter"
#define ZRX_NIC_HW_GRO "rx-gro-hw"

/* The interface of this name in the caller's network namespace. Fills error with stage nic. */
int zrx_nic_device_open(struct zrx_nic_device **device, const char *interface,
			struct zrx_error *error);
void zrx_nic_device_close(struct zrx_nic_device *device);

/* One queue out of queues(); -ERANGE if there is none of that number. */
int zrx_nic_device_queue(struct zrx_nic_device *device, uint32_t queue,
			 struct zrx_netdev_queue *found);

/* Receive queues in use: as the kernel lists them, or, while the interface is down, its channels.
 */
uint32_t zrx_nic_device_queue_count(struct zrx_nic_device *device);

#endif /* ZRX_KERNEL_NIC_DEVICE_H */
