/* SPDX-License-Identifier: MIT */
/* Checking what callers pass in. */
#ifndef ZRX_OPTIONS_H
#define ZRX_OPTIONS_H

#include "zcrx.h"

/* In checked flags, beside the caller's: these fields had no value, and have the default that suits
 * where no queue does. */
#define ZRX_DEFAULT_AREA (1u << 30)
#define ZRX_DEFAULT_RING (1u << 31)
/* It is a group's, which refuses no socket for want of a share. */
#define ZRX_IN_GROUP (1u << 29)

/*
 * Copy a caller-sized input struct into ours: shorter ones are zero-extended, an unknown tail
 * that is not zero is refused. Returns 0, -EINVAL (no size) or -E2BIG.
 */
int zrx_copy_in(void *to, size_t size, const void *from);

/* Check the options and fill in the defaults that do not depend on the engine. */
int zrx_options_check(struct zrx_options *checked, const struct zrx_options *given,
		      struct zrx_error *error);

/* The chunk of a copying engine: what was asked for, or the default made to fit a small area. */
uint32_t zrx_options_copy_chunk(const struct zrx_options *options);

/*
 * Entries of a ring that leads buffers back to the kernel: what was asked for, or one for each
 * chunk, as a power of two that is at most `most`.
 */
uint32_t zrx_options_refill_entries(const struct zrx_options *options, uint64_t chunks,
				    uint32_t most);

#endif
