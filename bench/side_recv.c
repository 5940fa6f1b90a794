/* SPDX-License-Identifier: MIT */
/* The plainest program: blocking recv() into one buffer, of one socket. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "side.h"

static int open_side(struct bench_job *job)
{
	if (job->streams != 1)
		return -EINVAL;
	if (!job->buffer_bytes)
		job->buffer_bytes = BENCH_BUFFER;
	job->state = aligned_alloc(4096, job->buffer_bytes);
	return job->state ? 0 : -ENOMEM;
}

static int receive(struct bench_job *job)
{
	uint64_t got = 0;

	while (got < job->bytes) {
		ssize_t result = recv(job->sockets[0], job->state, job->buffer_bytes, 0);

		if (result <= 0)
			return result ? -errno : -EPIPE;
		job->buffers++;
		got += (uint64_t)result;
	}
	return 0;
}

static void close_side(struct bench_job *job)
{
	free(job->state);
}

const struct bench_side bench_side_recv = {"recv", "blocking recv loop", open_side, receive,
					   close_side};
