/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "options.h"
#include "share.h"
#include "sys.h"

#define LEAST_BYTES (64u << 10)

static int share_error(struct zrx_error *error, int result, const struct zrx_stream *stream)
{
	return zrx_error_set(error, result, ZRX_STAGE_SOCKET,
			     "let this process set SO_RCVBUF (seccomp, BPF)",
			     "the receive buffer of the socket (descriptor %d) cannot be set: %s",
			     stream->fd, strerror(-result));
}

/* Returns what the socket has got, or -errno. The budget knows of `bytes`. */
static int share_set(struct zrx_budget *budget, struct zrx_stream *stream, uint32_t bytes)
{
	int got = zrx_sys_receive_buffer_fix(stream->fd, bytes);

	if (got > 0) {
		zrx_budget_correct(budget, bytes, (uint32_t)got);
		stream->receive_buffer = (uint32_t)got;
	}
	return got;
}

/*
 * Its flow comes to the queue in any case, and a group refuses no socket: it may pin little, beyond
 * the budget. Where many such sockets lie unread at once the NIC may run out of chunks, which their
 * peers make up for by sending again.
 */
static int share_least_of_all(const struct zrx_stream *stream, struct zrx_error *error)
{
	int got = zrx_sys_receive_buffer_fix(stream->fd, LEAST_BYTES);

	return got < 0 ? share_error(error, got, stream) : 0;
}

static int share_none_left(const struct zrx_budget *budget, const struct zrx_stream *stream,
			   const struct zrx_options *options, struct zrx_error *error)
{
	if (options->flags & ZRX_SMALL_AREA)
		return 0;
	if (options->steer == ZRX_STEER_CONNECTION && options->nic_mode == ZRX_NIC_SETUP)
		return ZRX_SHARE_COPIED;
	if (options->flags & ZRX_IN_GROUP)
		return share_least_of_all(stream, error);
	return zrx_budget_refuse(budget, error);
}

int zrx_share_take(struct zrx_budget *budget, struct zrx_stream *stream,
		   const struct zrx_options *options, struct zrx_error *error)
{
	int fixed = 0, has, result;
	uint32_t bytes;

	if (zrx_budget_is_idle(budget))
		return 0;
	has = zrx_sys_receive_buffer(stream->fd, &fixed);
	if (has < 0)
		return share_error(error, has, stream);
	/* What it holds already is less trouble to keep than to cut. */
	if (!fixed && zrx_sys_socket_pending(stream->fd) <= 0)
		bytes = zrx_budget_take(budget, 0);
	else
		bytes = zrx_budget_take(budget, (uint32_t)has);
	if (!bytes)
		return share_none_left(budget, stream, options, error);
	result = share_set(budget, stream, bytes);
	if (result <= 0) {
		zrx_budget_give(budget, bytes);
		return share_error(error, result ? result : -EIO, stream);
	}
	stream->buffer_before = fixed ? (uint32_t)has : 0;
	return 0;
}

void zrx_share_give(struct zrx_budget *budget, struct zrx_stream *stream)
{
	if (!stream->receive_buffer)
		return;
	zrx_budget_give(budget, stream->receive_buffer);
	if (!stream->buffer_before)
		zrx_sys_receive_buffer_loosen(stream->fd);
	else if (stream->buffer_before != stream->receive_buffer)
		zrx_sys_receive_buffer_fix(stream->fd, stream->buffer_before);
	stream->receive_buffer = 0;
}

static void share_grow(void *context, struct zrx_stream *stream)
{
	struct zrx_budget *budget = context;
	uint32_t bytes = stream->receive_buffer, grown;

	grown = bytes ? zrx_budget_grow(budget, bytes) : 0;
	if (grown && share_set(budget, stream, grown) <= 0)
		zrx_budget_correct(budget, grown, bytes);
}

void zrx_shares_grow(struct zrx_budget *budget, struct zrx_streams *streams)
{
	if (zrx_budget_may_grow(budget))
		zrx_streams_each(streams, share_grow, budget);
}
