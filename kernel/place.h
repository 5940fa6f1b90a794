/* SPDX-License-Identifier: MIT */
/* Processors, NUMA nodes and interrupts, as /sys and /proc tell them. Everything is read, nothing
 * written. */
#ifndef ZRX_PLACE_H
#define ZRX_PLACE_H

#include <stdint.h>

#define ZRX_PLACE_PROCESSORS 1024u /* more are passed over */

struct zrx_processors {
	uint64_t bits[ZRX_PLACE_PROCESSORS / 64];
};

static inline int zrx_processors_has(const struct zrx_processors *set, uint32_t processor)
{
	return processor < ZRX_PLACE_PROCESSORS && set->bits[processor / 64] >> processor % 64 & 1;
}

static inline void zrx_processors_add(struct zrx_processors *set, uint32_t processor)
{
	if (processor < ZRX_PLACE_PROCESSORS)
		set->bits[processor / 64] |= 1ull << processor % 64;
}

uint32_t zrx_processors_count(const struct zrx_processors *set);

/* What is in the one and not in the other; what is in both. */
struct zrx_processors zrx_processors_without(const struct zrx_processors *set,
					     const struct zrx_processors *less);
struct zrx_processors zrx_processors_common(const struct zrx_processors *a,
					    const struct zrx_processors *b);

/* A list as the kernel writes it: "0-3,8,10-11". Returns how many are in it. */
uint32_t zrx_processors_parse(const char *list, struct zrx_processors *set);

/* Those on which the calling thread may run. */
void zrx_place_allowed(struct zrx_processors *set);

/* Those of a NUMA node; returns how many. */
uint32_t zrx_place_node(int32_t node, struct zrx_processors *set);

/* The NUMA node of an interface's device; -1: it has none, or it is not told. */
int32_t zrx_place_interface(const char *interface);

/* A processor that serves an interrupt; -1: it is not told. */
int32_t zrx_place_interrupt(uint32_t irq);

#endif
