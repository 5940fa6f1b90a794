/* SPDX-License-Identifier: MIT */
/*
 * How large area and rings are. On a NIC's queue driver and page pool hold a part of the area
 * standing (kernel/nic/demand.c); the rest is what streams can have.
 */
#ifndef ZRX_SIZING_H
#define ZRX_SIZING_H

#include "zcrx.h"

/*
 * For engine zcrx, before the area is there: what the caller left to the library (ZRX_DEFAULT_AREA,
 * ZRX_DEFAULT_RING) becomes what the interface asks for; an area below the standing demand is
 * refused
 * (-ENOBUFS), unless ZRX_SMALL_AREA is set. *demand_bytes: the demand; 0 where the interface does
 * not tell, which is no error here: why it will not do is told by who sets it up.
 */
int zrx_sizing_apply(struct zrx_options *options, uint64_t *demand_bytes, struct zrx_error *error);

/* The same, once the interface is read (pure). */
int zrx_sizing_decide(struct zrx_options *options, const struct zrx_nic_demand *demand,
		      struct zrx_error *error);

#endif
