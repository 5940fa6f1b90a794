/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "nic/claim/flow.h"

/* A connected pair over loopback; 0, or -1 where there is no such family. */
static int connect_pair(int family, int mapped, int pair[2])
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr *address = family == AF_INET ? (void *)&four : (void *)&six;
	socklen_t length = family == AF_INET ? sizeof(four) : sizeof(six);
	int listener = socket(family, SOCK_STREAM, 0), ok;

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (mapped)
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
	pair[0] = socket(family, SOCK_STREAM, 0);
	pair[1] = -1;
	ok = !bind(listener, address, length) && !listen(listener, 1) &&
	     !getsockname(listener, address, &length) && !connect(pair[0], address, length);
	if (ok)
		pair[1] = accept(listener, NULL, NULL);
	close(listener);
	return ok && pair[1] >= 0 ? 0 : -1;
}

static void test_sockets(void)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct zrx_flow one, other;
	int pair[2], fd;

	CHECK(!connect_pair(AF_INET, 0, pair), "IPv4 over loopback");
	CHECK(!zrx_flow_of_socket(pair[0], &one) && !zrx_flow_of_socket(pair[1], &other), "flows");
	CHECK(one.family == 4 && !one.any && !memcmp(one.peer, loopback, 4), "addresses");
	CHECK(one.peer_port == other.local_port && one.local_port == other.peer_port, "ports");
	CHECK(!zrx_flow_equal(&one, &other), "the two directions differ");
	close(pair[0]);
	close(pair[1]);

	if (!connect_pair(AF_INET6, 1, pair)) {
		CHECK(!zrx_flow_of_socket(pair[0], &one), "mapped");
		CHECK(one.family == 4 && !memcmp(one.local, loopback, 4), "IPv4 on the wire");
	}
	close(pair[0]);
	close(pair[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(zrx_flow_of_socket(fd, &one) == -ENOTCONN, "not connected");
	close(fd);
	CHECK(zrx_flow_of_socket(-1, &one) == -EBADF, "no socket");
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	CHECK(zrx_flow_of_socket(pair[0], &one) == -EPROTONOSUPPORT, "not TCP");
	close(pair[0]);
	close(pair[1]);
}

static void test_rules(uint8_t family)
{
	struct zrx_flow flow = {.family = family, .peer_port = 40000, .local_port = 443}, port;
	struct ethtool_rx_flow_spec rule;

	memset(flow.peer, 0x0a, family == 4 ? 4 : 16);
	memset(flow.local, 0x0b, family == 4 ? 4 : 16);
	zrx_flow_rule(&flow, 5, &rule);
	CHECK(rule.ring_cookie == 5, "%llu", (unsigned long long)rule.ring_cookie);
	CHECK(rule.flow_type == (family == 4 ? TCP_V4_FLOW : TCP_V6_FLOW), "%u", rule.flow_type);
	if (family == 4) {
		CHECK(rule.h_u.tcp_ip4_spec.psrc == htons(40000), "the peer is the source");
		CHECK(rule.h_u.tcp_ip4_spec.ip4dst == htonl(0x0b0b0b0b), "we are the destination");
	} else {
		CHECK(rule.h_u.tcp_ip6_spec.pdst == htons(443), "we are the destination");
		CHECK(rule.m_u.tcp_ip6_spec.ip6src[3] == 0xffffffff, "whole addresses count");
	}
	CHECK(zrx_flow_is_rule(&flow, 5, &rule), "found again");
	CHECK(!zrx_flow_is_rule(&flow, 4, &rule), "another queue");
	zrx_flow_of_port(family, 443, &port);
	CHECK(!zrx_flow_is_rule(&port, 5, &rule), "a wider rule");
	zrx_flow_rule(&port, 5, &rule);
	CHECK(zrx_flow_is_rule(&port, 5, &rule), "by port");
	rule.flow_type |= FLOW_RSS;
	CHECK(!zrx_flow_is_rule(&port, 5, &rule), "to a context, not to the queue");
	CHECK(zrx_flow_is_matched(&port, &rule) && !zrx_flow_is_matched(&flow, &rule),
	      "about the port");
}

static void test_words(void)
{
	static const char *const bad[] = {
		"",
		"4",
		"4 0a 1 0b 2",
		"6 0a000001 1 0a000002 2",
		"4 0a000001 1 0a000002 99999",
		"4 0a00000g 1 0a000002 2",
	};
	struct zrx_flow flow = {.family = 6, .peer_port = 1, .local_port = 65535}, again;
	char text[128];

	memset(flow.peer, 0xfe, 16);
	zrx_flow_write(&flow, text, sizeof(text));
	CHECK(!zrx_flow_read(text, &again) && zrx_flow_equal(&flow, &again), "%s", text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(zrx_flow_read(bad[i], &again) == -EINVAL, "\"%s\"", bad[i]);
	zrx_flow_of_port(4, 80, &flow);
	zrx_flow_command(&flow, "eth1", 3, 0, text, sizeof(text));
	CHECK(!strcmp(text, "ethtool -N eth1 flow-type tcp4 dst-port 80 action 3"), "%s", text);
	zrx_flow_command(&flow, "eth1", 3, 2, text, sizeof(text));
	CHECK(!strcmp(text, "ethtool -N eth1 flow-type tcp4 dst-port 80 context 2"), "%s", text);
}

void test_flow(void)
{
	test_sockets();
	test_rules(4);
	test_rules(6);
	test_words();
}
