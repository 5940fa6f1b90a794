/* SPDX-License-Identifier: MIT */
/*
 * What a failing run needs in order to fail: actions are left out, and choices made the default
 * ones, as long as it fails for the same reason.
 */
#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "choices.h"
#include "scenario.h"
#include "sim.h"

#define RUN_SECONDS 20
#define SECONDS     60 /* then what was reached is good enough */

static struct sim_record *shared; /* with the children that run */
static struct sim_record *best;
static struct sim_record *candidate;
static uint64_t the_seed;
static time_t began;
static char wanted[sizeof(shared->failure)];

static void *room(void)
{
	void *memory = mmap(NULL, sizeof(struct sim_record), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

/* Numbers differ from run to run. */
static void without_numbers(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			*to++ = *text;
	}
	*to = 0;
}

/* In a child, following the record or the seed. What it fails with is in shared->failure. */
static void run(const struct sim_record *record, int tell)
{
	pid_t child;
	int status;

	shared->failure[0] = 0;
	fflush(NULL);
	child = fork();
	if (!child) {
		int nowhere = open("/dev/null", O_WRONLY);

		if (!tell)
			dup2(nowhere, STDERR_FILENO);
		sim.tracing = (uint32_t)tell;
		alarm(RUN_SECONDS);
		sim_recording = shared;
		sim_replay(record);
		sim_scenario(the_seed);
		_exit(0);
	}
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT)
		snprintf(shared->failure, sizeof(shared->failure), "signal %s",
			 strsignal(WTERMSIG(status)));
	without_numbers(shared->failure);
}

static uint32_t choices(const struct sim_record *record)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < record->segments; i++)
		count += record->segment[i].length;
	return count;
}

static uint32_t actions(const struct sim_record *record)
{
	return record->segments - 1 - record->has_tail;
}

static void copy(struct sim_record *to, const struct sim_record *from)
{
	memcpy(to, from, offsetof(struct sim_record, value));
	memcpy(to->value, from->value, from->count * sizeof(from->value[0]));
}

static int in_time(void)
{
	return time(NULL) - began < SECONDS;
}

/* Take the candidate if it still fails so; else make it the best again. */
static int try_candidate(void)
{
	run(candidate, 0);
	if (!strcmp(shared->failure, wanted)) {
		copy(best, candidate);
		return 1;
	}
	copy(candidate, best);
	return 0;
}

static int drop_actions(uint32_t first, uint32_t count)
{
	struct sim_segment_of *at = &candidate->segment[first];

	memmove(at, at + count, (candidate->segments - first - count) * sizeof(*at));
	candidate->segments -= count;
	return try_candidate();
}

static int shrink_actions(void)
{
	int better = 0;

	for (uint32_t size = actions(best); size && in_time(); size /= 2) {
		uint32_t last = 1 + actions(best);

		/* From the end: what an action needs comes before it. */
		while (last > 1 && in_time()) {
			uint32_t first = last > size ? last - size : 1;

			better |= drop_actions(first, last - first);
			last = first;
		}
	}
	return better;
}

/* Cut a segment's end off, as much as can be. */
static int shorten(uint32_t index)
{
	int better = 0;

	for (uint32_t cut = best->segment[index].length; cut && in_time();) {
		if (cut > best->segment[index].length)
			cut = best->segment[index].length;
		candidate->segment[index].length -= cut;
		if (cut && try_candidate())
			better = 1;
		else
			cut /= 2;
	}
	return better;
}

static int make_default(uint32_t index)
{
	const struct sim_segment_of *of = &best->segment[index];
	int better = 0;

	for (uint32_t i = of->first; i < of->first + of->length && in_time(); i++) {
		if (!best->value[i])
			continue;
		candidate->value[i] = 0;
		better |= try_candidate();
	}
	return better;
}

static void shrink(void)
{
	int better;

	do {
		better = shrink_actions();
		for (uint32_t i = 0; i < best->segments; i++)
			better |= shorten(i);
		for (uint32_t i = 0; i < best->segments; i++)
			better |= make_default(i);
	} while (better && in_time());
}

int sim_minimise(uint64_t seed)
{
	uint32_t all_actions, all_choices;

	shared = room();
	best = room();
	candidate = room();
	the_seed = seed;
	began = time(NULL);
	run(NULL, 0);
	if (!shared->failure[0]) {
		printf("sim: seed %llu does not fail\n", (unsigned long long)seed);
		return 1;
	}
	snprintf(wanted, sizeof(wanted), "%s", shared->failure);
	copy(best, shared);
	copy(candidate, best);
	all_actions = actions(best);
	all_choices = choices(best);
	shrink();
	printf("sim: seed %llu: %u of %u actions, %u of %u choices\n", (unsigned long long)seed,
	       actions(best), all_actions, choices(best), all_choices);
	run(best, 1);
	return 0;
}
