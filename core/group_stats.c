/* SPDX-License-Identifier: MIT */
/* The counters of a group, and the sums of its receivers'. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "group.h"
#include "receiver.h"

static void group_stats_add(uint64_t *sum, uint64_t more)
{
	*sum = *sum == ZRX_UNKNOWN || more == ZRX_UNKNOWN ? ZRX_UNKNOWN : *sum + more;
}

static void group_stats_sum(struct zrx_stats *sum, const struct zrx_stats *more)
{
	uint64_t highest =
		sum->backlog_high > more->backlog_high ? sum->backlog_high : more->backlog_high;
	uint64_t *to = &sum->bytes;
	const uint64_t *from = &more->bytes;
	size_t count = (sizeof(*sum) - offsetof(struct zrx_stats, bytes)) / sizeof(*to);

	/* All that follows the first two fields are counters of 64 bits. */
	for (size_t i = 0; i < count; i++)
		group_stats_add(&to[i], from[i]);
	sum->backlog_high = highest;
	if (!sum->stall)
		sum->stall = more->stall;
}

static void group_stats_read(const struct zrx_receiver *receiver, struct zrx_stats *stats)
{
	*stats = (struct zrx_stats){.size = sizeof(*stats)};
	if (receiver)
		zrx_receiver_stats(receiver, stats);
}

void zrx_group_sum_closed(struct zrx_group *group, const struct zrx_receiver *receiver)
{
	struct zrx_stats stats;

	group_stats_read(receiver, &stats);
	/* What is, not what was: that is over. */
	stats.stall = ZRX_STALL_NONE;
	stats.outstanding = stats.streams = stats.parked = stats.backlog = 0;
	stats.paused = stats.held_bytes = stats.area_bytes = 0;
	group_stats_sum(&group->closed, &stats);
}

/* The receivers', as far as the caller has room, and their sum. Under the lock. */
static int group_stats_list(const struct zrx_group *group, const struct zrx_group_stats *to,
			    struct zrx_stats *sum)
{
	uint32_t stride = to->receivers && to->receiver_capacity ? to->receivers->size : 0;
	int result = 0;

	*sum = group->closed;
	for (uint32_t i = 0; i < group->count; i++) {
		struct zrx_stats stats, *place;

		group_stats_read(group->inboxes[i].receiver, &stats);
		if (group->inboxes[i].receiver)
			group_stats_sum(sum, &stats);
		if (!to->receivers || i >= to->receiver_capacity)
			continue;
		place = (struct zrx_stats *)(void *)((char *)to->receivers + (size_t)i * stride);
		place->size = stride;
		result = zrx_copy_out(place, &stats, sizeof(stats));
		if (result)
			return result;
	}
	return to->sum ? zrx_copy_out(to->sum, sum, sizeof(*sum)) : 0;
}

static uint64_t group_stats_counter(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

int zrx_group_stats(struct zrx_group *group, struct zrx_group_stats *stats)
{
	struct zrx_group_stats filled = {.size = sizeof(filled)};
	struct zrx_stats sum;
	int result;

	if (!stats || stats->size < offsetof(struct zrx_group_stats, receiver_count))
		return -EINVAL;
	filled.receiver_capacity = stats->receiver_capacity;
	filled.receivers = stats->receivers;
	filled.sum = stats->sum;
	pthread_mutex_lock(&group->lock);
	result = group_stats_list(group, &filled, &sum);
	filled.receiver_count = group->open;
	pthread_mutex_unlock(&group->lock);
	if (result)
		return result;
	for (uint32_t i = 0; i < group->count; i++)
		filled.waiting += zrx_inbox_depth(&group->inboxes[i]);
	filled.accepted = group_stats_counter(&group->accepted);
	filled.added = group_stats_counter(&group->added);
	filled.handed_over = group_stats_counter(&group->handed_over);
	filled.copied = group_stats_counter(&group->copied);
	filled.refused = group_stats_counter(&group->refused);
	filled.inbox_full = group_stats_counter(&group->inbox_full);
	filled.accept_retries = group_stats_counter(&group->accept_retries);
	return zrx_copy_out(stats, &filled, sizeof(filled));
}
