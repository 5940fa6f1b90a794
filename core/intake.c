/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/socket.h>

#include "fork.h"
#include "group.h"
#include "intake.h"
#include "route.h"
#include "row.h"
#include "stream_life.h"
#include "sys.h"

#define ACCEPT_MOST     64u /* connections in one go: there are streams to be received from, too */
#define MOVES_MOST      3u
#define ACCEPT_RETRY_NS 10000000u /* after a shortage */

static void intake_event(struct zrx_sink *sink, const struct zrx_arrival *arrival,
			 const struct zrx_stream *stream, int error)
{
	sink->events[sink->count++] = (struct zrx_event){
		.kind = stream ? ZRX_EVENT_ADDED : ZRX_EVENT_ERROR,
		.flags = (uint16_t)arrival->flags,
		.error = stream ? arrival->given : error,
		.stream = stream ? zrx_stream_handle(stream) : 0,
		.tag = arrival->options.tag,
	};
}

/*
 * The NIC leads it to another queue than was known when it was routed, as queues that are restarted
 * get other NAPI ids: on to the receiver of that one. Returns whether it is on its way.
 */
static int intake_pass_on(struct zrx_receiver *receiver, struct zrx_arrival *arrival, int result)
{
	struct zrx_inbox *inbox = receiver->inbox;

	if (result != -EXDEV || arrival->moves++ == MOVES_MOST)
		return 0;
	zrx_route_look_up(inbox->group);
	return !zrx_group_hand_over(inbox->group, inbox, arrival);
}

/* A socket that is not in the inbox any more: it becomes a stream, or is let go. */
static void intake_begin(struct zrx_receiver *receiver, struct zrx_sink *sink,
			 struct zrx_arrival *arrival, struct zrx_stream *stream, int result)
{
	struct zrx_group *group = receiver->inbox->group;

	if (!result)
		result = zrx_stream_begin(receiver, stream, &arrival->options);
	if (result && intake_pass_on(receiver, arrival, result))
		return;
	if (result) {
		arrival->flags &= ~ZRX_ADDED_COPIED;
		zrx_group_let_go(group, arrival);
		intake_event(sink, arrival, NULL, result);
		return;
	}
	zrx_group_counted(&group->added);
	if (stream->flags & ZRX_STREAM_COPIED)
		arrival->flags |= ZRX_ADDED_COPIED;
	if (arrival->flags & ZRX_ADDED_COPIED)
		zrx_group_counted(&group->copied);
	intake_event(sink, arrival, stream, 0);
}

/* ---- the inbox ---- */

static void intake_from_inbox(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct zrx_inbox *inbox = receiver->inbox;
	const struct zrx_arrival *first;

	while (sink->count < sink->capacity && (first = zrx_inbox_first(inbox))) {
		struct zrx_arrival arrival = *first;
		struct zrx_stream *stream = NULL;
		int result;

		/* A child closes what it finds in the inbox, or in the table. */
		zrx_fork_hold();
		result = zrx_stream_enter(receiver, arrival.given, arrival.own, arrival.cookie,
					  &stream);
		zrx_inbox_take(inbox);
		zrx_fork_allow();
		intake_begin(receiver, sink, &arrival, stream, result);
	}
}

/* ---- listeners ---- */

static void intake_postpone(struct zrx_inbox *inbox)
{
	inbox->retry_at = zrx_sys_now_ns() + ACCEPT_RETRY_NS;
	zrx_group_counted(&inbox->group->accept_retries);
}

static void intake_keep(struct zrx_inbox *inbox, int fd, uint32_t listener)
{
	uint64_t cookie = 0;
	uint32_t length = sizeof(cookie);

	zrx_sys_socket_option(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
	inbox->kept = (struct zrx_arrival){
		.options = inbox->group->listeners[listener].options,
		.cookie = cookie,
		.given = fd,
		.own = -1,
		.flags = ZRX_ADDED_ACCEPTED,
	};
}

/* Of errors of accept: the connection's own, which is gone; the next one may be good. */
static int is_of_connection(int error)
{
	switch (error) {
	case -EINTR:
	case -ECONNABORTED:
	case -EPROTO:
	case -EPERM:
	case -ENETDOWN:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ETIMEDOUT:
		return 1;
	default:
		return 0;
	}
}

static int is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* It listens no more. Of several receivers that see it, one tells. */
static void intake_lose(struct zrx_inbox *inbox, struct zrx_sink *sink, uint32_t listener,
			int error)
{
	uint32_t before = atomic_fetch_and_explicit(&inbox->group->listening, ~(1u << listener),
						    memory_order_relaxed);
	struct zrx_arrival arrival = {
		.options = inbox->group->listeners[listener].options,
		.flags = ZRX_ADDED_LISTENER,
	};

	inbox->ready &= ~(1u << listener);
	if (before & 1u << listener)
		intake_event(sink, &arrival, NULL, error);
}

/* The next connection is kept, if there is one. */
static void intake_accept(struct zrx_inbox *inbox, struct zrx_sink *sink, uint32_t listener)
{
	int fd;

	/* Held: a child closes what is kept. */
	zrx_fork_hold();
	fd = zrx_sys_accept(inbox->group->listeners[listener].fd);
	if (fd >= 0)
		intake_keep(inbox, fd, listener);
	zrx_fork_allow();
	if (fd >= 0)
		zrx_group_counted(&inbox->group->accepted);
	else if (fd == -EAGAIN)
		inbox->ready &= ~(1u << listener);
	else if (is_shortage(fd))
		intake_postpone(inbox);
	else if (!is_of_connection(fd))
		intake_lose(inbox, sink, listener, fd);
}

/*
 * What is accepted gets the next descriptor, before others accept more and take it. Not for long: a
 * thread that does not come back for its connection holds up nobody.
 */
static void intake_starve(struct zrx_group *group)
{
	atomic_store_explicit(&group->starved_until, zrx_sys_now_ns() + 2 * ACCEPT_RETRY_NS,
			      memory_order_relaxed);
}

static void intake_fed(struct zrx_group *group)
{
	if (atomic_load_explicit(&group->starved_until, memory_order_relaxed))
		atomic_store_explicit(&group->starved_until, 0, memory_order_relaxed);
}

static int intake_is_starved(const struct zrx_group *group)
{
	uint64_t until = atomic_load_explicit(&group->starved_until, memory_order_relaxed);

	return until && zrx_sys_now_ns() < until;
}

/* It belongs here. Returns 1, or 0 where there are no descriptors. */
static int intake_own(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct zrx_inbox *inbox = receiver->inbox;
	struct zrx_arrival arrival = inbox->kept;
	struct zrx_stream *stream = NULL;
	int result = 0;

	zrx_fork_hold();
	arrival.own = zrx_sys_dup(arrival.given);
	if (arrival.own >= 0) {
		result = zrx_stream_enter(receiver, arrival.given, arrival.own, arrival.cookie,
					  &stream);
		inbox->kept.given = -1;
	}
	zrx_fork_allow();
	if (arrival.own < 0)
		return 0;
	intake_fed(inbox->group);
	intake_begin(receiver, sink, &arrival, stream, result);
	return 1;
}

/* The kept connection goes where it belongs; where that cannot be yet, accepting waits. */
static void intake_place(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct zrx_inbox *inbox = receiver->inbox;
	struct zrx_arrival arrival = inbox->kept;
	int result = zrx_group_hand_over(inbox->group, inbox, &arrival);

	inbox->kept.flags = arrival.flags;
	if (!result) {
		inbox->kept.given = -1;
		intake_fed(inbox->group);
	} else if (result < 0 || !intake_own(receiver, sink)) {
		if (result != -ENOBUFS)
			intake_starve(inbox->group);
		intake_postpone(inbox);
	}
}

static int intake_is_postponed(const struct zrx_inbox *inbox)
{
	return inbox->retry_at && zrx_sys_now_ns() < inbox->retry_at;
}

static void intake_from_listeners(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct zrx_inbox *inbox = receiver->inbox;
	uint32_t left = ACCEPT_MOST, first = inbox->accept_first++;

	inbox->retry_at = 0;
	for (uint32_t i = 0; i < ZRX_GROUP_LISTENERS; i++) {
		uint32_t listener = (first + i) % ZRX_GROUP_LISTENERS;

		/* What is kept goes first, whose ever it is. */
		while (!inbox->retry_at && left && sink->count < sink->capacity &&
		       (inbox->kept.given >= 0 || inbox->ready & 1u << listener)) {
			left--;
			if (inbox->kept.given < 0 && intake_is_starved(inbox->group))
				intake_postpone(inbox);
			else if (inbox->kept.given < 0)
				intake_accept(inbox, sink, listener);
			if (inbox->kept.given >= 0 && sink->count < sink->capacity)
				intake_place(receiver, sink);
		}
	}
}

static int has_connections(const struct zrx_inbox *inbox)
{
	return (inbox->ready || inbox->kept.given >= 0) && !intake_is_postponed(inbox);
}

void zrx_intake(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	intake_from_inbox(receiver, sink);
	if (has_connections(receiver->inbox))
		intake_from_listeners(receiver, sink);
}

int zrx_intake_due(const struct zrx_receiver *receiver)
{
	return zrx_inbox_first(receiver->inbox) || has_connections(receiver->inbox);
}

static uint32_t intake_to_watch(const struct zrx_inbox *inbox)
{
	/* Pairs with the store in zrx_group_listen: what is listened on is filled in. */
	return atomic_load_explicit(&inbox->group->listening, memory_order_seq_cst) &
	       ~(inbox->watching | inbox->ready);
}

int zrx_intake_unwatched(const struct zrx_receiver *receiver)
{
	return intake_to_watch(receiver->inbox) != 0;
}

int zrx_intake_needs_reminder(const struct zrx_receiver *receiver)
{
	const struct zrx_inbox *inbox = receiver->inbox;

	return inbox->retry_at && inbox->retry_at != inbox->reminded_at &&
	       atomic_load_explicit(&receiver->area->polled, memory_order_relaxed);
}

int zrx_intake_watch(struct zrx_receiver *receiver)
{
	struct zrx_inbox *inbox = receiver->inbox;
	uint32_t todo = intake_to_watch(inbox);

	if (zrx_intake_needs_reminder(receiver) &&
	    receiver->engine->remind(receiver, inbox->retry_at))
		inbox->reminded_at = inbox->retry_at;
	for (; todo; todo &= todo - 1) {
		uint32_t listener = (uint32_t)__builtin_ctz(todo);
		int result = receiver->engine->watch(receiver, inbox->group->listeners[listener].fd,
						     listener);

		if (result)
			return result != -EAGAIN;
		inbox->watching |= 1u << listener;
	}
	return 0;
}

void zrx_intake_ready(struct zrx_receiver *receiver, uint32_t listener)
{
	struct zrx_inbox *inbox = receiver->inbox;

	inbox->watching &= ~(1u << listener);
	if (atomic_load_explicit(&inbox->group->listening, memory_order_relaxed) & 1u << listener)
		inbox->ready |= 1u << listener;
}

void zrx_intake_reminded(struct zrx_receiver *receiver)
{
	if (receiver->inbox)
		receiver->inbox->reminded_at = 0;
}

int64_t zrx_intake_patience(const struct zrx_receiver *receiver, int64_t timeout_ns)
{
	uint64_t now, at = receiver->inbox->retry_at;

	if (!at || !timeout_ns)
		return timeout_ns;
	now = zrx_sys_now_ns();
	if (at <= now)
		return 0;
	return timeout_ns < 0 || (uint64_t)timeout_ns > at - now ? (int64_t)(at - now) : timeout_ns;
}
