/* SPDX-License-Identifier: MIT */
/* Questions about a NIC's receive queues that need no knowledge of which NIC it is. */
#include <errno.h>
#include <stdlib.h>

#include "nic/device.h"

int zrx_nic_device_queue(struct zrx_nic_device *device, uint32_t queue,
			 struct zrx_netdev_queue *found)
{
	struct zrx_netdev_queue *queues = calloc(ZRX_NETDEV_QUEUES, sizeof(*queues));
	int count, result = -ERANGE;

	if (!queues)
		return -ENOMEM;
	count = device->ops->queues(device, queues, ZRX_NETDEV_QUEUES);
	if (count < 0)
		result = count;
	for (int i = 0; i < count; i++) {
		if (queues[i].id == queue) {
			*found = queues[i];
			result = 0;
		}
	}
	free(queues);
	return result;
}

uint32_t zrx_nic_device_queue_count(struct zrx_nic_device *device)
{
	struct zrx_netdev_queue *queues = calloc(ZRX_NETDEV_QUEUES, sizeof(*queues));
	struct zrx_ethtool_channels channels;
	int count = -ENOMEM;

	if (queues)
		count = device->ops->queues(device, queues, ZRX_NETDEV_QUEUES);
	free(queues);
	if (count > 0)
		return (uint32_t)count;
	return device->ops->channels(device, &channels) ? 0 : channels.rx;
}
