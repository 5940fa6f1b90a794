/* SPDX-License-Identifier: MIT */
/* The judgement behind zrx_nic_explain, apart from how its facts are found. */
#ifndef ZRX_KERNEL_NIC_EXPLAIN_H
#define ZRX_KERNEL_NIC_EXPLAIN_H

#include "netlink/ethtool.h"
#include "nic/device.h"
#include "zcrx.h"

struct zrx_nic_case {
	char interface[32];
	char driver[32]; /* empty: not known to ethtool, as loopback */
	char bus[32];    /* empty: virtual */
	char holder[64]; /* who seems to hold the queue; empty: not found */
	uint32_t queue;
	uint32_t queue_count;
	uint32_t rx_buf_len; /* as registered; 0: the page size */
	uint32_t page_bytes;
	uint32_t kernel; /* the running one, ZRX_KERNEL(); 0: not told */
	uint32_t xdp;    /* a program is attached */
	uint32_t bound;  /* ZRX_BOUND_* */
	int rings_error; /* rings could not be read */
	struct zrx_ethtool_rings rings;
};

/* zrx_nic_explain on an interface that is open already. */
int zrx_nic_explain_device(struct zrx_nic_device *device, uint32_t queue, int errno_value,
			   uint32_t rx_buf_len, struct zrx_error *error);

/* The error for an interface with an XDP program. Returns code. */
int zrx_nic_explain_xdp(const char *interface, int code, struct zrx_error *error);

/* Pure, but for errnos that are the process' own: those look at the process. Returns -errno_value.
 */
int zrx_nic_explain_case(const struct zrx_nic_case *facts, int errno_value,
			 struct zrx_error *error);

#endif /* ZRX_KERNEL_NIC_EXPLAIN_H */
