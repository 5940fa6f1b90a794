/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "machine.h"

void bench_pin(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void bench_go_first(void)
{
	const struct sched_param priority = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_FIFO, &priority))
		fprintf(stderr, "no real-time priority: %s\n", strerror(errno));
}

void bench_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
