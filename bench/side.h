/* SPDX-License-Identifier: MIT */
/* One way to receive: a side of a comparison. */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdint.h>

struct bench_job {
	int *sockets; /* connected, one for each stream */
	uint32_t streams;
	uint64_t bytes;        /* to receive in all */
	uint32_t buffer_bytes; /* of one receive */
	uint32_t posted;       /* buffers in the kernel's hands (bare multishot) */
	const char *engine;    /* zrx */
	int touch;             /* read every byte */
	uint64_t sum;          /* of what was touched */
	uint64_t buffers;      /* receives it took */
};

struct bench_side {
	const char *name;
	const char *what;
	/* Receive job->bytes. Returns 0, or a negative errno after saying what failed on stderr. */
	int (*receive)(struct bench_job *job);
};

extern const struct bench_side bench_side_recv;
extern const struct bench_side bench_side_epoll;
extern const struct bench_side bench_side_bare;
extern const struct bench_side bench_side_zrx;

/* What a consumer that looks at the data does. */
static inline void bench_touch(struct bench_job *job, const void *data, uint64_t length)
{
	const uint64_t *words = data;
	uint64_t sum = 0;

	job->buffers++;
	if (!job->touch)
		return;
	for (uint64_t i = 0; i < length / sizeof(*words); i++)
		sum += words[i];
	job->sum += sum;
}

#endif
