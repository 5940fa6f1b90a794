/* SPDX-License-Identifier: MIT */
/* One way to receive a connection that comes through a NIC. */
#ifndef BENCH_NIC_METHOD_H
#define BENCH_NIC_METHOD_H

#include <stddef.h>
#include <stdint.h>

struct nic_job {
	const char *interface; /* where the connection comes in; set up for zero-copy */
	uint32_t queue;        /* ... and on which of its receive queues */
	uint32_t buffer_bytes; /* zcrx: wanted buffer size; 0: a page */
	int socket;            /* connected; from start on */
	uint64_t bytes;        /* to receive */
	int sum;               /* read every byte of it as well */
	uint32_t checksum;
	uint64_t got;     /* bytes, so far */
	uint64_t buffers; /* pieces they came in */
	uint64_t copied;  /* bytes that the kernel says it copied; UINT64_MAX: it does not tell */
	void *state;      /* the method's own */
};

/*
 * open comes before the connection is made, start after it; receive, which is all that is measured,
 * takes job->bytes. Each returns 0 or a negative errno; what a failed one leaves goes with the
 * process.
 */
struct nic_method {
	const char *name;
	const char *what;
	int (*open)(struct nic_job *job);
	int (*start)(struct nic_job *job);
	int (*receive)(struct nic_job *job);
	void (*close)(struct nic_job *job);
};

extern const struct nic_method nic_method_epoll;
extern const struct nic_method nic_method_tzr;
extern const struct nic_method nic_method_bare;
extern const struct nic_method nic_method_multishot;
extern const struct nic_method nic_method_zcrx;

/* Count a piece of the stream, and read it if the job says so. */
void nic_take(struct nic_job *job, const void *data, size_t length);

/* What job->checksum must be in the end. bytes: a multiple of NIC_BLOCK. */
uint32_t nic_expected_checksum(uint64_t bytes);

/* The stream is this many bytes, over and over: little-endian words of 64 bits, the i-th is i times
 * NIC_FACTOR. */
#define NIC_BLOCK  (1u << 20)
#define NIC_FACTOR 0x9e3779b97f4a7c15ull

/* Of zero-copy receive. */
#define NIC_AREA_BYTES (64u << 20)

#endif
