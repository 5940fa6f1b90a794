/* SPDX-License-Identifier: MIT */
/* The other end: a process of its own that connects, waits for the word, and sends. */
#ifndef BENCH_SENDER_H
#define BENCH_SENDER_H

#include <stdint.h>
#include <sys/types.h>

struct bench_sender {
	uint32_t streams;
	uint32_t active;  /* the first ones, which are sent on, in turn */
	uint32_t stalled; /* the last ones, which get all that they take, however little is consumed
			   */
	uint64_t bytes;   /* to send in all */
	int buffer_bytes; /* of the receiver's sockets; 0: as the kernel sees fit */
	int processor;    /* it runs on */
	pid_t process;
	int go; /* pipe: one byte starts it */
};

/* Start it, and accept its connections into sockets. 0, or a negative errno. */
int bench_sender_start(struct bench_sender *sender, int *sockets);

/* Let it send. */
int bench_sender_go(struct bench_sender *sender);

/* Wait for it, or end it if the receiver has failed. 0 if it has sent everything. */
int bench_sender_finish(struct bench_sender *sender, int failed);

#endif
