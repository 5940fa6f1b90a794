/* SPDX-License-Identifier: MIT */
/*
 * How many chunks engine multishot keeps in the kernel's hands: it doubles when the kernel runs out
 * while others are free, as far as this allows. Kept here for engine recv, too, whose batches end
 * at as many bytes, and for the benchmarks, whose rival posts as many.
 */
#ifndef ZRX_ENGINE_MULTISHOT_H
#define ZRX_ENGINE_MULTISHOT_H

#include <stdint.h>

#define ZRX_HOT_SET_FIRST  4u
#define ZRX_HOT_SET_BYTES  (256u << 10) /* of one stream: more would leave the cache */
#define ZRX_HOT_SET_SMALL  (8u << 10)   /* bytes of a small chunk */
#define ZRX_HOT_SET_CHUNKS 128u         /* of one stream: with small ones a batch would be short */
#define ZRX_HOT_SET_STREAM 2u           /* chunks for each of many streams */

static inline int zrx_hot_set_grows(uint32_t hot_set, uint64_t chunk_bytes, uint64_t streams)
{
	return hot_set * chunk_bytes < ZRX_HOT_SET_BYTES ||
	       (chunk_bytes < ZRX_HOT_SET_SMALL && hot_set < ZRX_HOT_SET_CHUNKS) ||
	       hot_set < ZRX_HOT_SET_STREAM * streams;
}

#endif
