/* SPDX-License-Identifier: MIT */
/* Streams that are paused by hand: the keys `hand_pause_...`. */
#ifndef BY_HAND_H
#define BY_HAND_H

#include "steps.h"

/* Pause the streams that have come so far. */
void by_hand_pause(struct run *run);

/* Once there is no other stream left: see that nothing comes of them, and then resume them, or what
 * else the scenario wants. */
void by_hand_rest(struct run *run);

/* Every call on a stream that has ended says so. */
void by_hand_check_ended(struct run *run);

#endif
