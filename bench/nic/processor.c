/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "processor.h"

int processor_read(int processor, struct processor_times *times)
{
	double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
	unsigned long long user, nice, system, irq, softirq;
	char name[16], line[512];
	int found = 0;
	FILE *file = fopen("/proc/stat", "re");

	if (!file)
		return -errno;
	snprintf(name, sizeof(name), "cpu%d ", processor);
	while (!found && fgets(line, sizeof(line), file))
		found = !strncmp(line, name, strlen(name)) &&
			/* idle and waiting are in between */
			sscanf(line, "%*s %llu %llu %llu %*u %*u %llu %llu", &user, &nice, &system,
			       &irq, &softirq) == 5;
	fclose(file);
	if (!found)
		return -ENOENT;
	times->user = (double)(user + nice) * tick;
	times->system = (double)system * tick;
	times->softirq = (double)(irq + softirq) * tick;
	return 0;
}

int processor_pin(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)processor, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}
