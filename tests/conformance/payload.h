/* SPDX-License-Identifier: MIT */
/* What the sender sends: a function of seed, stream and offset. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_BYTES 65521u

/* Bytes of the table, repeated, that an executor gets: room for any buffer, from any place in the
 * table. */
#define EXECUTOR_PAYLOAD (18 * PAYLOAD_BYTES)

/* Build the table; before any check. */
void payload_init(void);

/* Where in the table a stream begins. */
uint64_t payload_start(uint64_t seed, uint64_t stream);

/* The payload from this offset on: PAYLOAD_BYTES of it lie there. */
const void *payload_at(uint64_t seed, uint64_t stream, uint64_t offset);

/* Position of the first byte that differs from the payload, or length if none does. */
size_t payload_check(const void *data, size_t length, uint64_t seed, uint64_t stream,
		     uint64_t offset);

#endif
