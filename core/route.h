/* SPDX-License-Identifier: MIT */
/* Which receiver of a group a socket belongs to. */
#ifndef ZRX_ROUTE_H
#define ZRX_ROUTE_H

#include "group.h"

/* Which NAPI instance polls which queue of the group: a queue that is restarted gets another. */
void zrx_route_look_up(struct zrx_group *group);

/*
 * The inbox of the receiver at whose queue the socket arrives (where several share it, the least
 * loaded of them), with *must set, as no other can read it; else that of the least loaded which is
 * neither closed nor full, self among equals. NULL: all are. *copied: it arrives at a queue that is
 * no receiver's. self: the caller's; may be NULL.
 */
struct zrx_inbox *zrx_route(struct zrx_group *group, int fd, const struct zrx_inbox *self,
			    int *must, int *copied);

#endif
