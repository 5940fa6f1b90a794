/* SPDX-License-Identifier: MIT */
/* How a socket becomes a stream, for a call of the owner's and for a group. */
#ifndef ZRX_STREAM_LIFE_H
#define ZRX_STREAM_LIFE_H

#include <stdint.h>

#include "zcrx.h"

struct zrx_receiver;
struct zrx_stream;

/* given: may be NULL. Any thread. */
int zrx_stream_options_check(struct zrx_stream_options *checked,
			     const struct zrx_stream_options *given, uint64_t chunk_bytes,
			     uint64_t area_max_bytes, struct zrx_error *error);

/* The library's own descriptor of a socket, or -errno. With forks held off. */
int zrx_stream_duplicate(int fd, struct zrx_error *error);

/*
 * Owner: an entry for the socket of which own is the library's descriptor, and named the caller's.
 * It takes over own, unless it fails; then receiver->last is filled. With forks held off.
 */
int zrx_stream_enter(struct zrx_receiver *receiver, int named, int own, uint64_t cookie,
		     struct zrx_stream **entered);

/*
 * Owner: receive from it, by the next request; who is not in a receive tells event loops of it. If
 * that fails its entry is gone, the library's descriptor is the caller's again, and receiver->last
 * is filled.
 */
int zrx_stream_begin(struct zrx_receiver *receiver, struct zrx_stream *stream,
		     const struct zrx_stream_options *options);

/* Owner: so many streams more, or less. */
void zrx_streams_counted(struct zrx_receiver *receiver, int more);

#endif
