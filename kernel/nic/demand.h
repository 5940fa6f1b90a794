/* SPDX-License-Identifier: MIT */
/*
 * The standing demand of a receive queue: what descriptors and page pool hold of an area before a
 * program has a byte of it. Descriptors times stride, in each driver's own way.
 */
#ifndef ZRX_KERNEL_NIC_DEMAND_H
#define ZRX_KERNEL_NIC_DEMAND_H

#include "nic/device.h"

/* What it depends on, as the driver tells it now. */
struct zrx_demand_facts {
	const char *driver;
	uint32_t page_bytes;
	uint32_t rx;           /* descriptors, as ethtool -g tells */
	uint32_t jumbo;        /* of the second ring, likewise; 0: none, or none yet */
	uint32_t buf_len;      /* the driver's own buffers; 0: it does not tell */
	uint32_t split;        /* ZRX_SPLIT_* */
	uint32_t mtu;          /* 0: not told */
	uint32_t buffer_bytes; /* wanted as rx_buf_len; 0: a page */
};

/* The formula (pure): fills chunk_bytes and what comes after hw_gro, and the descriptors. */
void zrx_demand_compute(const struct zrx_demand_facts *facts, struct zrx_nic_demand *demand);

/*
 * Read what it depends on, and compute. The queue is not looked at: rings are the interface's. With
 * split still off, it is what will be once it is on. Returns 0; -EOPNOTSUPP where the driver tells
 * no rings; or what reading gave.
 */
int zrx_demand_read(struct zrx_nic_device *device, uint32_t buffer_bytes,
		    struct zrx_nic_demand *demand);

#endif /* ZRX_KERNEL_NIC_DEMAND_H */
