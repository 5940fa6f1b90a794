/* SPDX-License-Identifier: MIT */
/* What a process holds: the same before and after a scenario. */
#ifndef LEAKS_H
#define LEAKS_H

#include <stdint.h>

struct holdings {
	unsigned descriptors;
	unsigned threads;
	unsigned rings;      /* io_uring mappings */
	uint64_t area_bytes; /* in mappings at least as large as an area */
};

/* Count what this process holds. Areas below 1 MiB cannot be told from other mappings: not counted.
 */
struct holdings holdings_count(uint64_t area_bytes);

/* Fails the scenario if `now` is not as `before`. */
void holdings_compare(const struct holdings *before, const struct holdings *now);

#endif
