/* SPDX-License-Identifier: MIT */
/* A stream's life: added, armed, parked, kicked, removed, ended. */
#include <errno.h>

#include "error.h"
#include "fork.h"
#include "inbox.h"
#include "options.h"
#include "receiver.h"
#include "socket.h"
#include "stream_life.h"
#include "sys.h"

/* ---- add ---- */

int zrx_stream_options_check(struct zrx_stream_options *checked,
			     const struct zrx_stream_options *given, uint64_t chunk_bytes,
			     uint64_t area_max_bytes, struct zrx_error *error)
{
	static const struct zrx_stream_options defaults = ZRX_STREAM_OPTIONS_INIT;
	int result = zrx_copy_in(checked, sizeof(*checked), given ? given : &defaults);

	if (!result && checked->flags)
		result = -EINVAL;
	if (result)
		return zrx_error_set(
			error, result, ZRX_STAGE_OPTIONS, "start from ZRX_STREAM_OPTIONS_INIT",
			"stream options: size is not set, or unknown flags or bytes are");
	return zrx_window_check(checked->window_bytes, chunk_bytes, area_max_bytes, error);
}

int zrx_stream_duplicate(int fd, struct zrx_error *error)
{
	int own = zrx_sys_dup(fd);

	return own < 0 ? zrx_error_set(error, own, ZRX_STAGE_SOCKET,
				       "raise the limit of open files: ulimit -n",
				       "cannot duplicate descriptor %d", fd)
		       : own;
}

void zrx_streams_counted(struct zrx_receiver *receiver, int more)
{
	zrx_count(&receiver->counters.streams, (uint64_t)(int64_t)more);
	if (receiver->inbox)
		atomic_store_explicit(&receiver->inbox->streams, receiver->streams.live,
				      memory_order_relaxed);
}

void zrx_stream_drop(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	zrx_stream_retire(&receiver->streams, stream);
	if (!stream->held && !(stream->flags & ZRX_STREAM_OVER))
		zrx_stream_free(&receiver->streams, stream);
}

/* A request is made by the next receive: make the descriptor readable for an event loop. */
static void tell_event_loop(const struct zrx_receiver *receiver,
			    const struct zrx_stream_list *requests)
{
	if (zrx_area_has_owner(receiver->area) && !requests->first)
		zrx_area_nudge(receiver->area);
}

static int check_new(struct zrx_receiver *receiver, int named, uint64_t cookie)
{
	if (!zrx_stream_by_cookie(&receiver->streams, cookie))
		return 0;
	return zrx_error_set(&receiver->last, -EEXIST, ZRX_STAGE_SOCKET,
			     "remove it first, and wait for its end event",
			     "the socket of descriptor %d is added already", named);
}

int zrx_stream_enter(struct zrx_receiver *receiver, int named, int own, uint64_t cookie,
		     struct zrx_stream **entered)
{
	struct zrx_stream *stream;
	int result = check_new(receiver, named, cookie);

	if (result)
		return result;
	stream = zrx_stream_new(&receiver->streams, cookie);
	if (!stream)
		return zrx_error_set(&receiver->last, -ENOMEM, ZRX_STAGE_STREAM, NULL,
				     "out of memory for the table of streams");
	stream->fd = own;
	*entered = stream;
	return 0;
}

int zrx_stream_begin(struct zrx_receiver *receiver, struct zrx_stream *stream,
		     const struct zrx_stream_options *options)
{
	int result = 0;

	stream->tag = options->tag;
	stream->window =
		options->window_bytes ? options->window_bytes : receiver->options.window_bytes;
	if (options->limit_bytes)
		stream->remaining = options->limit_bytes;
	if (receiver->engine->adopt)
		result = receiver->engine->adopt(receiver, stream);
	if (result) {
		zrx_fork_hold();
		stream->fd = -1;
		zrx_fork_allow();
		zrx_stream_drop(receiver, stream);
		return result;
	}
	zrx_list_append(&receiver->queued, stream);
	zrx_streams_counted(receiver, 1);
	return 0;
}

/* No fork in between: a child closes the descriptors that it finds in the table. */
static int add_duplicate(struct zrx_receiver *receiver, int fd, uint64_t cookie,
			 struct zrx_stream **stream)
{
	int own, result;

	zrx_fork_hold();
	own = zrx_stream_duplicate(fd, &receiver->last);
	result = own < 0 ? own : zrx_stream_enter(receiver, fd, own, cookie, stream);
	if (result && own >= 0)
		zrx_sys_close(own);
	zrx_fork_allow();
	return result;
}

int zrx_receiver_add(struct zrx_receiver *receiver, int fd,
		     const struct zrx_stream_options *options, uint64_t *handle)
{
	struct zrx_stream_options checked;
	struct zrx_stream *stream;
	uint64_t cookie = 0;
	int own, result = zrx_check_thread(receiver);

	if (result) /* what is kept for zrx_receiver_error is the owner's */
		return result;
	result = zrx_stream_options_check(&checked, options, receiver->windows.chunk_bytes,
					  receiver->area->max_bytes, &receiver->last);
	if (!result)
		result = zrx_socket_check(fd, &cookie, &receiver->last);
	if (!result)
		result = check_new(receiver, fd, cookie);
	if (!result)
		result = add_duplicate(receiver, fd, cookie, &stream);
	if (result)
		return result;
	own = stream->fd;
	tell_event_loop(receiver, &receiver->queued);
	result = zrx_stream_begin(receiver, stream, &checked);
	if (result)
		zrx_sys_close(own); /* the caller has one, too: it waits for nothing */
	else if (handle)
		*handle = zrx_stream_handle(stream);
	return result;
}

/* ---- the end, or another turn ---- */

static void stream_end(struct zrx_receiver *receiver, struct zrx_stream *stream, int error,
		       uint16_t end_flags)
{
	zrx_window_leave(receiver, stream);
	stream->state = ZRX_STREAM_DONE;
	stream->error = error;
	stream->end_flags = end_flags;
	zrx_list_append(&receiver->done, stream);
}

static void again(struct zrx_receiver *receiver, struct zrx_stream *stream, _Atomic uint64_t *cause)
{
	zrx_count(cause, 1);
	zrx_window_go_on(receiver, stream);
}

static void wait_for_buffer(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	if (stream->flags & (ZRX_STREAM_BY_HAND | ZRX_STREAM_AT_WINDOW) ||
	    receiver->engine->available(receiver, stream)) {
		again(receiver, stream, &receiver->counters.rearms_no_buffer);
		return;
	}
	stream->state = ZRX_STREAM_PARKED;
	zrx_list_append(&receiver->parked[stream->remaining != UINT64_MAX], stream);
	zrx_count(&receiver->counters.parks, 1);
	zrx_count(&receiver->counters.rearms_no_buffer, 1);
	zrx_parked_changed(receiver);
	if (atomic_load_explicit(&receiver->counters.stall, memory_order_relaxed) == ZRX_STALL_NONE)
		atomic_store_explicit(&receiver->counters.stall, ZRX_STALL_BUFFERS,
				      memory_order_relaxed);
}

void zrx_stream_final(struct zrx_receiver *receiver, struct zrx_stream *stream, int result)
{
	struct zrx_counters *counters = &receiver->counters;
	int kicked = stream->flags & ZRX_STREAM_KICKED;
	int resting = stream->flags & ZRX_STREAM_RESTING;
	int removing = stream->flags & ZRX_STREAM_REMOVING;

	zrx_list_remove(stream); /* perhaps still among the cancels */
	stream->flags &= (uint8_t) ~(ZRX_STREAM_KICKED | ZRX_STREAM_RESTING);
	if (stream->remaining == 0) {
		stream_end(receiver, stream, 0, ZRX_END_LIMIT);
		return;
	}
	switch (result) {
	case 0:
		stream_end(receiver, stream, 0, 0);
		return;
	case -ENOSPC:
	case -EOVERFLOW:
	case -ENOBUFS:
	case -ENOMEM:
	case -EINTR:
	case -EAGAIN:
	case -ECANCELED:
		break;
	default:
		if (result < 0) {
			stream_end(receiver, stream, result, 0);
			return;
		}
	}
	/* The kernel stopped, but the stream goes on. */
	if (removing)
		stream_end(receiver, stream, 0, ZRX_END_REMOVED);
	else if (result == -ENOBUFS || result == -ENOMEM)
		wait_for_buffer(receiver, stream);
	else if (result == -ENOSPC || result == -EOVERFLOW || result > 0)
		again(receiver, stream, &counters->rearms_ring_full);
	else if (resting)
		zrx_window_go_on(receiver, stream);
	else if (kicked)
		again(receiver, stream, &counters->rearms_silent);
	else
		again(receiver, stream, &counters->rearms_interrupted);
}

void zrx_stream_fail(struct zrx_receiver *receiver, struct zrx_stream *stream, int error)
{
	stream_end(receiver, stream, error, 0);
}

void zrx_stream_kick(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	if (stream->state != ZRX_STREAM_ARMED ||
	    stream->flags & (ZRX_STREAM_KICKED | ZRX_STREAM_REMOVING))
		return;
	stream->flags |= ZRX_STREAM_KICKED;
	zrx_list_append(&receiver->cancels, stream);
}

void zrx_stream_stop_to_rest(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	if (stream->flags & (ZRX_STREAM_RESTING | ZRX_STREAM_REMOVING))
		return;
	if (!(stream->flags & ZRX_STREAM_KICKED)) /* else the cancel is asked for, or under way */
		zrx_list_append(&receiver->cancels, stream);
	stream->flags |= ZRX_STREAM_RESTING;
}

void zrx_stream_continue(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	int removing = stream->flags & ZRX_STREAM_REMOVING;

	zrx_list_remove(stream); /* perhaps still among the cancels */
	stream->flags &= (uint8_t) ~(ZRX_STREAM_KICKED | ZRX_STREAM_RESTING);
	if (removing)
		stream_end(receiver, stream, 0, ZRX_END_REMOVED);
	else
		zrx_window_go_on(receiver, stream);
}

/* ---- pause and resume by hand ---- */

/* The owner's: the live stream of a handle. Returns 0, or -EPERM, or -ENOENT with the error filled.
 */
static int find_live(struct zrx_receiver *receiver, uint64_t handle, struct zrx_stream **stream)
{
	int result = zrx_check_thread(receiver);

	if (result)
		return result;
	*stream = zrx_stream_find(&receiver->streams, handle);
	if (*stream && (*stream)->state != ZRX_STREAM_DONE &&
	    !((*stream)->flags & ZRX_STREAM_REMOVING))
		return 0;
	return zrx_error_set(&receiver->last, -ENOENT, ZRX_STAGE_STREAM, NULL,
			     "the stream has ended, or never was");
}

int zrx_receiver_pause(struct zrx_receiver *receiver, uint64_t handle)
{
	struct zrx_stream *stream;
	int result = find_live(receiver, handle, &stream);

	if (result)
		return result;
	if (stream->flags & ZRX_STREAM_BY_HAND)
		return zrx_error_set(&receiver->last, -EALREADY, ZRX_STAGE_STREAM,
				     "zrx_receiver_resume lets it go on",
				     "the stream is paused by hand already");
	tell_event_loop(receiver, &receiver->cancels);
	zrx_window_pause(receiver, stream);
	zrx_parked_changed(receiver);
	return 0;
}

int zrx_receiver_resume(struct zrx_receiver *receiver, uint64_t handle)
{
	struct zrx_stream *stream;
	int result = find_live(receiver, handle, &stream);

	if (result)
		return result;
	if (!(stream->flags & ZRX_STREAM_BY_HAND))
		return zrx_error_set(
			&receiver->last, -EALREADY, ZRX_STAGE_STREAM,
			"one that is at its window goes on when its buffers are released",
			"the stream is not paused by hand");
	tell_event_loop(receiver, &receiver->queued);
	zrx_window_resume(receiver, stream);
	return 0;
}

/* ---- remove ---- */

int zrx_receiver_remove(struct zrx_receiver *receiver, uint64_t handle)
{
	struct zrx_stream *stream;
	int result = find_live(receiver, handle, &stream);

	if (result)
		return result;
	tell_event_loop(receiver, &receiver->cancels);
	stream->flags |= ZRX_STREAM_REMOVING;
	if (stream->state == ZRX_STREAM_ARMED) {
		zrx_list_append(&receiver->cancels, stream);
		return 0;
	}
	stream_end(receiver, stream, 0, ZRX_END_REMOVED);
	zrx_parked_changed(receiver);
	return 0;
}
