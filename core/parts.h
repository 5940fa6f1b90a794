/* SPDX-License-Identifier: MIT */
/*
 * An area that grows is one to its user, and several to the kernel (engines zcrx): each part has a
 * token that its offsets carry, in completions and in refill entries. To the user offsets are
 * linear from the area's base.
 */
#ifndef ZRX_PARTS_H
#define ZRX_PARTS_H

#include <stdint.h>

#define ZRX_PARTS_MAX 64u /* more than any area has: each makes it half as large again */

struct zrx_part {
	uint64_t start; /* linear */
	uint64_t end;
	uint64_t token; /* the kernel's offset of start */
};

struct zrx_parts {
	/* The first, which is all there is of an area that has not grown. It starts at 0. */
	uint64_t token; /* 0 in kernels so far */
	uint64_t end;
	uint32_t count;                       /* of those that were added: the owner's */
	struct zrx_part added[ZRX_PARTS_MAX]; /* linear offsets ascend */
};

/* Owner: returns 0, or -ENOSPC if there are as many as there can be. */
int zrx_parts_room(const struct zrx_parts *parts);

/* Owner: the kernel has one more part, which begins where the last one ended. */
void zrx_parts_add(struct zrx_parts *parts, uint64_t end, uint64_t token);

/* Where the next part begins. */
uint64_t zrx_parts_end(const struct zrx_parts *parts);

uint64_t zrx_parts_search_offset(const struct zrx_parts *parts, uint64_t linear);
uint64_t zrx_parts_search_linear(const struct zrx_parts *parts, uint64_t offset);

/* The kernel's offsets are linear. */
static inline int zrx_parts_linear_all(const struct zrx_parts *parts)
{
	return !parts->count && !parts->token;
}

/*
 * Any thread: the kernel's offset. Who has a view in a part that was added has got it after the
 * part was, and nothing behind that part is looked at.
 */
static inline uint64_t zrx_parts_offset(const struct zrx_parts *parts, uint64_t linear)
{
	return linear < parts->end ? linear + parts->token : zrx_parts_search_offset(parts, linear);
}

/* Owner: of an offset that the kernel gave. */
static inline uint64_t zrx_parts_linear(const struct zrx_parts *parts, uint64_t offset)
{
	uint64_t linear = offset - parts->token;

	return linear < parts->end ? linear : zrx_parts_search_linear(parts, offset);
}

#endif
