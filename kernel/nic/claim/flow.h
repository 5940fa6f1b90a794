/* SPDX-License-Identifier: MIT */
/* One TCP flow, or all flows to a local port, as the receive classifier's rules name them. Pure,
 * but for _of_socket. */
#ifndef ZRX_KERNEL_NIC_FLOW_H
#define ZRX_KERNEL_NIC_FLOW_H

#include <stddef.h>
#include <stdint.h>
#include <linux/ethtool.h>

struct zrx_flow {
	uint8_t family; /* 4 or 6 */
	uint8_t any;    /* whatever peer and local address: only the local port counts */
	uint16_t peer_port;
	uint16_t local_port;
	uint8_t peer[16]; /* network byte order; the first 4 bytes for family 4 */
	uint8_t local[16];
};

/* The flow of a connected TCP socket; -ENOTCONN, -EPROTONOSUPPORT, ... */
int zrx_flow_of_socket(int fd, struct zrx_flow *flow);

void zrx_flow_of_port(uint8_t family, uint16_t port, struct zrx_flow *flow);

int zrx_flow_equal(const struct zrx_flow *a, const struct zrx_flow *b);

/* The rule that leads the flow to the queue. location stays unset. */
void zrx_flow_rule(const struct zrx_flow *flow, uint32_t queue, struct ethtool_rx_flow_spec *rule);

/* Whether rule is about exactly this flow, wherever it leads. */
int zrx_flow_is_matched(const struct zrx_flow *flow, const struct ethtool_rx_flow_spec *rule);

/* Whether rule leads exactly this flow to this queue. */
int zrx_flow_is_rule(const struct zrx_flow *flow, uint32_t queue,
		     const struct ethtool_rx_flow_spec *rule);

/* "4 0a000001 40000 0a000002 443"-like words for the journal, for a connection's flow; returns how
 * many bytes were written. */
int zrx_flow_write(const struct zrx_flow *flow, char *text, size_t size);
/* The reverse; -EINVAL. */
int zrx_flow_read(const char *text, struct zrx_flow *flow);

/* The equivalent ethtool line. context: the RSS context that the flow is led to; 0: to queue. */
void zrx_flow_command(const struct zrx_flow *flow, const char *interface, uint32_t queue,
		      uint32_t context, char *text, size_t size);

#endif /* ZRX_KERNEL_NIC_FLOW_H */
