/* SPDX-License-Identifier: MIT */
/* One way to receive: a side of a comparison. */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdint.h>

struct bench_job {
	int *sockets; /* connected, one for each stream; a side may close what it has taken over */
	uint32_t streams;
	uint64_t bytes;        /* to receive in all */
	uint32_t buffer_bytes; /* of one receive; 0: the side's default */
	uint32_t posted;       /* buffers in the kernel's hands: given to bare, told by zrx */
	const char *engine;    /* zrx */
	int singly;            /* zrx: release each buffer by a call of its own */
	uint64_t buffers;      /* receives it took */
	void *state;           /* the side's own */
};

/*
 * Opening is not part of what is measured; receiving job->bytes is. open and receive return 0, or a
 * negative errno; what they leave behind then goes with the process.
 */
struct bench_side {
	const char *name;
	const char *what;
	int (*open)(struct bench_job *job);
	int (*receive)(struct bench_job *job);
	void (*close)(struct bench_job *job);
};

#define BENCH_BUFFER 65536u /* the default of the sides that are not zcrx */

extern const struct bench_side bench_side_recv;
extern const struct bench_side bench_side_epoll;
extern const struct bench_side bench_side_bare;
extern const struct bench_side bench_side_zrx;

#endif
