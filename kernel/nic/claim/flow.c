/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "nic/claim/flow.h"

static size_t flow_address_bytes(const struct zrx_flow *flow)
{
	return flow->family == 4 ? 4 : 16;
}

/* One end of a connection. Addresses of IPv4 mapped into IPv6 are IPv4 on the wire. */
static int flow_end(const struct sockaddr_storage *address, struct zrx_flow *flow, uint8_t *bytes,
		    uint16_t *port)
{
	const struct sockaddr_in6 *six = (const void *)address;
	const struct sockaddr_in *four = (const void *)address;

	if (address->ss_family == AF_INET) {
		flow->family = 4;
		*port = ntohs(four->sin_port);
		memcpy(bytes, &four->sin_addr, 4);
		return 0;
	}
	if (address->ss_family != AF_INET6)
		return -EPROTONOSUPPORT;
	*port = ntohs(six->sin6_port);
	flow->family = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) ? 4 : 6;
	if (flow->family == 4)
		memcpy(bytes, six->sin6_addr.s6_addr + 12, 4);
	else
		memcpy(bytes, six->sin6_addr.s6_addr, 16);
	return 0;
}

int zrx_flow_of_socket(int fd, struct zrx_flow *flow)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	int result, type = 0;

	memset(flow, 0, sizeof(*flow));
	if (getpeername(fd, (void *)&address, &length))
		return -errno;
	result = flow_end(&address, flow, flow->peer, &flow->peer_port);
	length = sizeof(address);
	if (!result && getsockname(fd, (void *)&address, &length))
		result = -errno;
	if (!result)
		result = flow_end(&address, flow, flow->local, &flow->local_port);
	length = sizeof(type);
	if (!result && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length))
		result = -errno;
	return !result && type != SOCK_STREAM ? -EPROTONOSUPPORT : result;
}

void zrx_flow_of_port(uint8_t family, uint16_t port, struct zrx_flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	flow->family = family;
	flow->any = 1;
	flow->local_port = port;
}

int zrx_flow_equal(const struct zrx_flow *a, const struct zrx_flow *b)
{
	return a->family == b->family && a->any == b->any && a->peer_port == b->peer_port &&
	       a->local_port == b->local_port && !memcmp(a->peer, b->peer, sizeof(a->peer)) &&
	       !memcmp(a->local, b->local, sizeof(a->local));
}

/* A packet comes from the peer: its source is the peer's end. */
void zrx_flow_rule(const struct zrx_flow *flow, uint32_t queue, struct ethtool_rx_flow_spec *rule)
{
	struct ethtool_tcpip4_spec *four = &rule->h_u.tcp_ip4_spec,
				   *mask4 = &rule->m_u.tcp_ip4_spec;
	struct ethtool_tcpip6_spec *six = &rule->h_u.tcp_ip6_spec, *mask6 = &rule->m_u.tcp_ip6_spec;

	memset(rule, 0, sizeof(*rule));
	rule->ring_cookie = queue;
	if (flow->family == 4) {
		rule->flow_type = TCP_V4_FLOW;
		four->pdst = htons(flow->local_port);
		mask4->pdst = 0xffff;
		if (flow->any)
			return;
		four->psrc = htons(flow->peer_port);
		mask4->psrc = 0xffff;
		memcpy(&four->ip4src, flow->peer, 4);
		memcpy(&four->ip4dst, flow->local, 4);
		memset(&mask4->ip4src, 0xff, 4);
		memset(&mask4->ip4dst, 0xff, 4);
		return;
	}
	rule->flow_type = TCP_V6_FLOW;
	six->pdst = htons(flow->local_port);
	mask6->pdst = 0xffff;
	if (flow->any)
		return;
	six->psrc = htons(flow->peer_port);
	mask6->psrc = 0xffff;
	memcpy(six->ip6src, flow->peer, 16);
	memcpy(six->ip6dst, flow->local, 16);
	memset(mask6->ip6src, 0xff, 16);
	memset(mask6->ip6dst, 0xff, 16);
}

/* Drivers fill fields that were not asked for (bnxt: extensions) or that do not count: compare what
 * does. */
int zrx_flow_is_matched(const struct zrx_flow *flow, const struct ethtool_rx_flow_spec *rule)
{
	struct ethtool_rx_flow_spec ours;

	zrx_flow_rule(flow, 0, &ours);
	if (ours.flow_type != (rule->flow_type & ~(uint32_t)FLOW_RSS))
		return 0;
	if (flow->family == 4)
		return !memcmp(&ours.h_u.tcp_ip4_spec, &rule->h_u.tcp_ip4_spec, 12) &&
		       !memcmp(&ours.m_u.tcp_ip4_spec, &rule->m_u.tcp_ip4_spec, 12);
	return !memcmp(&ours.h_u.tcp_ip6_spec, &rule->h_u.tcp_ip6_spec, 36) &&
	       !memcmp(&ours.m_u.tcp_ip6_spec, &rule->m_u.tcp_ip6_spec, 36);
}

int zrx_flow_is_rule(const struct zrx_flow *flow, uint32_t queue,
		     const struct ethtool_rx_flow_spec *rule)
{
	return zrx_flow_is_matched(flow, rule) && !(rule->flow_type & FLOW_RSS) &&
	       rule->ring_cookie == queue;
}

static void flow_hex(const uint8_t *bytes, size_t count, char *text)
{
	for (size_t i = 0; i < count; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static int flow_unhex(const char *text, size_t count, uint8_t *bytes)
{
	unsigned value;

	if (strlen(text) != 2 * count || strspn(text, "0123456789abcdef") != 2 * count)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		sscanf(text + 2 * i, "%2x", &value);
		bytes[i] = (uint8_t)value;
	}
	return 0;
}

int zrx_flow_write(const struct zrx_flow *flow, char *text, size_t size)
{
	size_t bytes = flow_address_bytes(flow);
	char peer[33], local[33];

	flow_hex(flow->peer, bytes, peer);
	flow_hex(flow->local, bytes, local);
	return snprintf(text, size, "%u %s %u %s %u", flow->family, peer, flow->peer_port, local,
			flow->local_port);
}

int zrx_flow_read(const char *text, struct zrx_flow *flow)
{
	unsigned family, peer_port, local_port;
	char peer[33], local[33];

	memset(flow, 0, sizeof(*flow));
	if (sscanf(text, "%u %32[0-9a-f] %u %32[0-9a-f] %u", &family, peer, &peer_port, local,
		   &local_port) != 5)
		return -EINVAL;
	if ((family != 4 && family != 6) || peer_port > 65535 || local_port > 65535)
		return -EINVAL;
	flow->family = (uint8_t)family;
	flow->peer_port = (uint16_t)peer_port;
	flow->local_port = (uint16_t)local_port;
	return flow_unhex(peer, flow_address_bytes(flow), flow->peer) ||
			       flow_unhex(local, flow_address_bytes(flow), flow->local)
		       ? -EINVAL
		       : 0;
}

void zrx_flow_command(const struct zrx_flow *flow, const char *interface, uint32_t queue,
		      uint32_t context, char *text, size_t size)
{
	int family = flow->family == 4 ? AF_INET : AF_INET6;
	char peer[INET6_ADDRSTRLEN], local[INET6_ADDRSTRLEN], target[32];

	snprintf(target, sizeof(target), context ? "context %u" : "action %u",
		 context ? context : queue);
	if (flow->any) {
		snprintf(text, size, "ethtool -N %s flow-type tcp%u dst-port %u %s", interface,
			 flow->family, flow->local_port, target);
		return;
	}
	inet_ntop(family, flow->peer, peer, sizeof(peer));
	inet_ntop(family, flow->local, local, sizeof(local));
	snprintf(text, size,
		 "ethtool -N %s flow-type tcp%u src-ip %s dst-ip %s src-port %u dst-port %u %s",
		 interface, flow->family, peer, local, flow->peer_port, flow->local_port, target);
}
