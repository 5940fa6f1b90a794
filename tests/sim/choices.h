/* SPDX-License-Identifier: MIT */
/* The choices of a run, one after the other, in segments: the set-up, each action, the end. */
#ifndef SIM_CHOICES_H
#define SIM_CHOICES_H

#include <stdint.h>

#define SIM_CHOICES_MOST  (1u << 23)
#define SIM_SEGMENTS_MOST 8192u

struct sim_segment_of {
	uint32_t first;
	uint32_t length;
};

struct sim_record {
	uint32_t count;
	uint32_t segments;
	uint32_t has_tail; /* the last segment is what comes after the actions */
	char failure[512]; /* why the run failed; empty: it did not */
	struct sim_segment_of segment[SIM_SEGMENTS_MOST];
	uint64_t value[SIM_CHOICES_MOST];
};

/* Where this run is recorded, and its failure; NULL: nowhere. */
extern struct sim_record *sim_recording;

/* The next run follows this record. */
void sim_replay(const struct sim_record *record);
void sim_choices_begin(void);

/* Find a small part of the run of this seed that fails as it does, and tell it. Returns 0, or 1 if
 * it does not fail. */
int sim_minimise(uint64_t seed);

#endif
