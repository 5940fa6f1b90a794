/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stddef.h>

#include "area.h"
#include "fork.h"
#include "receiver.h"
#include "sys.h"

/*
 * The only mutable state of the library, and private to each copy of it: which areas a child has to
 * let go.
 */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct zrx_area *registry;
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

static void fork_close_stream(void *context, struct zrx_stream *stream)
{
	(void)context;
	zrx_sys_close(stream->fd);
}

static void after_fork_child(void)
{
	for (struct zrx_area *area = registry; area; area = area->fork_next) {
		area->forked = 1;
		if (area->receiver)
			zrx_streams_each(&area->receiver->streams, fork_close_stream, NULL);
		if (area->ring_fd >= 0)
			zrx_sys_close(area->ring_fd);
		if (area->dmabuf_fd >= 0)
			zrx_sys_close(area->dmabuf_fd);
		if (area->poll_fd >= 0)
			zrx_sys_close(area->poll_fd);
		zrx_sys_close(area->wake_fd);
	}
	registry = NULL;
	zrx_fork_allow();
}

static void install_handlers(void)
{
	handlers_result = -pthread_atfork(zrx_fork_hold, zrx_fork_allow, after_fork_child);
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
