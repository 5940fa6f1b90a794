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
#include <sys/syscall.h>
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
#ifdef M_ARENA_MAX /* glibc; others have but one */
	mallopt(M_ARENA_MAX, 1);
#endif
	start_watchdog(process);
	process->run(process->argument);
	fflush(stdout);
	_exit(0);
}

/* ---- in its parent ---- */

/* Waits until the process is gone, or the time is over. Returns whether it is gone. */
static int wait_until_gone(pid_t child, unsigned seconds)
{
	struct pollfd poll_fd = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
	time_t end = time(NULL) + seconds + GRACE_SECONDS;
	int gone = 0;

	for (time_t now = time(NULL); !gone && now < end; now = time(NULL))
		gone = poll(&poll_fd, 1, (int)(end - now) * 1000) > 0;
	close(poll_fd.fd);
	return gone;
}

/* What the process has reported, and what those that it has left behind did: as much as there is.
 */
static void read_report(int fd, char *reason, size_t size)
{
	ssize_t count = read(fd, reason, size - 1);

	reason[count > 0 ? count : 0] = '\0';
}

int process_run(const struct process *process, char *reason, size_t size)
{
	int report[2], status = 0, gone;
	pid_t child;

	fflush(stdout);
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) || (child = fork()) < 0) {
		perror("process");
		exit(2);
	}
	if (child == 0) {
		close(report[0]);
		be_process(process, report[1]);
	}
	setpgid(child, child); /* whichever of the two is first */
	close(report[1]);
	gone = wait_until_gone(child, process->seconds);
	kill(-child, SIGKILL);
	waitpid(child, &status, 0);
	read_report(report[0], reason, size);
	close(report[0]);
	if (!gone && !*reason)
		snprintf(reason, size, "hangs beyond its own watchdog");
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (!*reason)
		snprintf(reason, size, "killed by signal %d", WTERMSIG(status));
	return 1;
}
