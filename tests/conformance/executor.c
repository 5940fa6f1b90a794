/* SPDX-License-Identifier: MIT */
#include "executor.h"
#include "payload.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS       32
#define FDS         (EXECUTOR_CHANNELS + 2)
#define PATIENCE_MS 20000 /* until it ends by itself */

/* ---- in its process ---- */

/* Moves descriptors to the numbers that an executor expects. Some of them may be among these
 * numbers now. */
static void place(const int fds[FDS])
{
	int high[FDS];

	for (int i = 0; i < FDS; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, EXECUTOR_FIRST_FD + FDS);
	for (int i = 0; i < FDS; i++)
		if (dup2(high[i], EXECUTOR_FIRST_FD + i) < 0)
			_exit(126);
}

static void become(const char *command, const int fds[FDS])
{
	char *copy = strdup(command), *words[WORDS + 1] = {NULL}, *rest = NULL;
	unsigned count = 0;
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (char *word = strtok_r(copy, " ", &rest); word && count < WORDS;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	setpgid(0, 0);
	dup2(nothing, STDIN_FILENO);
	place(fds);
	/* One heap, so that what threads allocate is no new mapping as large as an area. */
	setenv("MALLOC_ARENA_MAX", "1", 0);
	execvp(words[0], words);
	fprintf(stderr, "conformance: cannot run %s: %s\n", words[0], strerror(errno));
	_exit(127);
}

/* ---- here ---- */

/* A file in memory with the payload's table in it. */
static int payload_file(void)
{
	int fd = memfd_create("payload", MFD_CLOEXEC);

	for (size_t done = 0; fd >= 0 && done < EXECUTOR_PAYLOAD; done += PAYLOAD_BYTES) {
		if (write(fd, payload_at(0, 0, 0), PAYLOAD_BYTES) != PAYLOAD_BYTES) {
			close(fd);
			return -1;
		}
	}
	return fd < 0 || lseek(fd, 0, SEEK_SET) ? -1 : fd;
}

/* Fills in what both sides need; `fds` is the executor's. Returns whether all could be had. */
static int prepare(struct executor *executor, int fds[FDS])
{
	int pair[2];

	for (int i = 0; i < EXECUTOR_CHANNELS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return 0;
		executor->channels[i] = pair[0];
		fds[i] = pair[1];
	}
	executor->listener = peer_listen(&executor->port);
	fds[EXECUTOR_CHANNELS] = executor->listener;
	fds[EXECUTOR_CHANNELS + 1] = payload_file();
	return fds[FDS - 1] >= 0 && executor->listener >= 0;
}

int executor_start(struct executor *executor, const char *command)
{
	int fds[FDS];

	*executor = (struct executor){0};
	fflush(stdout);
	if (!prepare(executor, fds) || (executor->process = fork()) < 0) {
		perror("conformance: executor");
		return -1;
	}
	if (executor->process == 0)
		become(command, fds);
	setpgid(executor->process, executor->process); /* whichever of the two is first */
	for (int i = 0; i < FDS; i++)
		if (fds[i] != executor->listener)
			close(fds[i]);
	return 0;
}

/* Returns whether it ended by itself in time. */
static int ended(pid_t process, int *status, int patience_ms)
{
	for (int waited = 0; waited <= patience_ms; waited++) {
		if (waitpid(process, status, WNOHANG) == process)
			return 1;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return 0;
}

int executor_stop(struct executor *executor, int gently)
{
	int status = 0;

	if (!executor->process)
		return 0;
	for (int i = 0; i < EXECUTOR_CHANNELS; i++)
		close(executor->channels[i]);
	close(executor->listener);
	/* One that has crashed gets a moment to be found out. */
	if (!ended(executor->process, &status, gently ? PATIENCE_MS : 20)) {
		kill(-executor->process, SIGKILL);
		waitpid(executor->process, &status, 0);
		status = gently ? status : 0;
	}
	kill(-executor->process, SIGKILL);
	executor->process = 0;
	return status;
}
