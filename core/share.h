/* SPDX-License-Identifier: MIT */
/*
 * The shares of a queue's budget, as the receive buffers of its streams' sockets. A buffer is fixed
 * before its flow is led to the queue: one that is made smaller later drops what is on its way.
 */
#ifndef ZRX_SHARE_H
#define ZRX_SHARE_H

#include "budget.h"
#include "stream.h"

/* There is none left, and the stream's flow is not to be led to the queue: it is copied. */
#define ZRX_SHARE_COPIED 1

/*
 * Give the stream's socket its share. Returns 0: its flow may come. (Where the area is too small
 * for a budget, and with ZRX_SMALL_AREA where there is none left, the socket is left alone.)
 * ZRX_SHARE_COPIED where flows are led to the queue one by one; else -ENOBUFS, or what setting it
 * gave, with error filled.
 */
int zrx_share_take(struct zrx_budget *budget, struct zrx_stream *stream,
		   const struct zrx_options *options, struct zrx_error *error);

/* Take it back, and leave the socket as it was found, if anybody can still have it. */
void zrx_share_give(struct zrx_budget *budget, struct zrx_stream *stream);

/* Some were given back: enlarge those of the streams that are left, as far as it is worth it. */
void zrx_shares_grow(struct zrx_budget *budget, struct zrx_streams *streams);

#endif
