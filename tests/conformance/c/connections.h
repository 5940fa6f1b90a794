/* SPDX-License-Identifier: MIT */
/* Connections, by number: their descriptors, and how far their bytes are. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stdint.h>
#include <stdio.h>

#include <zcrx.h>

/* Where the driver's listening socket is. */
#define LISTENER 11

/* A connection, added or not. */
struct stream {
	int fd;
	uint64_t place;  /* where in the payload its next byte is */
	uint64_t handle; /* since it was added last */
};

/* NULL: there is none of this number. */
struct stream *connection_at(uint64_t number);

/* The entry of this number, made if there is none. Owner's channel only; it may move the others,
 * unless there are `connections_reserve`d ones. */
struct stream *connection_new(uint64_t number);
void connections_reserve(uint64_t count);
void connections_free(void);

/* `ok`, with the text if there is one, or `failed`. */
void answer(FILE *out, int result, const char *text);

/* Read KEY=VALUE words, which are written into. */
void options_read(char *words, struct zrx_options *options, uint64_t *batch,
		  struct zrx_group_options *group);

#endif
