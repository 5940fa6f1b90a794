/* SPDX-License-Identifier: MIT */
/* The steps that the run of a scenario is made of: open, accept, add, receive, release. */
#ifndef STEPS_H
#define STEPS_H

#include "disturb.h"
#include "keeper.h"
#include "ledger.h"
#include "run.h"

struct run {
	const struct scenario *scenario;
	const struct run_setup *setup;
	struct judge *judge;
	struct ledger ledger;
	struct keeper keeper;
	struct disturber disturber;
	pid_t sender;
	int open, forked;
	int quiet;        /* the last receive returned nothing */
	unsigned batch;   /* how many events the last receive gave */
	const char *mode; /* of receiving: hold, or use: give back at once what is received */
	uint64_t keep;    /* buffers of streams below this number are kept */
	int resting;      /* streams go to rest at their windows: nothing is released */
	int measured;     /* it is one of `stalled` */
	int over;         /* nothing more is to be received */
};

uint64_t now_ms(void);
void sleep_ms(uint64_t ms);

/* The channel of the receiver's owner. */
struct channel *run_owner(const struct run *run);

/* The receiver's counters; valid until the owner is asked something else. */
const char *run_read_stats(struct run *run);

/* The words of a request to open that say how. */
void run_list_options(const struct run *run, char *text, size_t size);

/* Returns whether there is a receiver: not where the scenario wants it refused, and it was. */
int run_open(struct run *run);

void run_check_engine(const struct run *run, const char *got);

/* Accept a connection, and let its peer make the next. */
void run_accept(struct run *run, uint64_t number);
void run_go(struct run *run, uint64_t number);

/* Add a stream; `limit` 0: none. */
void run_add(struct run *run, uint64_t number, uint64_t limit);
void run_remove(struct run *run, uint64_t number);

/* Takes an event, a line of an answer to receive or iterate; `context` is the run. */
void run_take_event(void *context, char *line);

/* One receive, and its events booked and held. Returns whether it was filled. */
int run_receive(struct run *run, int64_t timeout_ms);

/* Release what the scenario does not hold. */
void run_release(struct run *run);

/* Close the sockets of streams first to last - 1. */
void run_shut(struct run *run, uint64_t first, uint64_t last);

#endif
