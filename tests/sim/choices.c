/* SPDX-License-Identifier: MIT */
/* Where choices come from: a seed, a fuzzer's input, or the record of a run, of which parts are
 * left out. */
#include "choices.h"
#include "sim.h"

struct sim_record *sim_recording;
static const struct sim_record *replayed;
static uint32_t segment, position;

void sim_replay(const struct sim_record *record)
{
	replayed = record;
}

void sim_choices_begin(void)
{
	segment = position = 0;
	if (sim_recording) {
		sim_recording->count = 0;
		sim_recording->segments = 1;
		sim_recording->segment[0] = (struct sim_segment_of){0, 0};
	}
}

/* Behind its end a segment chooses 0: nothing, the least, the first. */
static uint64_t replay_next(void)
{
	const struct sim_segment_of *of = &replayed->segment[segment];

	if (segment >= replayed->segments || position >= of->length)
		return 0;
	return replayed->value[of->first + position++];
}

static uint64_t record(uint64_t value)
{
	struct sim_record *to = sim_recording;

	if (to && to->count < SIM_CHOICES_MOST && to->segments <= SIM_SEGMENTS_MOST) {
		to->value[to->count++] = value;
		to->segment[to->segments - 1].length++;
	}
	return value;
}

int sim_next_action(uint32_t *left)
{
	int more = *left != 0;

	if (replayed) {
		segment++;
		position = 0;
		return segment < replayed->segments - replayed->has_tail;
	}
	*left -= (uint32_t)more;
	if (sim_recording && sim_recording->segments < SIM_SEGMENTS_MOST) {
		sim_recording->segment[sim_recording->segments++] =
			(struct sim_segment_of){sim_recording->count, 0};
		sim_recording->has_tail = !more;
	}
	return more;
}

static uint64_t from_seed(void)
{
	uint64_t x = sim.random += 0x9e3779b97f4a7c15ull; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	x ^= x >> 31;
	if (sim.input == sim.input_end)
		return x;
	return x >> 8 | (uint64_t)*sim.input++ << 56;
}

uint64_t sim_random(void)
{
	return replayed ? replay_next() : record(from_seed());
}

uint32_t sim_below(uint32_t limit)
{
	if (replayed)
		return limit ? (uint32_t)(replay_next() % limit) : 0;
	return (uint32_t)record((from_seed() >> 32) * limit >> 32);
}

uint32_t sim_between(uint32_t low, uint32_t high)
{
	return low + sim_below(high - low + 1);
}

int sim_chance(uint32_t percent)
{
	if (!percent)
		return 0;
	if (replayed)
		return replay_next() != 0;
	return (int)record((from_seed() >> 32) * 100 >> 32 < percent);
}
