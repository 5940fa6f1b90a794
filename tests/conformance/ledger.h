/* SPDX-License-Identifier: MIT */
/* What has been received of each stream, checked as it comes. */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdint.h>

#include "keeper.h"
#include "scenario.h"

#define WORD 40 /* room for a word of an answer */

struct stream {
	char handle[WORD];
	int ended, removed;
	int left;       /* its iterator was let go of before its end */
	int by_hand;    /* it is paused by hand */
	int rested;     /* it was */
	char how[WORD]; /* it ended: a value of the key `end`, or the number of an error */
	uint64_t received;
};

struct ledger {
	const struct scenario *scenario;
	struct stream *streams;
	uint64_t added, ended;
	uint64_t bytes, buffers;
};

void ledger_open(struct ledger *ledger, const struct scenario *scenario);
void ledger_close(struct ledger *ledger);

/* Check an event, a line of an answer to `receive`, against its stream, and book it. Returns
 * whether it is a buffer: `item`. */
int ledger_take(struct ledger *ledger, const char *line, struct held *item);

/* Its iterator was let go of: nothing more comes. */
void ledger_leave(struct ledger *ledger, uint64_t number);

/* Do the streams' ends and bytes come out as the scenario wants? */
void ledger_check(const struct ledger *ledger);

/* The same after `rest`: every byte, and the peer's own end. */
void ledger_check_rest(const struct ledger *ledger);

/* Check the receiver's counters against the ledger, with `outstanding` buffers out, and, where the
 * package receives ahead, more. */
void ledger_check_stats(struct ledger *ledger, const char *stats, uint64_t outstanding, int ahead);

#endif
