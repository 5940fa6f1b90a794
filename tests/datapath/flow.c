/* SPDX-License-Identifier: MIT */
#include "flow.h"
#include "nic.h"
#include "payload.h"
#include "verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEED         1
#define FORGET_BELOW 64 /* descriptors */
#define PENDING_MS   10000
#define CONNECT_MS   30000
/* Between the parts of flows that go on until they are told: leaves time for what happens beside.
 */
#define PART_NS 100000000

/* Statuses of a sender. */
#define SENDER_DONE    0
#define SENDER_CUT_OFF 3 /* this side left first */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* This side's address, as both sides need it. */
static socklen_t local_address(union address *address, int family, uint16_t port)
{
	const char *text = nic_environment(family == AF_INET ? "LOCAL4" : "LOCAL");
	void *place = &address->v6.sin6_addr;

	memset(address, 0, sizeof(*address));
	address->any.sa_family = (sa_family_t)family;
	address->v6.sin6_port = htons(port); /* has the same place in both families */
	if (family == AF_INET)
		place = &address->v4.sin_addr;
	CHECK(inet_pton(family, text, place) == 1, "%s is no address", text);
	return family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

void listener_open(struct listener *listener, int family)
{
	union address address;
	socklen_t length = local_address(&address, family, 0);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !bind(fd, &address.any, length) && !listen(fd, 8) &&
		      !getsockname(fd, &address.any, &length),
	      "listen: %s", strerror(errno));
	*listener = (struct listener){fd, family, ntohs(address.v6.sin6_port), NULL};
}

void listener_close(const struct listener *listener)
{
	close(listener->fd);
}

/* ---- the other port ---- */

/* Connections of others, which the fork has copied: their ends shall not wait for this process. */
static void forget_sockets(void)
{
	struct stat about;

	for (int fd = STDERR_FILENO + 1; fd < FORGET_BELOW; fd++)
		if (!fstat(fd, &about) && S_ISSOCK(about.st_mode))
			close(fd);
}

static int send_all(int fd, uint64_t number, uint64_t bytes)
{
	for (uint64_t sent = 0; sent < bytes;) {
		uint64_t part = bytes - sent < PAYLOAD_BYTES ? bytes - sent : PAYLOAD_BYTES;
		ssize_t count = send(fd, payload_at(SEED, number, sent), part, MSG_NOSIGNAL);

		if (count < 0)
			return -1;
		sent += (uint64_t)count;
	}
	return shutdown(fd, SHUT_WR);
}

static int send_until_told(int fd, uint64_t number, struct flow_ends *ends)
{
	uint64_t sent = 0;

	while (!sent || !atomic_load(&ends->now)) {
		ssize_t count =
			send(fd, payload_at(SEED, number, sent), PAYLOAD_BYTES, MSG_NOSIGNAL);

		if (count < 0)
			return -1;
		sent += (uint64_t)count;
		nanosleep(&(struct timespec){.tv_nsec = PART_NS}, NULL);
	}
	atomic_store(&ends->bytes[number], sent);
	return shutdown(fd, SHUT_WR);
}

#define PORT_TRIES 100

/* Ports that the kernel takes one after the other hash to few of a NIC's queues. */
static void spread_port(int fd, int family, uint64_t number)
{
	uint16_t port = (uint16_t)(10000 + (number * number * 1237 + number * 7919) % 50000);
	union address address = {.v6 = {.sin6_family = (sa_family_t)family}};
	socklen_t length = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
	int one = 1, result = -1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	for (int i = 0; result && i < PORT_TRIES; i++) { /* connections have ports of these, too */
		address.v6.sin6_port = htons((uint16_t)(port + i));
		result = bind(fd, &address.any, length);
	}
	CHECK(!result, "ports from %u on: %s", port, strerror(errno));
}

__attribute__((noreturn)) static void be_sender(const struct listener *listener, uint64_t number,
						uint64_t bytes)
{
	union address address;
	socklen_t length;
	char byte;
	int fd, failed;

	forget_sockets();
	nic_enter_peer();
	length = local_address(&address, listener->family, listener->port);
	fd = socket(listener->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener->ends)
		spread_port(fd, listener->family, number);
	CHECK(fd >= 0 && !connect(fd, &address.any, length), "connect: %s", strerror(errno));
	if (read(fd, &byte, 1) != 1)
		_exit(SENDER_CUT_OFF);
	failed = listener->ends ? send_until_told(fd, number, listener->ends)
				: send_all(fd, number, bytes);
	if (failed || read(fd, &byte, 1) != 0)
		_exit(SENDER_CUT_OFF);
	_exit(SENDER_DONE);
}

/* ---- this side ---- */

/* A sender that cannot connect has said why, and ends. */
static void wait_for_connection(const struct listener *listener, pid_t sender)
{
	struct pollfd poller = {.fd = listener->fd, .events = POLLIN};
	int status = 0, ready = poll(&poller, 1, CONNECT_MS);

	if (ready == 1)
		return;
	CHECK(waitpid(sender, &status, WNOHANG) != sender, "the sender cannot connect: status %x",
	      status);
	CHECK(0, "no connection in %d ms", CONNECT_MS);
}

void flow_connect(struct flow *flow, const struct listener *listener, uint64_t number,
		  uint64_t bytes)
{
	pid_t sender = fork();

	CHECK(sender >= 0, "fork: %s", strerror(errno));
	if (sender == 0)
		be_sender(listener, number, bytes);
	*flow = (struct flow){.sender = sender, .number = number, .bytes = bytes};
	wait_for_connection(listener, sender);
	flow->fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	CHECK(flow->fd >= 0, "accept: %s", strerror(errno));
}

void flow_go(struct flow *flow)
{
	CHECK(send(flow->fd, "", 1, MSG_NOSIGNAL) == 1, "the sender has left: %s", strerror(errno));
	flow->on_way = 1;
}

void flow_wait_pending(const struct flow *flow)
{
	struct pollfd poller = {.fd = flow->fd, .events = POLLIN};

	CHECK(poll(&poller, 1, PENDING_MS) == 1, "stream %u has no bytes", (unsigned)flow->number);
}

static int wait_for(const struct flow *flow)
{
	int status = 0;

	CHECK(waitpid(flow->sender, &status, 0) == flow->sender && WIFEXITED(status),
	      "the sender of stream %u ended with status %x", (unsigned)flow->number, status);
	return WEXITSTATUS(status);
}

void flow_close(struct flow *flow)
{
	int status;

	close(flow->fd);
	status = wait_for(flow);
	CHECK(status == SENDER_DONE, "the sender of stream %u failed: %d", (unsigned)flow->number,
	      status);
}

void flow_abandon(struct flow *flow)
{
	close(flow->fd);
	wait_for(flow);
}

int flow_was_sent(const struct flow *flow)
{
	int status = wait_for(flow);

	CHECK(status == SENDER_DONE || status == SENDER_CUT_OFF,
	      "the sender of stream %u failed: %d", (unsigned)flow->number, status);
	return status == SENDER_DONE;
}

unsigned flow_napi(const struct flow *flow)
{
	unsigned napi = 0;
	socklen_t length = sizeof(napi);

	CHECK(!getsockopt(flow->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &length),
	      "SO_INCOMING_NAPI_ID: %s", strerror(errno));
	return napi;
}
