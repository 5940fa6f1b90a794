/* SPDX-License-Identifier: MIT */
/* Runs a piece of a test in a process of its own, bounded in time, and tells how it ended. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stddef.h>

struct process {
	void (*run)(const void *argument); /* ends by returning, or by `fail` */
	const void *argument;
	void (*describe)(char *text, size_t size); /* how far it got, for who gave up waiting */
	unsigned seconds;
};

/*
 * Returns the exit status (0: `run` returned). Otherwise `reason` has what `fail` said, or which
 * signal it was. What `run` started in its process group is gone too.
 */
int process_run(const struct process *process, char *reason, size_t size);

#endif
