/* SPDX-License-Identifier: MIT */
/* A scenario runs in a process of its own; the first thing that is wrong ends it, on any thread. */
#ifndef VERDICT_H
#define VERDICT_H

/* Where fail writes its reason. */
void verdict_to(int fd);

/* Report the reason and end the process. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

#define CHECK(condition, ...)              \
	do {                               \
		if (!(condition))          \
			fail(__VA_ARGS__); \
	} while (0)

#endif
