/* SPDX-License-Identifier: MIT */
/* An area that grows: by how much, when, and when to try again. The owner's alone. */
#ifndef ZRX_GROW_H
#define ZRX_GROW_H

#include <stdint.h>

struct zrx_area;
struct zrx_receiver;

struct zrx_growth {
	uint64_t retry_at; /* zrx_sys_now_ns: not before, for the last try failed; 0: at once */
	uint64_t delay_ns; /* by how much the last failure put the next try off */
	int wanted;        /* there was need, and it was not its time */
};

/* How large the area would be; its size where it does not grow any more. */
uint64_t zrx_growth_next(const struct zrx_area *area);

/*
 * Streams want more than there is: let the area grow, if it may. Returns 1 if it has. What fails
 * leaves all as it was, and is tried again later, each time after twice as long.
 */
int zrx_grow(struct zrx_receiver *receiver);

/*
 * For how long to sleep at most, so that what failed is tried again: of timeout_ns, which may be
 * negative for ever.
 */
int64_t zrx_growth_patience(const struct zrx_receiver *receiver, int64_t timeout_ns);

#endif
