/* SPDX-License-Identifier: MIT */
/* Streams whose buffers nobody releases, beside others: the key `stalled`. */
#ifndef STALLED_H
#define STALLED_H

#include "steps.h"

/*
 * Accept, add and receive to the end of every stream, those that stall last. `alone_ms`: how long
 * the others took without them; 0: this is that run. Returns how long they took.
 */
uint64_t stalled_receive(struct run *run, uint64_t alone_ms);

/* The same scenario without those that stall. `text` has room for its words. */
#define STALLED_WORDS 160
void stalled_leave_out(struct scenario *alone, const struct scenario *scenario, char *text);

#endif
