/* SPDX-License-Identifier: MIT */
/* Many streams, many connections, many receivers: what the scale cases share. */
#ifndef SCALE_H
#define SCALE_H

#include <stddef.h>
#include <stdint.h>
#include <zcrx.h>

struct scale {
	uint32_t engine;
	uint32_t streams;     /* of one receiver */
	uint32_t connections; /* made and ended one after another */
	uint64_t bytes;       /* for each of several receivers */
	uint32_t milliseconds;
};

/* Each prints what it measured; what is wrong ends the process. */
void scale_streams(const struct scale *scale);
void scale_churn(const struct scale *scale);
void scale_threads(const struct scale *scale);
void scale_fairness(const struct scale *scale);

/* A receiver with an area of so many bytes in chunks of a page. */
struct zrx_receiver *scale_open(const struct scale *scale, uint64_t area_bytes);

/* Add a socket and leave it to the receiver. */
void scale_add(struct zrx_receiver *receiver, int fd, uint64_t tag);

/* The buffer as the bytes of this stream from this offset, or the end of the process. */
void scale_check(const struct zrx_buffer *buffer, uint64_t stream, uint64_t offset);

/* What scale_check expects. */
void scale_fill(uint8_t *bytes, size_t length, uint64_t stream, uint64_t offset);

__attribute__((noreturn, format(printf, 1, 2))) void scale_fail(const char *format, ...);

#define REQUIRE(condition, ...)                  \
	do {                                     \
		if (!(condition))                \
			scale_fail(__VA_ARGS__); \
	} while (0)

#endif
