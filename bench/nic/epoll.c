/* SPDX-License-Identifier: MIT */
/* What most servers do: epoll, then recv() of up to 64 KiB. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "method.h"

#define BUFFER 65536u

struct epoll_state {
	int epoll;
	void *buffer;
};

static int open_method(struct nic_job *job)
{
	struct epoll_state *state = calloc(1, sizeof(*state));

	if (!state)
		return -ENOMEM;
	job->state = state;
	state->buffer = aligned_alloc(4096, BUFFER);
	if (!state->buffer)
		return -ENOMEM;
	state->epoll = epoll_create1(EPOLL_CLOEXEC);
	return state->epoll < 0 ? -errno : 0;
}

static int start(struct nic_job *job)
{
	const struct epoll_state *state = job->state;
	struct epoll_event event = {.events = EPOLLIN, .data.fd = job->socket};

	return epoll_ctl(state->epoll, EPOLL_CTL_ADD, job->socket, &event) ? -errno : 0;
}

static int receive(struct nic_job *job)
{
	const struct epoll_state *state = job->state;
	struct epoll_event event;

	while (job->got < job->bytes) {
		ssize_t result;

		if (epoll_wait(state->epoll, &event, 1, -1) < 1)
			return -errno;
		result = recv(event.data.fd, state->buffer, BUFFER, MSG_DONTWAIT);
		if (result < 0 && errno == EAGAIN)
			continue;
		if (result <= 0)
			return result ? -errno : -EPIPE;
		nic_take(job, state->buffer, (size_t)result);
	}
	job->copied = job->got;
	return 0;
}

static void close_method(struct nic_job *job)
{
	struct epoll_state *state = job->state;

	close(state->epoll);
	free(state->buffer);
	free(state);
}

const struct nic_method nic_method_epoll = {
	"epoll", "epoll and recv() of 64 KiB", open_method, start, receive, close_method};
