/* SPDX-License-Identifier: MIT */
/* The process that receives, in its own language, what the scenarios send: PROTOCOL.md. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include <stdint.h>
#include <sys/types.h>

/* Its descriptors: channels, one for each of its threads, and then these two. */
#define EXECUTOR_FIRST_FD 3
#define EXECUTOR_CHANNELS 8

struct executor {
	pid_t process; /* 0: not started */
	int channels[EXECUTOR_CHANNELS];
	int listener; /* the executor accepts on it */
	uint16_t port;
};

/* Start a command line, which is split at spaces. Returns 0, or -1 after it has said on standard
 * error what failed. */
int executor_start(struct executor *executor, const char *command);

/*
 * End it: by closing its channels (`gently`), or by force. Returns its status as waitpid gives it;
 * 0 as well for one that was ended by force while it still ran.
 */
int executor_stop(struct executor *executor, int gently);

#endif
