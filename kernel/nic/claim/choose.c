/* SPDX-License-Identifier: MIT */
#include "nic/claim/choose.h"

uint32_t zrx_nic_choose(const struct zrx_netdev_queue *queues, uint32_t count,
			const struct zrx_queue_set *taken, uint32_t first_queue)
{
	uint32_t best = ZRX_NO_QUEUE;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = queues[i].id;

		if (queues[i].bound || id < first_queue || zrx_queue_set_has(taken, id))
			continue;
		if (best == ZRX_NO_QUEUE || id > best)
			best = id;
	}
	return best;
}
