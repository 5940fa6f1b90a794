/* SPDX-License-Identifier: MIT */
/* What receivers and senders count, in memory that all processes of a run share. */
#ifndef BENCH_GROUP_TALLY_H
#define BENCH_GROUP_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#define RECEIVERS_MOST 16u
#define SENDERS_MOST   16u

/* Of one receiver, which alone writes it. */
struct tally {
	_Alignas(128) _Atomic uint64_t bytes;
	_Atomic uint64_t accepted;
	_Atomic uint64_t ended;
	_Atomic uint64_t failed;    /* connections that ended in an error, or were refused */
	_Atomic uint64_t numbers;   /* sum of those in greetings */
	_Atomic uint64_t greetings; /* how many came, and how many entries of waits there are */
	uint32_t *waits_us;         /* from connect() until the application had the greeting */
	uint64_t waits_most;
};

/* Of one sender, which alone writes it. */
struct sent {
	_Alignas(128) _Atomic uint64_t bytes;
	_Atomic uint64_t connections; /* begun */
	_Atomic uint64_t numbers;
};

struct tallies {
	struct tally receivers[RECEIVERS_MOST];
	struct sent senders[SENDERS_MOST];
	_Atomic int stop; /* senders are to end */
};

/* What a short connection sends. */
struct greeting {
	uint64_t number;
	uint64_t connected_ns; /* when connect() was called, CLOCK_MONOTONIC */
};

/* With room for so many greetings at each receiver. NULL: no memory. */
struct tallies *tallies_open(uint64_t greetings);

/* By the one who writes it: a store, where an atomic addition would lock. */
static inline void tally_add(_Atomic uint64_t *count, uint64_t more)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

/* Of all receivers. */
struct tally_sums {
	uint64_t bytes, most_bytes, accepted, ended, failed, numbers, greetings;
};

void tallies_sum(const struct tallies *tallies, struct tally_sums *sums);

/* What the senders have begun, in all. */
void tallies_sum_sent(const struct tallies *tallies, struct tally_sums *sums);

/* Bytes of a short connection, which are a greeting and nothing else. */
void tally_greeting(struct tally *tally, const void *data, uint64_t length);

/* The waits of all receivers, in order: that below which `share` of them are. 0 if there are none.
 */
uint32_t tallies_wait_us(const struct tallies *tallies, double share);

uint64_t now_ns(void);

#endif
