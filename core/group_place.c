/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "group_place.h"
#include "nic/nic.h"
#include "place.h"
#include "receiver.h"

/* Where the threads of a group could be. */
struct group_places {
	struct zrx_processors
		near; /* those that it may use, of the NIC's node where there are any */
	struct zrx_processors interrupts;       /* that serve its queues' interrupts */
	int32_t interrupt[ZRX_GROUP_RECEIVERS]; /* of each queue; -1: not told */
};

static void places_look(const struct zrx_group *group, struct group_places *places)
{
	uint32_t queues[ZRX_GROUP_RECEIVERS], irqs[ZRX_GROUP_RECEIVERS] = {0};
	struct zrx_processors node, common;

	memset(&places->interrupts, 0, sizeof(places->interrupts));
	zrx_place_allowed(&places->near);
	for (uint32_t i = 0; i < group->count; i++)
		queues[i] = group->inboxes[i].queue;
	if (group->on_nic) {
		zrx_place_node(zrx_place_interface(group->interface), &node);
		common = zrx_processors_common(&places->near, &node);
		if (zrx_processors_count(&common))
			places->near = common;
		zrx_nic_interrupts(group->interface, queues, group->count, irqs);
	}
	for (uint32_t i = 0; i < group->count; i++) {
		places->interrupt[i] = zrx_place_interrupt(irqs[i]);
		if (places->interrupt[i] >= 0)
			zrx_processors_add(&places->interrupts, (uint32_t)places->interrupt[i]);
	}
}

/* The next one of the set behind `last`, round and round; it is not empty. */
static uint32_t places_next(const struct zrx_processors *set, uint32_t last)
{
	do {
		last = (last + 1) % ZRX_PLACE_PROCESSORS;
	} while (!zrx_processors_has(set, last));
	return last;
}

static void place_receiver(struct zrx_receiver *receiver, uint32_t processor)
{
	receiver->options.flags |= ZRX_PROCESSOR;
	receiver->options.processor = processor;
	receiver->info.processor = (int32_t)processor;
}

static void group_place_apart(struct zrx_group *group, const struct group_places *places)
{
	struct zrx_processors quiet = zrx_processors_without(&places->near, &places->interrupts);
	int enough = zrx_processors_count(&quiet) >= group->count;
	uint32_t last = ZRX_PLACE_PROCESSORS - 1;

	for (uint32_t i = 0; i < group->count; i++) {
		struct zrx_processors own = {{0}}, others;

		if (places->interrupt[i] >= 0)
			zrx_processors_add(&own, (uint32_t)places->interrupt[i]);
		others = enough ? quiet : zrx_processors_without(&places->near, &own);
		if (!zrx_processors_count(&others))
			others = places->near;
		last = places_next(&others, last);
		place_receiver(group->inboxes[i].receiver, last);
	}
}

/* Returns whether all interrupts are told, and may be joined. */
static int group_place_at_queues(struct zrx_group *group, const struct group_places *places)
{
	struct zrx_processors allowed;

	zrx_place_allowed(&allowed);
	for (uint32_t i = 0; i < group->count; i++)
		if (places->interrupt[i] < 0 ||
		    !zrx_processors_has(&allowed, (uint32_t)places->interrupt[i]))
			return 0;
	for (uint32_t i = 0; i < group->count; i++)
		place_receiver(group->inboxes[i].receiver, (uint32_t)places->interrupt[i]);
	return 1;
}

int zrx_group_place(struct zrx_group *group, uint32_t flags, struct zrx_error *error)
{
	struct group_places places;

	if (!flags)
		return 0;
	places_look(group, &places);
	if (!zrx_processors_count(&places.near))
		return zrx_error_set(
			error, -ENODEV, ZRX_STAGE_OPTIONS, "open the group without ZRX_GROUP_PIN",
			"no processor below %u is this process' to use", ZRX_PLACE_PROCESSORS);
	if (!(flags & ZRX_GROUP_PIN_QUEUE) || !group_place_at_queues(group, &places))
		group_place_apart(group, &places);
	return 0;
}
