/* SPDX-License-Identifier: MIT */
/*
 * Who may hold the chunks of a queue's area. What lies in the receive queue of a socket pins chunks
 * as views do, so a queue runs dry when its sockets are not read, whatever windows say. Each socket
 * therefore gets a share: a receive buffer of fixed size, reserved here when it is added and given
 * back when its stream ends. Arithmetic only; the owner's alone.
 *
 * All counts are chunks, but for receive buffers, which are bytes as the kernel counts them
 * (sk_rcvbuf: what SO_RCVBUF tells, twice what it is set to).
 */
#ifndef ZRX_BUDGET_H
#define ZRX_BUDGET_H

#include <stdint.h>

#include "zcrx.h"

struct zrx_budget {
	uint32_t chunk_bytes;
	uint32_t chunks;       /* of the area */
	uint32_t standing;     /* of them: held by the NIC's descriptors and the page pool */
	uint32_t charge_bytes; /* what a chunk in a receive queue counts against its buffer, at
				  least */
	uint32_t reserved;     /* by the shares that are out */
	uint32_t shares;       /* how many those are */
	uint32_t given;        /* back since shares were last enlarged */
};

/*
 * An area of so many chunks, of which so many are standing. asked: chunks are larger than a page
 * because the driver takes such buffers (rx_buf_len), and charges whole ones.
 */
void zrx_budget_open(struct zrx_budget *budget, uint32_t chunk_bytes, int asked, uint32_t chunks,
		     uint32_t standing);

/* It has grown to so many. */
void zrx_budget_resize(struct zrx_budget *budget, uint32_t chunks);

/* Kept free for copies, and for the driver to refill by while buffers are on their way back. */
uint32_t zrx_budget_headroom(const struct zrx_budget *budget);

/*
 * What all receive buffers together may pin: half of what is neither standing nor headroom. The
 * other half is for views.
 */
uint32_t zrx_budget_pool(const struct zrx_budget *budget);

/* Whether the area is too small for even one share: receive buffers are then left alone. */
int zrx_budget_is_idle(const struct zrx_budget *budget);

/*
 * What views may hold: the other half, however few receive buffers there are, because views are not
 * called back when one comes. Half of an area that is too small for a budget.
 */
uint32_t zrx_budget_views(const struct zrx_budget *budget);

/*
 * Take a share. wanted: a receive buffer that the socket has already and should keep; 0: none.
 * Returns its receive buffer in bytes, or 0 if there is no room for one more.
 */
uint32_t zrx_budget_take(struct zrx_budget *budget, uint32_t wanted);

/* Give a share back. */
void zrx_budget_give(struct zrx_budget *budget, uint32_t bytes);

/*
 * Whether so much has come back that it is worth a look at all shares. It counts anew from then on.
 */
int zrx_budget_may_grow(struct zrx_budget *budget);

/*
 * Enlarge a share, now that others have gone, if that is worth it: to an equal part of half of the
 * pool, at most to what the first of all gets. The other half stays for those who come: nothing is
 * ever taken away from a share. Returns its new receive buffer, or 0: it stays.
 */
uint32_t zrx_budget_grow(struct zrx_budget *budget, uint32_t bytes);

/* It was taken or enlarged to so many bytes, but the socket has got others. */
void zrx_budget_correct(struct zrx_budget *budget, uint32_t bytes, uint32_t got);

/* How many chunks an area needs that has room for one share more than are out. */
uint32_t zrx_budget_chunks_for_one_more(const struct zrx_budget *budget);

/* There is no room for one more (-ENOBUFS): the arithmetic, and the area that would do. */
int zrx_budget_refuse(const struct zrx_budget *budget, struct zrx_error *error);

#endif
