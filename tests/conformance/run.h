/* SPDX-License-Identifier: MIT */
/* Runs one scenario in this process. */
#ifndef RUN_H
#define RUN_H

#include <stddef.h>
#include <stdint.h>

#include "scenario.h"

struct run_setup {
	uint32_t engine;
	const char *interface; /* NULL: none */
	const char *sender;    /* path of the program */
	int may_refuse;
};

/* What a refused open means under may_refuse; other exits of the process: 0 passed, 1 failed. */
#define RUN_REFUSED 77

/* Returns when the scenario has passed; anything wrong ends the process (verdict.h). */
void scenario_run(const struct scenario *scenario, const struct run_setup *setup);

/* How far the run is, for whoever finds that it hangs. Any thread. */
void scenario_describe(char *text, size_t size);

#endif
