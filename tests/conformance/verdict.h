/* SPDX-License-Identifier: MIT */
/* A scenario runs in a process of its own; the first thing that is wrong ends it, on any thread. */
#ifndef VERDICT_H
#define VERDICT_H

/* Where the reason is written. */
void verdict_to(int fd);

/* Report the reason and end the process, with this status. */
__attribute__((noreturn, format(printf, 2, 3))) void stop(int status, const char *format, ...);

/* The same with status 1: the scenario has failed. */
#define fail(...) stop(1, __VA_ARGS__)

#define CHECK(condition, ...)              \
	do {                               \
		if (!(condition))          \
			fail(__VA_ARGS__); \
	} while (0)

#endif
