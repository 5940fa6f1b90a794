/* SPDX-License-Identifier: MIT */
/* Asks an executor something, and gets its answer: PROTOCOL.md. */
#ifndef CALL_H
#define CALL_H

#include <stdint.h>
#include <stdio.h>

/* One thread of the executor; used by one thread here at a time. */
struct channel {
	int fd;
	FILE *answers;
	char *line; /* the answer's last line */
	size_t size;
};

/* Takes a line of the answer that comes before its last; may write into it. */
typedef void (*fact_fn)(void *context, char *line);

void channel_open(struct channel *channel, int fd);
void channel_close(struct channel *channel);

/*
 * Send a request, a line without its newline, and read the answer. Each line before the last goes
 * to `fact`; NULL: there may be none. Returns 0 for `ok`, or the negative error number of `failed`.
 * `text` is what follows on that line; it is valid until the next call. An executor that is gone,
 * or that answers anything else, fails the scenario.
 */
int call_line(struct channel *channel, fact_fn fact, void *context, const char **text,
	      const char *line);
__attribute__((format(printf, 5, 6))) int call(struct channel *channel, fact_fn fact, void *context,
					       const char **text, const char *format, ...);

/* The same, for a request that is answered by `ok` alone: anything else fails the scenario. */
__attribute__((format(printf, 2, 3))) void call_ok(struct channel *channel, const char *format,
						   ...);

#endif
