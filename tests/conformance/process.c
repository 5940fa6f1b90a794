/* SPDX-License-Identifier: MIT */
#include "process.h"
#include "thread.h"
#include "verdict.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_SECONDS 5 /* for a process that has been told to give up */

/* ---- in the process ---- */

static void *watchdog(void *argument)
{
	const struct process *process = argument;
	char state[512];

	sleep(process->seconds);
	process->describe(state, sizeof(state));
	fail("not done after %u s: %s", process->seconds, state);
}

static void start_watchdog(const struct process *process)
{
	pthread_t thread;

	thread_start(&thread, watchdog, (void *)process);
	pthread_detach(thread);
}

static void be_process(const struct process *process, int report)
{
	setpgid(0, 0);
	verdict_to(report);
	/* One heap, so that what threads allocate is no new mapping as large as an area. */
	mallopt(M_ARENA_MAX, 1);
	start_watchdog(process);
	process->run(process->argument);
	fflush(stdout);
	_exit(0);
}

/* ---- in its parent ---- */

/* Reads what the process reports until it is gone or the time is over. */
static void read_report(int fd, char *reason, size_t size, unsigned seconds)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	time_t end = time(NULL) + seconds + GRACE_SECONDS;
	size_t length = 0;
	ssize_t count = 1;

	while (count > 0 && length < size - 1) {
		time_t now = time(NULL);

		if (now >= end || poll(&poll_fd, 1, (int)(end - now) * 1000) == 0) {
			length = (size_t)snprintf(reason, size, "hangs beyond its own watchdog");
			break;
		}
		count = read(fd, reason + length, size - 1 - length);
		if (count > 0)
			length += (size_t)count;
	}
	reason[length] = '\0';
}

int process_run(const struct process *process, char *reason, size_t size)
{
	int report[2], status = 0;
	pid_t child;

	fflush(stdout);
	if (pipe2(report, O_CLOEXEC) || (child = fork()) < 0) {
		perror("process");
		exit(2);
	}
	if (child == 0) {
		close(report[0]);
		be_process(process, report[1]);
	}
	setpgid(child, child); /* whichever of the two is first */
	close(report[1]);
	read_report(report[0], reason, size, process->seconds);
	close(report[0]);
	kill(-child, SIGKILL);
	waitpid(child, &status, 0);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (!*reason)
		snprintf(reason, size, "killed by signal %d", WTERMSIG(status));
	return 1;
}
