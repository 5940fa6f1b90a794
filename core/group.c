/* SPDX-License-Identifier: MIT */
/* A group that is open: sockets are handed over, receivers leave, it is closed. */
#include <errno.h>

#include "error.h"
#include "fork.h"
#include "group.h"
#include "receiver.h"
#include "route.h"
#include "socket.h"
#include "stream_life.h"
#include "sys.h"

#define HAND_OVER_TRIES 8 /* each meets an inbox that was filled, or closed, just now */

/* ---- add ---- */

/* No fork in between: a child closes what it finds in an inbox. */
static int group_push(struct zrx_inbox *inbox, struct zrx_arrival *arrival)
{
	int duplicated = arrival->own < 0, result = 0;

	zrx_fork_hold();
	if (duplicated)
		result = arrival->own = zrx_sys_dup(arrival->given);
	if (result >= 0)
		result = zrx_inbox_push(inbox, arrival);
	if (result && duplicated && arrival->own >= 0) {
		zrx_sys_close(arrival->own);
		arrival->own = -1;
	}
	zrx_fork_allow();
	return result;
}

int zrx_group_hand_over(struct zrx_group *group, struct zrx_inbox *self,
			struct zrx_arrival *arrival)
{
	int result = -ENOBUFS, must = 0, copied;

	for (int i = 0; i < HAND_OVER_TRIES; i++) {
		/* The caller may have closed its own since, and the number be another file's. */
		int fd = arrival->own >= 0 ? arrival->own : arrival->given;
		struct zrx_inbox *inbox = zrx_route(group, fd, self, &must, &copied);

		arrival->flags &= ~ZRX_ADDED_COPIED;
		arrival->flags |= copied ? ZRX_ADDED_COPIED : 0;
		if (inbox && inbox == self)
			return 1;
		result = inbox ? group_push(inbox, arrival) : -ENOBUFS;
		/* Closed, or filled, just now: there may be another. */
		if (result != -ESHUTDOWN && (result != -ENOBUFS || must || !inbox))
			break;
	}
	if (!result)
		zrx_group_counted(&group->handed_over);
	else if (result == -ENOBUFS)
		zrx_group_counted(&group->inbox_full);
	return result;
}

static void group_close_arrival(const struct zrx_arrival *arrival)
{
	if (arrival->own >= 0)
		zrx_sys_close(arrival->own);
	if (arrival->flags & ZRX_ADDED_ACCEPTED)
		zrx_sys_close(arrival->given);
}

void zrx_group_let_go(struct zrx_group *group, const struct zrx_arrival *arrival)
{
	zrx_group_counted(&group->refused);
	zrx_fork_hold();
	group_close_arrival(arrival);
	zrx_fork_allow();
}

static int group_is_closed(const struct zrx_group *group)
{
	for (uint32_t i = 0; i < group->count; i++)
		if (!zrx_inbox_is_closed(&group->inboxes[i]))
			return 0;
	return 1;
}

static int group_refused(struct zrx_group *group, int result, int fd, struct zrx_error *error)
{
	if (group_is_closed(group))
		return zrx_error_set(error, -ESHUTDOWN, ZRX_STAGE_SOCKET, "open another group",
				     "every receiver of the group is closed");
	if (result != -ENOBUFS)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET,
				     "raise the limit of open files: ulimit -n",
				     "cannot duplicate descriptor %d", fd);
	return zrx_error_set(error, result, ZRX_STAGE_SOCKET,
			     "let each receiver's thread call zrx_receiver_receive, or open the "
			     "group with more inbox_entries",
			     "descriptor %d: the inbox of the receiver that it belongs to is full: "
			     "its thread does not receive",
			     fd);
}

int zrx_group_add(struct zrx_group *group, int fd, const struct zrx_stream_options *options,
		  struct zrx_error *error)
{
	struct zrx_arrival arrival = {.given = fd, .own = -1};
	int result;

	zrx_error_clear(error);
	if (group->forked)
		return -EPERM;
	result = zrx_stream_options_check(&arrival.options, options, group->chunk_bytes,
					  group->area_max_bytes, error);
	if (!result)
		result = zrx_socket_check(fd, &arrival.cookie, error);
	if (result)
		return result;
	result = zrx_group_hand_over(group, NULL, &arrival);
	return result ? group_refused(group, result, fd, error) : 0;
}

/* ---- what it has ---- */

uint32_t zrx_group_count(const struct zrx_group *group)
{
	return group->count;
}

struct zrx_receiver *zrx_group_receiver(const struct zrx_group *group, uint32_t index)
{
	return index < group->count ? group->inboxes[index].receiver : NULL;
}

/* ---- leave, close ---- */

/* What it had not added yet goes to the others, if there are any. */
static void group_pass_on(struct zrx_inbox *inbox, struct zrx_arrival arrival)
{
	if (zrx_group_hand_over(inbox->group, NULL, &arrival))
		zrx_group_let_go(inbox->group, &arrival);
}

static void group_empty(struct zrx_inbox *inbox)
{
	const struct zrx_arrival *first;

	for (; (first = zrx_inbox_first(inbox)); zrx_inbox_take(inbox))
		group_pass_on(inbox, *first);
	if (inbox->kept.given >= 0)
		group_pass_on(inbox, inbox->kept);
	inbox->kept.given = -1;
}

void zrx_group_leave(struct zrx_receiver *receiver)
{
	struct zrx_inbox *inbox = receiver->inbox;
	struct zrx_group *group = inbox->group;

	zrx_inbox_close(inbox);
	group_empty(inbox);
	atomic_store_explicit(&inbox->streams, 0, memory_order_relaxed);
	pthread_mutex_lock(&group->lock);
	zrx_group_sum_closed(group, receiver);
	inbox->receiver = NULL;
	if (!--group->open)
		zrx_group_stop_listening(group);
	pthread_mutex_unlock(&group->lock);
	zrx_fork_hold();
	receiver->inbox = NULL;
	if (inbox->timer_fd >= 0)
		zrx_sys_close(inbox->timer_fd);
	inbox->timer_fd = -1;
	zrx_fork_allow();
}

int zrx_group_close_receivers(struct zrx_group *group)
{
	int worst = 0;

	for (uint32_t i = 0; i < group->count; i++)
		zrx_inbox_close(&group->inboxes[i]);
	for (uint32_t i = group->count; i-- > 0;) {
		int result = zrx_receiver_close(group->inboxes[i].receiver);

		if (result < 0 || (result && !worst))
			worst = result;
	}
	return worst;
}

void zrx_group_free(struct zrx_group *group)
{
	for (uint32_t i = 0; i < group->count; i++)
		zrx_inbox_free(&group->inboxes[i]);
	pthread_mutex_destroy(&group->lock);
	zrx_sys_free(group);
}

int zrx_group_close(struct zrx_group *group)
{
	int result;

	if (!group || group->forked)
		return 0;
	result = zrx_group_close_receivers(group);
	zrx_group_free(group);
	return result;
}

/* ---- fork ---- */

void zrx_group_forked(struct zrx_inbox *inbox)
{
	struct zrx_group *group = inbox->group;
	const struct zrx_arrival *first;

	for (; (first = zrx_inbox_first(inbox)); zrx_inbox_take(inbox))
		group_close_arrival(first);
	if (inbox->kept.given >= 0)
		group_close_arrival(&inbox->kept);
	if (inbox->timer_fd >= 0)
		zrx_sys_close(inbox->timer_fd);
	for (uint32_t i = 0; !group->forked && i < ZRX_GROUP_LISTENERS; i++)
		if (group->listeners[i].fd >= 0)
			zrx_sys_close(group->listeners[i].fd);
	group->forked = 1;
}
