/* SPDX-License-Identifier: MIT */
/* Opening a group: its options, and a receiver after the other. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "fork.h"
#include "group.h"
#include "group_place.h"
#include "options.h"
#include "receiver.h"
#include "route.h"
#include "sys.h"

#define DEFAULT_RECEIVERS     16u
#define DEFAULT_INBOX_ENTRIES 1024u
#define GROUP_PINS            (ZRX_GROUP_PIN | ZRX_GROUP_PIN_QUEUE)
#define MAX_INBOX_ENTRIES     65536u

/* What a group is opened by, checked and with defaults filled in. */
struct group_plan {
	struct zrx_group_options group;
	struct zrx_options receiver;
	int counted; /* the caller said how many */
};

static int group_refuse(struct zrx_error *error, const char *hint, const char *field,
			uint64_t value)
{
	return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, hint,
			     "option %s of the group: %" PRIu64 " will not do", field, value);
}

static int group_check_choices(const struct zrx_group_options *options, struct zrx_error *error)
{
	if (options->flags & ~ZRX_GROUP_FLAGS || (options->flags & GROUP_PINS) == GROUP_PINS)
		return group_refuse(error, "take one of ZRX_GROUP_PIN and ZRX_GROUP_PIN_QUEUE",
				    "flags", options->flags);
	if (options->flags & ZRX_GROUP_SHARED_QUEUE && options->flags & ZRX_GROUP_PIN_QUEUE)
		return group_refuse(error,
				    "take ZRX_GROUP_PIN: a queue that is shared has one "
				    "interrupt, at one processor",
				    "flags", options->flags);
	if (options->count > ZRX_GROUP_RECEIVERS)
		return group_refuse(error, "take 1 to 256", "count", options->count);
	if (options->inbox_entries > MAX_INBOX_ENTRIES)
		return group_refuse(error, "take 1 to 65536", "inbox_entries",
				    options->inbox_entries);
	for (size_t i = 0; i < sizeof(options->reserved) / sizeof(options->reserved[0]); i++)
		if (options->reserved[i])
			return group_refuse(error, "zero the struct before filling it", "reserved",
					    options->reserved[i]);
	return 0;
}

static int group_check_receiver(const struct group_plan *plan, struct zrx_error *error)
{
	const struct zrx_options *receiver = &plan->receiver;

	if (receiver->area_kind == ZRX_AREA_CALLER || receiver->area_kind == ZRX_AREA_DMABUF)
		return group_refuse(error,
				    "each receiver has an area of its own: let the library get "
				    "it, or open receivers one by one",
				    "receiver.area_kind", receiver->area_kind);
	if (receiver->area_max_bytes && plan->group.flags & ZRX_GROUP_SHARED_QUEUE)
		return group_refuse(error,
				    "set it to 0, and area_bytes to what is needed: an area that "
				    "is shared does not grow",
				    "receiver.area_max_bytes", receiver->area_max_bytes);
	if (receiver->flags & ZRX_PROCESSOR && plan->group.count != 1)
		return group_refuse(error, "set ZRX_GROUP_PIN: each is pinned to another",
				    "receiver.processor", receiver->processor);
	return 0;
}

static int group_plan_make(struct group_plan *plan, const struct zrx_group_options *given,
			   struct zrx_error *error)
{
	static const struct zrx_group_options group_defaults = ZRX_GROUP_OPTIONS_INIT;
	static const struct zrx_options receiver_defaults = ZRX_OPTIONS_INIT;
	struct zrx_group_options *group = &plan->group;
	uint32_t processors = (uint32_t)zrx_sys_processors();
	int result = zrx_copy_in(group, sizeof(*group), given ? given : &group_defaults);

	if (!result)
		result = zrx_copy_in(&plan->receiver, sizeof(plan->receiver),
				     group->receiver ? group->receiver : &receiver_defaults);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_OPTIONS,
				     "start from ZRX_GROUP_OPTIONS_INIT and ZRX_OPTIONS_INIT",
				     "group options: a size is not set, or unknown bytes are");
	result = group_check_choices(group, error);
	if (!result)
		result = group_check_receiver(plan, error);
	plan->counted = group->count != 0;
	if (!plan->counted)
		group->count = processors < DEFAULT_RECEIVERS ? processors : DEFAULT_RECEIVERS;
	if (!group->inbox_entries)
		group->inbox_entries = DEFAULT_INBOX_ENTRIES;
	return result;
}

static struct zrx_group *group_new(const struct zrx_group_options *options)
{
	struct zrx_group *group =
		zrx_sys_alloc(sizeof(*group) + options->count * sizeof(struct zrx_inbox));
	uint32_t entries = ZRX_INBOX_LEAST;

	if (!group)
		return NULL;
	pthread_mutex_init(&group->lock, NULL); /* a plain one cannot fail */
	for (uint32_t i = 0; i < ZRX_GROUP_LISTENERS; i++)
		group->listeners[i].fd = -1;
	while (entries < options->inbox_entries)
		entries *= 2;
	for (; group->count < options->count; group->count++) {
		struct zrx_inbox *inbox = &group->inboxes[group->count];

		inbox->group = group;
		if (zrx_inbox_open(inbox, entries)) {
			zrx_group_free(group);
			return NULL;
		}
	}
	return group;
}

/* The others follow the first: all have the same engine, and queues one after the other, or the
 * same. */
static void group_follow(const struct zrx_group *group, struct zrx_options *options, uint32_t index)
{
	const struct zrx_info *first;

	if (!index)
		return;
	first = &group->inboxes[0].receiver->info;
	options->engine = first->engine;
	if (first->engine != ZRX_ENGINE_ZCRX)
		options->flags &= ~ZRX_QUEUE;
	options->queue = first->queue + index;
}

static void group_join(struct zrx_group *group, uint32_t index, struct zrx_receiver *receiver)
{
	struct zrx_inbox *inbox = &group->inboxes[index];

	inbox->receiver = receiver;
	inbox->queue = receiver->info.queue;
	receiver->options.flags |= ZRX_IN_GROUP;
	if (index) /* why no better engine is used is the same for all */
		memcpy(receiver->refused, group->inboxes[0].receiver->refused,
		       sizeof(receiver->refused));
	/* A forked child closes what is in the inbox, which it finds by the receiver. */
	zrx_fork_hold();
	receiver->inbox = inbox;
	zrx_fork_allow();
	zrx_inbox_join(inbox, receiver->area);
	group->open++;
}

static int group_open_one(struct zrx_group *group, struct zrx_options *options, uint32_t index,
			  int shared, struct zrx_error *error)
{
	struct zrx_sharing sharing = {.parts = shared ? group->count : 1};
	struct zrx_receiver *receiver;
	char which[sizeof(error->message)];
	int result;

	group_follow(group, options, index);
	if (shared && index)
		sharing.first = group->inboxes[0].receiver;
	result = zrx_receiver_open_sharing(&receiver, options, sharing, error);
	if (!result) {
		group_join(group, index, receiver);
		return 0;
	}
	if (group->count > 1) {
		snprintf(which, sizeof(which), "receiver %u of %u: %.200s", index + 1, group->count,
			 error->message);
		memcpy(error->message, which, sizeof(which));
	}
	return result;
}

/* No queue is free any more, or none would be left for other traffic, and the caller did not say
 * how many it takes. */
static int group_is_enough(const struct zrx_group *group, const struct group_plan *plan, int result,
			   const struct zrx_error *error)
{
	return group->open && !plan->counted && result == -EBUSY &&
	       (error->stage == ZRX_STAGE_QUEUE || error->stage == ZRX_STAGE_NIC);
}

static void group_shrink(struct zrx_group *group)
{
	while (group->count > group->open)
		zrx_inbox_free(&group->inboxes[--group->count]);
}

static int group_open_receivers(struct zrx_group *group, const struct group_plan *plan,
				uint32_t steer, struct zrx_error *error)
{
	struct zrx_options options = plan->receiver;
	int result = 0;

	options.steer = steer;
	for (uint32_t i = 0; !result && i < group->count; i++)
		result = group_open_one(group, &options, i,
					plan->group.flags & ZRX_GROUP_SHARED_QUEUE, error);
	if (!group_is_enough(group, plan, result, error))
		return result;
	zrx_error_clear(error);
	group_shrink(group);
	return 0;
}

/*
 * The driver has no RSS contexts, so that the second queue cannot have a part of the port:
 * connections are led to the queues one by one.
 */
static int group_is_without_contexts(const struct zrx_group *group, uint32_t steer, int result,
				     const struct zrx_error *error)
{
	return group->open && steer == ZRX_STEER_PORT && result == -EOPNOTSUPP &&
	       error->stage == ZRX_STAGE_NIC;
}

static void group_describe(struct zrx_group *group)
{
	const struct zrx_receiver *first = group->inboxes[0].receiver;

	group->chunk_bytes = first->windows.chunk_bytes;
	group->area_max_bytes = first->area->max_bytes;
	group->on_nic = first->info.engine == ZRX_ENGINE_ZCRX;
	group->by_queue = group->on_nic && (first->options.nic_mode == ZRX_NIC_PREPARED ||
					    first->options.steer != ZRX_STEER_CONNECTION);
	memcpy(group->interface, first->info.interface, sizeof(group->interface));
}

static int group_open_planned(struct zrx_group **out, const struct group_plan *plan,
			      struct zrx_error *error)
{
	struct zrx_group *group = group_new(&plan->group);
	uint32_t steer = plan->receiver.steer;
	int result;

	if (!group)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_OPTIONS, NULL,
				     "out of memory for a group");
	result = group_open_receivers(group, plan, steer, error);
	if (group_is_without_contexts(group, steer, result, error)) {
		zrx_group_close_receivers(group);
		zrx_error_clear(error);
		result = group_open_receivers(group, plan, ZRX_STEER_CONNECTION, error);
	}
	if (!result) {
		group_describe(group);
		if (group->on_nic)
			zrx_route_look_up(group);
		result = zrx_group_place(group, plan->group.flags & GROUP_PINS, error);
	}
	if (result) {
		zrx_group_close_receivers(group);
		zrx_group_free(group);
		return result;
	}
	*out = group;
	return 0;
}

int zrx_group_open(struct zrx_group **group, const struct zrx_group_options *options,
		   struct zrx_error *error)
{
	struct zrx_error why = ZRX_ERROR_INIT;
	struct group_plan plan;
	int result;

	zrx_error_clear(error);
	if (!group)
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, NULL, "group is NULL");
	result = group_plan_make(&plan, options, &why);
	if (!result)
		result = group_open_planned(group, &plan, &why);
	if (result && error)
		zrx_error_copy(error, &why);
	return result;
}
