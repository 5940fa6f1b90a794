/* SPDX-License-Identifier: MIT */
/* The buffers that are out, by number, and what should be in them. */
#ifndef VIEWS_H
#define VIEWS_H

#include <stdint.h>
#include <stdio.h>

#include <zcrx.h>

/* Map the payload. */
void views_init(int payload_fd);

/* Free what is allocated here. */
void views_end(void);

/* How many of the bytes, from the first, are the payload's from this place on. */
size_t views_check(const void *data, size_t length, uint64_t place);

/* Keep a buffer; returns its number. */
uint64_t views_keep(const struct zrx_buffer *buffer, uint64_t place);

/* Check and release those that are listed. Returns what the release returned; `again` (NULL: not
 * wanted) is what a second gave. */
int views_release(FILE *out, char *list, int *again);

/* Fork; the child does the same, one by one. Returns its status. */
int views_fork(char *list);

#endif
