/* SPDX-License-Identifier: MIT */
/* What servers do that want several processors: SO_REUSEPORT, and epoll, accept4 and recv in each.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../machine.h"
#include "server.h"

#define EPOLL_BATCH  128
#define BUFFER_BYTES 65536u

struct loop {
	const struct server_job *job;
	struct tally *tally;
	int epoll;
	int listener;
	void *buffer;
};

static int watch(const struct loop *loop, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int accept_all(const struct loop *loop)
{
	uint32_t events = EPOLLIN | (loop->job->level ? 0 : (uint32_t)EPOLLET);

	for (;;) {
		int fd = accept4(loop->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int result;

		if (fd < 0)
			return errno == EAGAIN ? 0 : -errno;
		tally_add(&loop->tally->accepted, 1);
		result = watch(loop, fd, events);
		if (result)
			return result;
	}
}

/* Returns whether there may be more. */
static int take_some(const struct loop *loop, int fd)
{
	ssize_t result = recv(fd, loop->buffer, BUFFER_BYTES, 0);

	if (result > 0) {
		tally_add(&loop->tally->bytes, (uint64_t)result);
		if (loop->job->greetings)
			tally_greeting(loop->tally, loop->buffer, (uint64_t)result);
		return 1;
	}
	if (result < 0 && errno == EAGAIN)
		return 0;
	tally_add(result ? &loop->tally->failed : &loop->tally->ended, 1);
	close(fd);
	return 0;
}

static int take(const struct loop *loop, int fd)
{
	if (fd == loop->listener)
		return accept_all(loop);
	while (take_some(loop, fd) && !loop->job->level)
		;
	return 0;
}

static int run_loop(const struct loop *loop)
{
	struct epoll_event events[EPOLL_BATCH];
	int result = 0;

	while (!result) {
		int count = epoll_wait(loop->epoll, events, EPOLL_BATCH, -1);

		if (count < 0)
			return -errno;
		for (int i = 0; !result && i < count; i++) {
			if (events[i].data.fd == loop->job->over)
				return 0;
			result = take(loop, events[i].data.fd);
		}
	}
	return result;
}

static int serve_reuseport(const struct server_job *job, uint32_t index)
{
	struct loop loop = {
		.job = job,
		.tally = &job->tallies->receivers[index],
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.listener = job->listeners[index],
		.buffer = aligned_alloc(4096, BUFFER_BYTES),
	};
	int result;

	if (loop.epoll < 0 || !loop.buffer)
		return -ENOMEM;
	if (job->pin)
		bench_pin((int)(index % (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)));
	result = watch(&loop, loop.listener, EPOLLIN);
	if (!result)
		result = watch(&loop, job->over, EPOLLIN);
	if (!result)
		result = server_ready(job);
	return result ? result : run_loop(&loop);
}

const struct server server_reuseport = {
	"reuseport", "a process for each receiver: SO_REUSEPORT, epoll, accept4, recv of 64 KiB", 0,
	serve_reuseport};
