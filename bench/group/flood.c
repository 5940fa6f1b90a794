/* SPDX-License-Identifier: MIT */
/* Connections that send as much as goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sender.h"
#include "space.h"

#define FLOOD_BATCH 64
#define FLOOD_BYTES (128u << 10) /* of one send: then it is the next one's turn */

static int flood_connect(const struct sender_job *job, int epoll)
{
	int fd = space_socket();
	struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};

	if (fd < 0)
		return fd;
	if (connect(fd, (const void *)&job->address, sizeof(job->address)) ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	return 0;
}

static int flood_send(const struct sender_job *job, struct sent *sent, int epoll,
		      const void *payload)
{
	struct epoll_event events[FLOOD_BATCH];

	while (!atomic_load_explicit(&job->tallies->stop, memory_order_relaxed)) {
		int count = epoll_wait(epoll, events, FLOOD_BATCH, 100);

		for (int i = 0; i < count; i++) {
			ssize_t result =
				send(events[i].data.fd, payload, FLOOD_BYTES, MSG_NOSIGNAL);

			if (result > 0)
				tally_add(&sent->bytes, (uint64_t)result);
			else if (result < 0 && errno != EAGAIN)
				return -errno;
		}
	}
	return 0; /* the sockets are closed with the process; what they still have is sent */
}

int sender_flood(const struct sender_job *job, uint32_t index)
{
	struct sent *sent = &job->tallies->senders[index];
	int epoll = epoll_create1(EPOLL_CLOEXEC), result = epoll < 0 ? -errno : 0;
	void *payload = calloc(1, FLOOD_BYTES);

	for (uint64_t i = sender_share(job, index); !result && i; i--) {
		result = flood_connect(job, epoll);
		if (!result)
			tally_add(&sent->connections, 1);
	}
	if (!result)
		result = sender_ready(job);
	if (!result)
		result = payload ? flood_send(job, sent, epoll, payload) : -ENOMEM;
	return result;
}
