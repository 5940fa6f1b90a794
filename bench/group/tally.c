/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tally.h"

static void *shared_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

struct tallies *tallies_open(uint64_t greetings)
{
	struct tallies *tallies = shared_memory(sizeof(*tallies));

	for (uint32_t i = 0; tallies && greetings && i < RECEIVERS_MOST; i++) {
		struct tally *tally = &tallies->receivers[i];

		tally->waits_us = shared_memory(greetings * sizeof(uint32_t));
		tally->waits_most = greetings;
		if (!tally->waits_us)
			return NULL;
	}
	return tallies;
}

static uint64_t read_count(const _Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

void tallies_sum(const struct tallies *tallies, struct tally_sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	for (uint32_t i = 0; i < RECEIVERS_MOST; i++) {
		const struct tally *tally = &tallies->receivers[i];
		uint64_t bytes = read_count(&tally->bytes);

		sums->bytes += bytes;
		if (bytes > sums->most_bytes)
			sums->most_bytes = bytes;
		sums->accepted += read_count(&tally->accepted);
		sums->ended += read_count(&tally->ended);
		sums->failed += read_count(&tally->failed);
		sums->numbers += read_count(&tally->numbers);
		sums->greetings += read_count(&tally->greetings);
	}
}

void tallies_sum_sent(const struct tallies *tallies, struct tally_sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	for (uint32_t i = 0; i < SENDERS_MOST; i++) {
		sums->bytes += read_count(&tallies->senders[i].bytes);
		sums->accepted += read_count(&tallies->senders[i].connections);
		sums->numbers += read_count(&tallies->senders[i].numbers);
	}
}

void tally_greeting(struct tally *tally, const void *data, uint64_t length)
{
	struct greeting greeting;
	uint64_t at = read_count(&tally->greetings);

	/* In pieces, or more than was sent: then the sums do not agree, and the run fails. */
	if (length != sizeof(greeting) || at >= tally->waits_most)
		return;
	memcpy(&greeting, data, sizeof(greeting));
	tally->waits_us[at] = (uint32_t)((now_ns() - greeting.connected_ns + 500) / 1000);
	tally_add(&tally->numbers, greeting.number);
	tally_add(&tally->greetings, 1);
}

static int compare_waits(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

uint32_t tallies_wait_us(const struct tallies *tallies, double share)
{
	struct tally_sums sums;
	uint64_t count = 0;
	uint32_t *waits, wait;

	tallies_sum(tallies, &sums);
	waits = sums.greetings ? calloc(sums.greetings, sizeof(*waits)) : NULL;
	if (!waits)
		return 0;
	for (uint32_t i = 0; i < RECEIVERS_MOST; i++) {
		const struct tally *tally = &tallies->receivers[i];
		uint64_t more = read_count(&tally->greetings);

		if (more)
			memcpy(waits + count, tally->waits_us, more * sizeof(*waits));
		count += more;
	}
	qsort(waits, count, sizeof(*waits), compare_waits);
	wait = waits[(uint64_t)(share * (double)(count - 1))];
	free(waits);
	return wait;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
