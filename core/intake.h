/* SPDX-License-Identifier: MIT */
/*
 * What the owner of a receiver in a group takes in: sockets from its inbox, and connections from
 * the group's listeners. Owner's thread; only for receivers that have an inbox.
 */
#ifndef ZRX_INTAKE_H
#define ZRX_INTAKE_H

#include <stdint.h>

#include "zcrx.h"

struct zrx_receiver;
struct zrx_sink;

/* Add what has come, as far as the sink has room for the events. */
void zrx_intake(struct zrx_receiver *receiver, struct zrx_sink *sink);

/* Whether there is something to take in at once. */
int zrx_intake_due(const struct zrx_receiver *receiver);

/* Whether a listener is not watched; let the engine watch all of them. Returns 1 if it had no
 * memory for that: it is asked again. */
int zrx_intake_unwatched(const struct zrx_receiver *receiver);
int zrx_intake_watch(struct zrx_receiver *receiver);

/* The engine: this listener can be accepted from, and is watched no more. */
void zrx_intake_ready(struct zrx_receiver *receiver, uint32_t listener);

/*
 * Accepting waits, and nobody reminds an event loop of it yet: zrx_intake_watch sees to that, in
 * the next receive.
 */
int zrx_intake_needs_reminder(const struct zrx_receiver *receiver);

/* The engine: it has reminded, perhaps early, of something else; of a later time it does not. */
void zrx_intake_reminded(struct zrx_receiver *receiver);

/* How long a wait may last if accepting is to be tried again. */
int64_t zrx_intake_patience(const struct zrx_receiver *receiver, int64_t timeout_ns);

#endif
