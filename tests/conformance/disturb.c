/* SPDX-License-Identifier: MIT */
#include "disturb.h"
#include "thread.h"
#include "verdict.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A signal to each of its threads: which of them receives is the language's own business. */
static void signal_threads(pid_t process)
{
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)process);
	threads = opendir(path);
	CHECK(threads, "cannot read %s", path);
	for (struct dirent *entry; (entry = readdir(threads));)
		if (entry->d_name[0] != '.')
			syscall(SYS_tgkill, process, atoi(entry->d_name), SIGUSR1);
	closedir(threads);
}

static void *disturb(void *argument)
{
	struct disturber *disturber = argument;
	const struct scenario *s = disturber->scenario;
	uint64_t ms = s->wake_ms ? s->wake_ms : s->signal_ms;
	struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	while (atomic_load(&disturber->running)) {
		nanosleep(&pause, NULL);
		if (s->wake_ms)
			call_ok(&disturber->judge->channels[DISTURBER], "wake");
		if (s->signal_ms)
			signal_threads(disturber->judge->process);
	}
	return NULL;
}

void disturb_start(struct disturber *disturber, const struct scenario *scenario,
		   struct judge *judge)
{
	*disturber = (struct disturber){.scenario = scenario, .judge = judge};
	if (!scenario->wake_ms && !scenario->signal_ms)
		return;
	atomic_store(&disturber->running, 1);
	thread_start(&disturber->thread, disturb, disturber);
}

void disturb_stop(struct disturber *disturber)
{
	if (atomic_exchange(&disturber->running, 0))
		pthread_join(disturber->thread, NULL);
}
