/* SPDX-License-Identifier: MIT */
/* What most servers do: epoll, then recv() what is there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "side.h"

#define BATCH 64

static int serve(struct bench_job *job, int fd, void *buffer, uint64_t *got)
{
	ssize_t result = recv(fd, buffer, job->buffer_bytes, MSG_DONTWAIT);

	if (result == 0 || (result < 0 && errno != EAGAIN)) {
		perror("recv");
		return -EIO;
	}
	if (result > 0) {
		bench_touch(job, buffer, (uint64_t)result);
		*got += (uint64_t)result;
	}
	return 0;
}

static int loop(struct bench_job *job, int epoll, void *buffer)
{
	struct epoll_event events[BATCH];
	uint64_t got = 0;

	while (got < job->bytes) {
		int count = epoll_wait(epoll, events, BATCH, -1);

		for (int i = 0; i < count; i++) {
			int result = serve(job, events[i].data.fd, buffer, &got);

			if (result)
				return result;
		}
	}
	return 0;
}

static int receive(struct bench_job *job)
{
	void *buffer = aligned_alloc(4096, job->buffer_bytes);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int result = buffer && epoll >= 0 ? 0 : -ENOMEM;

	for (uint32_t i = 0; !result && i < job->streams; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = job->sockets[i]};

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, job->sockets[i], &event))
			result = -errno;
	}
	if (!result)
		result = loop(job, epoll, buffer);
	close(epoll);
	free(buffer);
	return result;
}

const struct bench_side bench_side_epoll = {"epoll", "epoll and recv", receive};
