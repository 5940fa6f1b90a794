/* SPDX-License-Identifier: MIT */
/* Which processor each receiver's thread is pinned to. */
#ifndef ZRX_GROUP_PLACE_H
#define ZRX_GROUP_PLACE_H

#include "group.h"

/* flags: ZRX_GROUP_PIN, ZRX_GROUP_PIN_QUEUE or 0. The receivers are open, and nobody receives. */
int zrx_group_place(struct zrx_group *group, uint32_t flags, struct zrx_error *error);

#endif
