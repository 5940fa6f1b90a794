/* SPDX-License-Identifier: MIT */
/*
 * TCP_ZEROCOPY_RECEIVE: whole, aligned pages of payload are mapped; the rest is read by recv(). The
 * next call takes the pages of the one before off the mapping.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "method.h"

#define WINDOW \
	(512   \
	 << 10) /* mapped at a time; changing the mapping is what costs: do it for much at once */
#define BUFFER 65536u

struct tzr_state {
	void *window;
	void *buffer;
};

static int open_method(struct nic_job *job)
{
	struct tzr_state *state = calloc(1, sizeof(*state));

	if (!state)
		return -ENOMEM;
	job->state = state;
	state->buffer = aligned_alloc(4096, BUFFER);
	return state->buffer ? 0 : -ENOMEM;
}

static int start(struct nic_job *job)
{
	struct tzr_state *state = job->state;
	int enough = WINDOW;

	state->window = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, job->socket, 0);
	if (state->window == MAP_FAILED)
		return -errno;
	/* Readable when there is a window full, or the end. */
	return setsockopt(job->socket, SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof(enough)) ? -errno
											 : 0;
}

/* What cannot be mapped. */
static int copy_out(struct nic_job *job, const struct tzr_state *state, uint32_t length)
{
	ssize_t result = recv(job->socket, state->buffer, length < BUFFER ? length : BUFFER, 0);

	if (result <= 0)
		return result ? -errno : -EPIPE;
	nic_take(job, state->buffer, (size_t)result);
	job->copied += (uint64_t)result;
	return 0;
}

static int receive(struct nic_job *job)
{
	const struct tzr_state *state = job->state;
	struct pollfd readable = {.fd = job->socket, .events = POLLIN};

	job->copied = 0;
	while (job->got < job->bytes) {
		struct tcp_zerocopy_receive received = {
			.address = (uint64_t)(uintptr_t)state->window, .length = WINDOW};
		socklen_t size = sizeof(received);
		int result = 0;

		if (poll(&readable, 1, -1) < 0)
			return -errno;
		if (getsockopt(job->socket, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &received, &size))
			return -errno;
		if (received.length)
			nic_take(job, state->window, received.length);
		if (received.recv_skip_hint)
			result = copy_out(job, state, received.recv_skip_hint);
		if (result)
			return result;
	}
	return 0;
}

static void close_method(struct nic_job *job)
{
	struct tzr_state *state = job->state;

	munmap(state->window, WINDOW);
	free(state->buffer);
	free(state);
}

const struct nic_method nic_method_tzr = {
	"tzr",       "TCP_ZEROCOPY_RECEIVE, and recv() of the rest", open_method, start, receive,
	close_method};
