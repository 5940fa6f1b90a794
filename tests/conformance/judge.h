/* SPDX-License-Identifier: MIT */
/* What the parts of a scenario's run share: the executor and its answers. */
#ifndef JUDGE_H
#define JUDGE_H

#include <stdint.h>
#include <sys/types.h>

#include "call.h"
#include "executor.h"

/* Which channel is whose. The first is the receiver's owner. */
enum { OWNER, DISTURBER, WATCHER, WATCHDOG, RELEASERS };
#define RELEASE_THREADS (EXECUTOR_CHANNELS - RELEASERS)

struct judge {
	pid_t process; /* the executor's */
	struct channel channels[EXECUTOR_CHANNELS];
	int protocol;          /* which requests it knows: PROTOCOL.md */
	int ahead;             /* its package receives ahead of what it has handed out */
	int any_threads;       /* its runtime's threads come and go */
	uint64_t own_mappings; /* bytes of mappings that come and go in its runtime */
};

/* A counter of an answer to `stats`: a word such as "rearms_silent=1". Case and underscores are the
 * language's own. */
uint64_t stats_value(const char *stats, const char *field);

#endif
