/* SPDX-License-Identifier: MIT */
/* What a process holds: the same before and after a scenario. */
#ifndef LEAKS_H
#define LEAKS_H

#include <stdint.h>
#include <sys/types.h>

struct holdings {
	pid_t process;
	unsigned descriptors;
	unsigned threads;   /* 0: not counted */
	unsigned rings;     /* io_uring mappings */
	uint64_t anonymous; /* bytes in mappings that are no file's, the heap left out */
};

/* Count what a process holds; 0: this one. */
struct holdings holdings_count(pid_t process);

/* Fails the scenario if `now` is not as `before`, or has an area's bytes more in mappings. 0:
 * mappings do not count. */
void holdings_compare(const struct holdings *before, const struct holdings *now,
		      uint64_t area_bytes);

#endif
