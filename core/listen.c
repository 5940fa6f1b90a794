/* SPDX-License-Identifier: MIT */
/* The listening sockets of a group. */
#include <errno.h>
#include <netinet/in.h>

#include "error.h"
#include "fork.h"
#include "group.h"
#include "socket.h"
#include "stream_life.h"
#include "sys.h"

static int listen_refused(struct zrx_error *error, int result, int fd)
{
	return zrx_error_set(error, result, ZRX_STAGE_SOCKET,
			     result == -EMFILE || result == -ENFILE
				     ? "raise the limit of open files: ulimit -n"
				     : "pass a socket after bind() and listen()",
			     "descriptor %d cannot be listened on", fd);
}

/* With forks held off: a child closes what it finds in the table. */
static int listen_fill(struct zrx_listener *listener, int fd, struct zrx_error *error)
{
	int own = zrx_stream_duplicate(fd, error), was;

	if (own < 0)
		return own;
	/* Several threads accept: the one that comes too late must not wait. */
	was = zrx_sys_set_blocking(own, 0);
	if (was < 0) {
		zrx_sys_close(own);
		return listen_refused(error, was, fd);
	}
	listener->blocking = was;
	listener->fd = own;
	return 0;
}

static struct zrx_listener *listen_free_entry(struct zrx_group *group)
{
	for (uint32_t i = 0; i < ZRX_GROUP_LISTENERS; i++)
		if (group->listeners[i].fd < 0)
			return &group->listeners[i];
	return NULL;
}

static int listen_begin(struct zrx_group *group, int fd, const struct zrx_stream_options *options,
			struct zrx_error *error)
{
	struct zrx_listener *listener = listen_free_entry(group);
	int result;

	if (!group->open)
		return zrx_error_set(error, -ESHUTDOWN, ZRX_STAGE_SOCKET, "open another group",
				     "every receiver of the group is closed");
	if (!listener)
		return zrx_error_set(error, -ENOSPC, ZRX_STAGE_SOCKET, "open another group",
				     "the group listens on %u sockets already",
				     ZRX_GROUP_LISTENERS);
	listener->options = *options;
	zrx_fork_hold();
	result = listen_fill(listener, fd, error);
	zrx_fork_allow();
	if (result)
		return result;
	/* Pairs with the load in intake_to_watch; see inbox_wake_sleeper. */
	atomic_fetch_or_explicit(&group->listening, 1u << (listener - group->listeners),
				 memory_order_seq_cst);
	for (uint32_t i = 0; i < group->count; i++)
		zrx_inbox_wake(&group->inboxes[i]);
	return 0;
}

int zrx_group_listen(struct zrx_group *group, int listen_fd,
		     const struct zrx_stream_options *options, struct zrx_error *error)
{
	struct zrx_stream_options checked;
	int result;

	zrx_error_clear(error);
	result = zrx_stream_options_check(&checked, options, group->chunk_bytes,
					  group->area_max_bytes, error);
	if (!result)
		result = zrx_socket_check_listens(listen_fd, error);
	if (result)
		return result;
	pthread_mutex_lock(&group->lock);
	result = listen_begin(group, listen_fd, &checked, error);
	pthread_mutex_unlock(&group->lock);
	return result;
}

void zrx_group_stop_listening(struct zrx_group *group)
{
	atomic_store_explicit(&group->listening, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < ZRX_GROUP_LISTENERS; i++) {
		struct zrx_listener *listener = &group->listeners[i];

		if (listener->fd < 0)
			continue;
		zrx_fork_hold();
		if (listener->blocking)
			zrx_sys_set_blocking(listener->fd, 1);
		zrx_sys_close(listener->fd);
		listener->fd = -1;
		zrx_fork_allow();
	}
}
