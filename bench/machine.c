/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "machine.h"

#define MOST_FAVOURED (-20) /* nice */

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

void bench_go_before_others(void)
{
	int group;

	setsid();
	if (setpriority(PRIO_PROCESS, 0, MOST_FAVOURED)) {
		fprintf(stderr, "no favoured scheduling: %s\n", strerror(errno));
		return;
	}
	group = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC); /* not every kernel has it */
	if (group >= 0) {
		if (dprintf(group, "%d", MOST_FAVOURED) < 0)
			fprintf(stderr, "no favoured session: %s\n", strerror(errno));
		close(group);
	}
}

void bench_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
