/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/socket.h>

#include "nic/nic.h"
#include "route.h"
#include "sys.h"

#define NAPI_LOOK_NS    100000000u  /* at most so often are NAPI ids looked up */
#define SETTLE_FIRST_NS 1000000000u /* what dead processes left is looked for ever more rarely */
#define SETTLE_LAST_NS  64000000000u

static uint32_t route_napi_of(int fd)
{
	uint32_t napi_id = 0, length = sizeof(napi_id);

	return zrx_sys_socket_option(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &length)
		       ? 0
		       : napi_id;
}

/* Whether it is time; of several threads one is told so. */
static int route_due(_Atomic uint64_t *at, uint64_t wait_ns)
{
	uint64_t now = zrx_sys_now_ns();
	uint64_t due = atomic_load_explicit(at, memory_order_relaxed);

	return now >= due &&
	       atomic_compare_exchange_strong_explicit(at, &due, now + wait_ns,
						       memory_order_relaxed, memory_order_relaxed);
}

void zrx_route_look_up(struct zrx_group *group)
{
	uint32_t queues[ZRX_GROUP_RECEIVERS], ids[ZRX_GROUP_RECEIVERS];

	for (uint32_t i = 0; i < group->count; i++)
		queues[i] = group->inboxes[i].queue;
	if (!zrx_nic_napi_ids(group->interface, queues, group->count, ids))
		for (uint32_t i = 0; i < group->count; i++)
			atomic_store_explicit(&group->inboxes[i].napi_id, ids[i],
					      memory_order_relaxed);
	/* Who sees that it is early has the ids, too: pairs with the load in route_is_stale. */
	atomic_store_explicit(&group->napi_at, zrx_sys_now_ns() + NAPI_LOOK_NS,
			      memory_order_release);
}

static int route_is_stale(const struct zrx_group *group)
{
	return zrx_sys_now_ns() >= atomic_load_explicit(&group->napi_at, memory_order_acquire);
}

/* A receiver whose inbox is full may be one that nobody receives from. */
static int route_takes(struct zrx_inbox *inbox, const struct zrx_inbox *self)
{
	return !zrx_inbox_is_closed(inbox) &&
	       (inbox == self || zrx_inbox_depth(inbox) <= inbox->mask);
}

/* Whether it is a receiver of that queue; 0: of any. */
static int route_serves(struct zrx_inbox *inbox, uint32_t napi_id)
{
	return !napi_id || atomic_load_explicit(&inbox->napi_id, memory_order_relaxed) == napi_id;
}

/* Of those that serve the queue, and have room. */
static struct zrx_inbox *route_least(struct zrx_group *group, uint32_t napi_id,
				     const struct zrx_inbox *self)
{
	uint32_t first = atomic_fetch_add_explicit(&group->turn, 1, memory_order_relaxed);
	struct zrx_inbox *least = NULL;
	uint32_t least_load = UINT32_MAX;

	for (uint32_t i = 0; i < group->count; i++) {
		struct zrx_inbox *inbox = &group->inboxes[(first + i) % group->count];
		uint32_t load = zrx_inbox_load(inbox);

		if (!route_serves(inbox, napi_id) || !route_takes(inbox, self) ||
		    (least && load >= least_load && !(load == least_load && inbox == self)))
			continue;
		least = inbox;
		least_load = load;
	}
	return least;
}

/* One that serves the queue, if only it is open. */
static struct zrx_inbox *route_by_napi(struct zrx_group *group, uint32_t napi_id,
				       const struct zrx_inbox *self)
{
	struct zrx_inbox *inbox = route_least(group, napi_id, self);

	for (uint32_t i = 0; !inbox && i < group->count; i++)
		if (route_serves(&group->inboxes[i], napi_id) &&
		    !zrx_inbox_is_closed(&group->inboxes[i]))
			inbox = &group->inboxes[i];
	return inbox;
}

/*
 * Connections that come by nobody's queue may be those of a receiver that died: then the port's
 * queues are shared out anew.
 */
static void route_settle(struct zrx_group *group)
{
	uint64_t wait = atomic_load_explicit(&group->settle_ns, memory_order_relaxed);

	if (wait < SETTLE_FIRST_NS)
		wait = SETTLE_FIRST_NS;
	if (!route_due(&group->settle_at, wait))
		return;
	if (zrx_nic_restore(group->interface, NULL) > 0)
		wait = SETTLE_FIRST_NS;
	else
		wait = wait * 2 > SETTLE_LAST_NS ? SETTLE_LAST_NS : wait * 2;
	atomic_store_explicit(&group->settle_ns, wait, memory_order_relaxed);
}

static struct zrx_inbox *route_to_queue(struct zrx_group *group, int fd,
					const struct zrx_inbox *self, int *copied)
{
	uint32_t napi_id = route_napi_of(fd);
	struct zrx_inbox *inbox = napi_id ? route_by_napi(group, napi_id, self) : NULL;

	/* Several threads may look at the same time: none waits for another. */
	if (!inbox && napi_id && route_is_stale(group)) {
		zrx_route_look_up(group);
		inbox = route_by_napi(group, napi_id, self);
	}
	if (inbox || !group->by_queue)
		return inbox;
	*copied = 1;
	if (napi_id)
		route_settle(group);
	return NULL;
}

struct zrx_inbox *zrx_route(struct zrx_group *group, int fd, const struct zrx_inbox *self,
			    int *must, int *copied)
{
	struct zrx_inbox *inbox = NULL;

	*must = *copied = 0;
	if (group->on_nic)
		inbox = route_to_queue(group, fd, self, copied);
	*must = inbox != NULL;
	return inbox ? inbox : route_least(group, 0, self);
}
