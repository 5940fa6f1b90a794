/* SPDX-License-Identifier: MIT */
/* What most servers do: epoll, then recv() what is there. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "side.h"

#define BATCH 64

struct side {
	int epoll;
	void *buffer;
};

static int open_side(struct bench_job *job)
{
	struct side *side = calloc(1, sizeof(*side));

	if (!side)
		return -ENOMEM;
	if (!job->buffer_bytes)
		job->buffer_bytes = BENCH_BUFFER;
	job->state = side;
	side->buffer = aligned_alloc(4096, job->buffer_bytes);
	side->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!side->buffer || side->epoll < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < job->streams; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = job->sockets[i]};

		if (epoll_ctl(side->epoll, EPOLL_CTL_ADD, job->sockets[i], &event))
			return -errno;
	}
	return 0;
}

static int receive(struct bench_job *job)
{
	const struct side *side = job->state;
	struct epoll_event events[BATCH];
	uint64_t got = 0;

	while (got < job->bytes) {
		int count = epoll_wait(side->epoll, events, BATCH, -1);

		for (int i = 0; i < count; i++) {
			ssize_t result = recv(events[i].data.fd, side->buffer, job->buffer_bytes,
					      MSG_DONTWAIT);

			if (result < 0 && errno == EAGAIN)
				continue;
			if (result <= 0)
				return result ? -errno : -EPIPE;
			job->buffers++;
			got += (uint64_t)result;
		}
	}
	return 0;
}

static void close_side(struct bench_job *job)
{
	struct side *side = job->state;

	close(side->epoll);
	free(side->buffer);
	free(side);
}

const struct bench_side bench_side_epoll = {"epoll", "epoll and recv", open_side, receive,
					    close_side};
