/* SPDX-License-Identifier: MIT */
/* Engine recv: epoll says which sockets have bytes, recv() copies them into the area. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "engine.h"
#include "error.h"
#include "fill.h"
#include "engine_multishot.h"
#include "fork.h"
#include "group.h"
#include "intake.h"
#include "options.h"
#include "receiver.h"
#include "row.h"
#include "sys.h"

#define EPOLL_BATCH 64
#define WAKE        0u /* no stream has these handles, which are above 1 << 32 */
#define LISTENER    1u /* the first of the group's */
#define TIMER       (LISTENER + ZRX_GROUP_LISTENERS)

struct recv_state {
	int epoll;
	struct zrx_stream_list ready; /* armed, and epoll said so, and not yet read empty */
};

static int recv_open(struct zrx_receiver *receiver, struct zrx_error *error)
{
	uint32_t chunk = zrx_options_copy_chunk(&receiver->options);
	struct recv_state *state;
	int result = zrx_area_open(&receiver->area, &receiver->options, chunk, error);

	if (result)
		return result;
	state = zrx_sys_alloc(sizeof(*state));
	if (!state) {
		result = zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, NULL, "out of memory");
		goto abandon;
	}
	result = zrx_fill_open(receiver, error);
	if (result)
		goto abandon;
	zrx_fork_hold();
	state->epoll = zrx_sys_epoll_open();
	receiver->area->ring_fd = state->epoll;
	zrx_fork_allow();
	if (state->epoll < 0) {
		result = zrx_error_set(error, state->epoll, ZRX_STAGE_RING,
				       "raise the limit of open files: ulimit -n",
				       "cannot open an epoll instance");
		goto abandon;
	}
	result = zrx_sys_epoll_control(state->epoll, EPOLL_CTL_ADD, receiver->area->wake_fd,
				       EPOLLIN, WAKE);
	if (result) {
		zrx_error_set(error, result, ZRX_STAGE_RING, NULL, "cannot watch an eventfd");
		zrx_sys_close(state->epoll);
		receiver->area->ring_fd = -1;
		goto abandon;
	}
	receiver->state = state;
	receiver->info.engine = ZRX_ENGINE_RECV;
	receiver->info.area_kind = receiver->area->kind;
	receiver->info.area_bytes = receiver->area->bytes;
	receiver->info.buffer_bytes = chunk;
	return 0;
abandon:
	zrx_sys_free(state);
	zrx_chunks_close(&receiver->chunks);
	zrx_area_abandon(receiver->area);
	return result;
}

static int recv_start(struct zrx_receiver *receiver)
{
	(void)receiver;
	return 0;
}

static int recv_arm(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct recv_state *state = receiver->state;

	return zrx_sys_epoll_control(state->epoll, EPOLL_CTL_ADD, stream->fd, EPOLLIN | EPOLLRDHUP,
				     zrx_stream_handle(stream));
}

/* Out of the set, not just masked: epoll reports a hang-up whatever the mask, and would spin. */
static void disarm(struct zrx_receiver *receiver, struct zrx_stream *stream, int64_t result)
{
	struct recv_state *state = receiver->state;

	zrx_sys_epoll_control(state->epoll, EPOLL_CTL_DEL, stream->fd, 0, 0);
	zrx_stream_final(receiver, stream, (int)result);
}

static int recv_cancel(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	disarm(receiver, stream, -ECANCELED);
	return 0;
}

/* Before it is needed, which is when there are no descriptors. */
static int have_timer(struct zrx_receiver *receiver)
{
	struct recv_state *state = receiver->state;
	struct zrx_inbox *inbox = receiver->inbox;
	int result = 0;

	if (inbox->timer_fd >= 0)
		return 0;
	zrx_fork_hold();
	inbox->timer_fd = zrx_sys_timer_open();
	if (inbox->timer_fd < 0)
		result = -ENOMEM;
	else
		result = zrx_sys_epoll_control(state->epoll, EPOLL_CTL_ADD, inbox->timer_fd,
					       EPOLLIN, TIMER);
	if (result && inbox->timer_fd >= 0) {
		zrx_sys_close(inbox->timer_fd);
		inbox->timer_fd = -1;
	}
	zrx_fork_allow();
	return result;
}

/* Taken out again when it is reported: once, and exclusively, as zrx_ring_watch. */
static int recv_watch(struct zrx_receiver *receiver, int fd, uint32_t listener)
{
	struct recv_state *state = receiver->state;
	int result = have_timer(receiver);

	return result ? result
		      : zrx_sys_epoll_control(state->epoll, EPOLL_CTL_ADD, fd,
					      EPOLLIN | EPOLLEXCLUSIVE, LISTENER + listener);
}

static int recv_remind(struct zrx_receiver *receiver, uint64_t at_ns)
{
	zrx_sys_timer_set(receiver->inbox->timer_fd, at_ns);
	return 1;
}

static void listener_ready(struct zrx_receiver *receiver, uint32_t listener)
{
	struct recv_state *state = receiver->state;

	zrx_sys_epoll_control(state->epoll, EPOLL_CTL_DEL,
			      receiver->inbox->group->listeners[listener].fd, 0, 0);
	zrx_intake_ready(receiver, listener);
}

static uint32_t recv_available(struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	(void)stream;
	return zrx_fill_available(receiver);
}

static int recv_poll(struct zrx_receiver *receiver, int64_t timeout_ns)
{
	struct recv_state *state = receiver->state;
	struct epoll_event events[EPOLL_BATCH];
	int count = zrx_sys_epoll_wait(state->epoll, events, EPOLL_BATCH, timeout_ns);

	for (int i = 0; i < count; i++) {
		struct zrx_stream *stream;

		if (events[i].data.u64 == WAKE) {
			zrx_sys_eventfd_drain(receiver->area->wake_fd);
			continue;
		}
		if (events[i].data.u64 == TIMER) {
			zrx_sys_eventfd_drain(receiver->inbox->timer_fd);
			continue;
		}
		if (events[i].data.u64 < TIMER) {
			listener_ready(receiver, (uint32_t)events[i].data.u64 - LISTENER);
			continue;
		}
		stream = zrx_stream_at(&receiver->streams, events[i].data.u64);
		if (!stream->list)
			zrx_list_append(&state->ready, stream);
	}
	return count;
}

/* One recv. */
static void serve(struct zrx_receiver *receiver, struct zrx_stream *stream, struct zrx_sink *sink)
{
	struct recv_state *state = receiver->state;
	uint64_t asked = 0;
	int64_t result = zrx_fill_receive(receiver, stream, sink, &asked);

	if (result == -EAGAIN || result == -EINTR)
		zrx_list_remove(stream); /* epoll reports it again if there is more */
	else if (result <= 0 || !stream->remaining)
		disarm(receiver, stream, result);
	else if ((uint64_t)result < asked)
		zrx_list_remove(stream);
	else
		zrx_list_append(&state->ready, stream); /* behind the others */
}

static int recv_harvest(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct recv_state *state = receiver->state;
	struct zrx_stream_list full = {
		0}; /* which rest, unless buffers of theirs come back before the next batch */

	while (state->ready.first && sink->count < sink->capacity &&
	       sink->bytes < ZRX_HOT_SET_BYTES) {
		struct zrx_stream *stream = state->ready.first;

		zrx_windows_refresh(receiver);
		if (zrx_window_full(&receiver->windows, stream)) {
			zrx_window_note(&receiver->windows, stream);
			zrx_list_append(&full, stream);
		} else {
			serve(receiver, stream, sink);
		}
	}
	while (full.first)
		zrx_list_append(&state->ready, full.first);
	/*
	 * Streams that always have more must not keep the others from being seen, after each batch:
	 * a stream with a small window has only so many bytes in each.
	 */
	if (state->ready.first)
		recv_poll(receiver, 0);
	return 0;
}

static int recv_wait(struct zrx_receiver *receiver, int64_t timeout_ns)
{
	struct recv_state *state = receiver->state;
	int count = recv_poll(receiver, state->ready.first ? 0 : timeout_ns);

	if (count < 0)
		return count;
	return count || state->ready.first ? 0 : -ETIME;
}

static void recv_collect(struct zrx_receiver *receiver)
{
	(void)receiver;
}

static int recv_stop(struct zrx_receiver *receiver)
{
	(void)receiver; /* nothing happens between two calls */
	return 0;
}

static int recv_close(struct zrx_receiver *receiver)
{
	struct recv_state *state = receiver->state;

	zrx_fork_hold();
	receiver->area->ring_fd = -1;
	zrx_sys_close(state->epoll);
	zrx_fork_allow();
	zrx_sys_free(state);
	return 0;
}

static void recv_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats)
{
	(void)receiver;
	stats->copied_bytes = stats->bytes;
	stats->copied_buffers = stats->buffers;
}

const struct zrx_engine zrx_engine_recv = {
	.id = ZRX_ENGINE_RECV,
	.open = recv_open,
	.start = recv_start,
	.arm = recv_arm,
	.cancel = recv_cancel,
	.watch = recv_watch,
	.remind = recv_remind,
	.available = recv_available,
	.extend = zrx_fill_extend,
	.harvest = recv_harvest,
	.wait = recv_wait,
	.take_back = zrx_fill_take_back,
	.take_one = zrx_fill_take_one,
	.collect = recv_collect,
	.stop = recv_stop,
	.close = recv_close,
	.stats = recv_stats,
};
