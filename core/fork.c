/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stddef.h>
#include <time.h>

#include "area.h"
#include "fork.h"
#include "group.h"
#include "receiver.h"
#include "sys.h"

#define CLOSE_PATIENCE_NS 100000000

/*
 * The only mutable state of the library, and private to each copy of it: which areas a child has to
 * let go. (And the numbers of threads in core/area.c.)
 */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct zrx_area *registry;
/* Closes of streams' descriptors that are under way. Under the lock. */
static unsigned closing;
static pthread_cond_t closed = PTHREAD_COND_INITIALIZER;
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static int handlers_result;

void zrx_fork_hold(void)
{
	pthread_mutex_lock(&registry_lock);
}

void zrx_fork_allow(void)
{
	pthread_mutex_unlock(&registry_lock);
}

void zrx_fork_close_stream(struct zrx_stream *stream)
{
	int fd = stream->fd;

	zrx_fork_hold();
	stream->fd = -1;
	closing++;
	zrx_fork_allow();
	zrx_sys_close(fd);
	zrx_fork_hold();
	if (!--closing)
		pthread_cond_broadcast(&closed);
	zrx_fork_allow();
}

/*
 * A close takes the descriptor off the table at once, and only then waits for a socket that
 * lingers: after a moment those that are still at it are that far, and a child inherits nothing of
 * theirs.
 */
static void before_fork(void)
{
	struct timespec until;
	int result = 0;

	zrx_fork_hold();
	if (!closing)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += CLOSE_PATIENCE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (closing && !result)
		result = pthread_cond_timedwait(&closed, &registry_lock, &until);
}

static void fork_close_stream(void *context, struct zrx_stream *stream)
{
	(void)context;
	if (stream->fd >= 0)
		zrx_sys_close(stream->fd);
}

static void after_fork_child(void)
{
	for (struct zrx_area *area = registry; area; area = area->fork_next) {
		area->forked = 1;
		if (area->receiver)
			zrx_streams_each(&area->receiver->streams, fork_close_stream, NULL);
		if (area->receiver && area->receiver->inbox)
			zrx_group_forked(area->receiver->inbox);
		if (area->ring_fd >= 0)
			zrx_sys_close(area->ring_fd);
		if (area->dmabuf_fd >= 0)
			zrx_sys_close(area->dmabuf_fd);
		if (area->poll_fd >= 0)
			zrx_sys_close(area->poll_fd);
		zrx_sys_close(area->wake_fd);
	}
	registry = NULL;
	closing = 0; /* those threads are the parent's */
	closed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	zrx_fork_allow();
}

static void install_handlers(void)
{
	handlers_result = -pthread_atfork(before_fork, zrx_fork_allow, after_fork_child);
}

int zrx_fork_watch(struct zrx_area *area)
{
	pthread_once(&handlers_once, install_handlers);
	if (handlers_result)
		return handlers_result;
	zrx_fork_hold();
	area->fork_next = registry;
	if (registry)
		registry->fork_previous = area;
	registry = area;
	zrx_fork_allow();
	return 0;
}

void zrx_fork_unwatch(struct zrx_area *area)
{
	if (area->fork_previous)
		area->fork_previous->fork_next = area->fork_next;
	else if (registry == area)
		registry = area->fork_next;
	if (area->fork_next)
		area->fork_next->fork_previous = area->fork_previous;
}
