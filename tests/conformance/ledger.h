/* SPDX-License-Identifier: MIT */
/* What has been received of each stream, checked as it comes. */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdint.h>

#include <zcrx.h>

#include "scenario.h"

struct stream {
	uint64_t handle;
	int fd; /* -1: closed */
	int ended, removed;
	uint16_t end_kind, end_flags;
	int32_t end_error;
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

/* Check an event against its stream, and book it. Returns the offset in its stream of a data event.
 */
uint64_t ledger_take(struct ledger *ledger, const struct zrx_event *event);

/* Do the streams' ends and bytes come out as the scenario wants? */
void ledger_check(const struct ledger *ledger);

/* The same after `rest`: every byte, and the peer's own end. */
void ledger_check_rest(const struct ledger *ledger);

/* Check the receiver's counters against the ledger, with `outstanding` buffers out. */
void ledger_check_stats(const struct ledger *ledger, const struct zrx_stats *stats,
			uint64_t outstanding);

#endif
