/* SPDX-License-Identifier: MIT */
/*
 * One TCP connection from the other port. A process there sends the payload of stream `number`,
 * once it is let go, and then waits for this side's end.
 */
#ifndef DATAPATH_FLOW_H
#define DATAPATH_FLOW_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define FLOW_ENDLESS UINT64_MAX
#define FLOW_ENDS    64 /* flows that end when they are told */

/* Lies in memory that is shared with the senders: they end all flows once told, and tell where. */
struct flow_ends {
	atomic_int now;
	_Atomic uint64_t bytes[FLOW_ENDS]; /* that were sent, of each number; 0: not ended yet */
};

struct listener {
	int fd;
	int family; /* AF_INET6; AF_INET where the interface goes down, and IPv6 loses its address
		     */
	uint16_t port;
	struct flow_ends *ends; /* NULL: flows have the length that they are given */
};

struct flow {
	int fd;
	pid_t sender;
	uint64_t number;
	uint64_t bytes; /* that will be sent */
	uint64_t received;
	uint64_t handle;
	int32_t error; /* of the event that ended it */
	int ended;
	int on_way; /* bytes may flow */
	int hold;   /* what comes of it is kept */
};

void listener_open(struct listener *listener, int family);
void listener_close(const struct listener *listener);

/* Start the sender and accept its connection. */
void flow_connect(struct flow *flow, const struct listener *listener, uint64_t number,
		  uint64_t bytes);

/* Let the sender send: once this side is steered. */
void flow_go(struct flow *flow);

/* Until there are bytes to receive. */
void flow_wait_pending(const struct flow *flow);

/* Close this side. The sender must have sent everything, and seen the end. */
void flow_close(struct flow *flow);

/* Close this side although the sender is not done. */
void flow_abandon(struct flow *flow);

/* After this side was closed: wait for the sender. Returns whether it sent all and saw the end. */
int flow_was_sent(const struct flow *flow);

/* The number of the kernel's poller (NAPI) by which the last packet came. */
unsigned flow_napi(const struct flow *flow);

#endif
