/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nic/claim/rss.h"

void zrx_queue_set_add(struct zrx_queue_set *set, uint32_t queue)
{
	if (queue < ZRX_NETDEV_QUEUES)
		set->bits[queue / 64] |= 1ull << (queue % 64);
}

int zrx_queue_set_has(const struct zrx_queue_set *set, uint32_t queue)
{
	return queue < ZRX_NETDEV_QUEUES && set->bits[queue / 64] >> (queue % 64) & 1;
}

uint32_t zrx_queue_set_count(const struct zrx_queue_set *set)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < ZRX_NETDEV_QUEUES; i++)
		count += (uint32_t)zrx_queue_set_has(set, i);
	return count;
}

uint32_t zrx_queue_set_first(const struct zrx_queue_set *set)
{
	for (uint32_t i = 0; i < ZRX_NETDEV_QUEUES; i++)
		if (zrx_queue_set_has(set, i))
			return i;
	return UINT32_MAX;
}

uint32_t zrx_rss_count(const struct zrx_ethtool_rss *rss, uint32_t queue)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < rss->count; i++)
		count += rss->queue[i] == queue;
	return count;
}

/* The queues that may take over entries, as a list; returns its length. */
static uint32_t rss_heirs(const struct zrx_ethtool_rss *now, uint32_t queue, uint32_t queue_count,
			  const struct zrx_queue_set *avoid, uint32_t *heirs)
{
	struct zrx_queue_set named = {0};
	uint32_t count = 0;

	for (uint32_t i = 0; i < now->count; i++)
		zrx_queue_set_add(&named, now->queue[i]);
	for (int only_named = 1; !count && only_named >= 0; only_named--)
		for (uint32_t i = 0; i < queue_count && i < ZRX_NETDEV_QUEUES; i++)
			if (i != queue && !zrx_queue_set_has(avoid, i) &&
			    (!only_named || zrx_queue_set_has(&named, i)))
				heirs[count++] = i;
	return count;
}

int zrx_rss_move_away(const struct zrx_ethtool_rss *now, uint32_t queue, uint32_t queue_count,
		      const struct zrx_queue_set *avoid, struct zrx_ethtool_rss *next)
{
	uint32_t heirs[ZRX_NETDEV_QUEUES];
	uint32_t count = rss_heirs(now, queue, queue_count, avoid, heirs);
	uint32_t moved = 0;

	*next = *now;
	if (!zrx_rss_count(now, queue))
		return 0;
	if (!count)
		return -EBUSY;
	for (uint32_t i = 0; i < next->count; i++)
		if (next->queue[i] == queue)
			next->queue[i] = heirs[moved++ % count];
	return (int)moved;
}

int zrx_rss_is_moved(const struct zrx_ethtool_rss *before, const struct zrx_ethtool_rss *now,
		     uint32_t queue)
{
	if (before->count != now->count)
		return 0;
	for (uint32_t i = 0; i < now->count; i++)
		if (before->queue[i] == queue ? now->queue[i] == queue
					      : now->queue[i] != before->queue[i])
			return 0;
	return 1;
}

void zrx_rss_share(struct zrx_ethtool_rss *rss, const struct zrx_queue_set *queues)
{
	uint32_t count = zrx_queue_set_count(queues), extra = rss->count % count, next = 0;
	uint32_t quota[ZRX_NETDEV_QUEUES] = {0};

	for (uint32_t i = 0; i < ZRX_NETDEV_QUEUES; i++) {
		if (!zrx_queue_set_has(queues, i))
			continue;
		quota[i] = rss->count / count + (extra > 0);
		extra -= extra > 0;
	}
	for (uint32_t i = 0; i < rss->count; i++) {
		uint32_t *queue = &rss->queue[i];

		if (*queue < ZRX_NETDEV_QUEUES && quota[*queue])
			quota[*queue]--;
		else
			*queue = UINT32_MAX;
	}
	for (uint32_t i = 0; i < rss->count; i++) {
		if (rss->queue[i] != UINT32_MAX)
			continue;
		while (!quota[next])
			next++;
		quota[next]--;
		rss->queue[i] = next;
	}
}

int zrx_rss_is_within(const struct zrx_ethtool_rss *rss, const struct zrx_queue_set *queues)
{
	for (uint32_t i = 0; i < rss->count; i++)
		if (!zrx_queue_set_has(queues, rss->queue[i]))
			return 0;
	return 1;
}

int zrx_rss_equal(const struct zrx_ethtool_rss *a, const struct zrx_ethtool_rss *b)
{
	return a->count == b->count && !memcmp(a->queue, b->queue, a->count * sizeof(a->queue[0]));
}

int zrx_rss_is_default(const struct zrx_ethtool_rss *rss)
{
	uint32_t queues = 0;

	for (uint32_t i = 0; i < rss->count; i++)
		if (rss->queue[i] >= queues)
			queues = rss->queue[i] + 1;
	for (uint32_t i = 0; i < rss->count; i++)
		if (rss->queue[i] != i % queues)
			return 0;
	return 1;
}

void zrx_rss_command(const struct zrx_ethtool_rss *rss, const char *interface, char *text,
		     size_t size)
{
	uint32_t queues = 0, used = 0;
	size_t length;

	for (uint32_t i = 0; i < rss->count; i++)
		if (rss->queue[i] >= queues)
			queues = rss->queue[i] + 1;
	for (uint32_t i = 0; i < queues; i++)
		used += zrx_rss_count(rss, i) > 0;
	length = (size_t)snprintf(text, size, "ethtool -X %s", interface);
	if (used == queues) {
		snprintf(text + length, size - length, " equal %u", queues);
		return;
	}
	length += (size_t)snprintf(text + length, size - length, " weight");
	for (uint32_t i = 0; i < queues && length < size; i++)
		length += (size_t)snprintf(text + length, size - length, " %u",
					   zrx_rss_count(rss, i));
}
