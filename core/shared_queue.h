/* SPDX-License-Identifier: MIT */
/*
 * A queue that the receivers of a group share (ZRX_GROUP_SHARED_QUEUE): the first registers it, the
 * others import it (zrx_ifq_import) and borrow its area (zrx_area_borrow). What each delivers it
 * gives back by itself: the kernel counts references, not who had them. It belongs to the lender's
 * area.
 */
#ifndef ZRX_SHARED_QUEUE_H
#define ZRX_SHARED_QUEUE_H

#include <stdatomic.h>
#include <stdint.h>

#include "refill.h"

struct zrx_shared_queue {
	_Atomic uint32_t rings;   /* whoever closes the last one puts the NIC back */
	_Atomic uint32_t leading; /* receivers that the NIC may lead flows to */
	struct zrx_refill_shared ring;
};

/* One less. Whether it was the last. */
static inline int zrx_shared_queue_is_last(_Atomic uint32_t *count)
{
	/* Both: who is the last sees what the others did before. */
	return atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1;
}

#endif
