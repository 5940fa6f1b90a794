/* SPDX-License-Identifier: MIT */
/* Whether what the library tells of windows and pauses is so. */
#ifndef TRUTH_H
#define TRUTH_H

#include "steps.h"

/* A stream has `out` bytes out: its window, if the scenario gives one, must allow that. */
void truth_check_window(const struct run *run, uint64_t number, uint64_t out);

/* One stream's figures; valid until the owner is asked something else. */
const char *truth_stream_stats(struct run *run, uint64_t number);

/* Compare the figures of each stream, and the receiver's, with what is held. While no release is
 * under way, and after a receive that returned nothing. */
void truth_check(struct run *run);

/* How many streams rest, as the receiver's stats say. */
uint64_t truth_paused(struct run *run);

#endif
