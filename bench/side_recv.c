/* SPDX-License-Identifier: MIT */
/* The plainest program: blocking recv() into one buffer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "side.h"

static int receive(struct bench_job *job)
{
	void *buffer = aligned_alloc(4096, job->buffer_bytes);
	uint64_t got = 0;

	if (!buffer)
		return -ENOMEM;
	while (got < job->bytes) {
		ssize_t result = recv(job->sockets[0], buffer, job->buffer_bytes, 0);

		if (result <= 0) {
			perror("recv");
			free(buffer);
			return -EIO;
		}
		bench_touch(job, buffer, (uint64_t)result);
		got += (uint64_t)result;
	}
	free(buffer);
	return 0;
}

const struct bench_side bench_side_recv = {"recv", "blocking recv loop", receive};
