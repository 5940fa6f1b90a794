/* SPDX-License-Identifier: MIT */
/* Runs one scenario by an executor. */
#ifndef RUN_H
#define RUN_H

#include <stddef.h>
#include <stdint.h>

#include "executor.h"
#include "scenario.h"

struct run_setup {
	const struct executor *executor;
	const char *engine;
	const char *interface; /* NULL: none */
	const char *python;    /* the sender's interpreter */
	const char *sender;    /* path of the program */
	int may_refuse;
	int sanitized; /* the executor: its threads and mappings are not counted */
};

/* What the process exits with, other than 0: passed, and 1: failed. Its reason says why. */
#define RUN_SKIPPED 77

/* Returns when the scenario has passed; anything else ends the process (verdict.h). */
void scenario_run(const struct scenario *scenario, const struct run_setup *setup);

/* How far the run is, for whoever finds that it hangs. Any thread. */
void scenario_describe(char *text, size_t size);

#endif
