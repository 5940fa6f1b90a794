/* SPDX-License-Identifier: MIT */
/* Runs tasks side by side, each worker with an executor of its own, and hands out the results in
 * the tasks' order. */
#ifndef JOBS_H
#define JOBS_H

#include "executor.h"
#include "scenario.h"

enum outcome { PASSED, FAILED, SKIPPED, OUTCOMES };

struct task {
	const struct scenario *scenario;
	const char *engine;
	const char *skip; /* not to be run, and why; NULL: it is */
};

struct result {
	unsigned task;
	enum outcome outcome;
	char reason[1200]; /* of what did not pass */
};

struct plan {
	const struct task *tasks;
	unsigned count, workers;
	const char *command; /* of the executor */
	const char *python;  /* the sender's interpreter */
	const char *sender;  /* path of the program */
	unsigned seconds;    /* for each task; 0: as its size says */
	int may_refuse, sanitized;
	void (*report)(const struct task *task, const struct result *result);
};

/* Returns whether the workers and their executors have all ended well. What has not is said on
 * standard output. */
int jobs_run(const struct plan *plan);

#endif
