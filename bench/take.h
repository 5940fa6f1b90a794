/* SPDX-License-Identifier: MIT */
/* The loop of a consumer that looks at nothing, and releases at once. */
#ifndef BENCH_TAKE_H
#define BENCH_TAKE_H

#include <stdint.h>

struct zrx_receiver;

#define BENCH_BATCH 128

struct bench_taken {
	uint64_t bytes;
	uint64_t buffers;
};

/*
 * Receive so many bytes; release each batch by one call, or each buffer by a call of its own. 0, or
 * a negative errno: -EPIPE for anything but data.
 */
int bench_take(struct zrx_receiver *receiver, uint64_t bytes, int singly,
	       struct bench_taken *taken);

#endif
