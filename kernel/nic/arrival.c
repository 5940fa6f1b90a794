/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "error.h"
#include "nic/arrival.h"
#include "nic/holder.h"

/* Payload in their memory is readable by nobody else: io_zcrx_recv_frag gives EFAULT. */
#define OTHER_MEMORY (ZRX_BOUND_IO_URING | ZRX_BOUND_DMABUF)

/*
 * The queue, not the receiver's own, at which it arrives in other memory. NULL where none of this
 * interface has that instance: it came by another one, whose payload is copied, or the queue was
 * restarted since, which gives it a new instance, and it may well be ours. NULL too where the
 * instance polls several queues, and one of them does no harm.
 */
static const struct zrx_netdev_queue *arrival_elsewhere(const struct zrx_netdev_queue *queues,
							int count, uint32_t own, uint32_t napi_id,
							int *known)
{
	const struct zrx_netdev_queue *other = NULL;
	int harmless = 0;

	for (int i = 0; i < count; i++) {
		if (queues[i].napi_id != napi_id)
			continue;
		*known |= queues[i].id == own;
		if (queues[i].id == own || !(queues[i].bound & OTHER_MEMORY))
			harmless = 1;
		else
			other = &queues[i];
	}
	return harmless ? NULL : other;
}

static int arrival_refused(struct zrx_nic_device *device, int directory, uint32_t own,
			   uint32_t queue, struct zrx_error *error)
{
	char hint[160], holder[64];

	zrx_nic_holder_of_claim(directory, device->ifindex, queue, holder, sizeof(holder));
	snprintf(hint, sizeof(hint),
		 "add it to the receiver of queue %u: SO_INCOMING_NAPI_ID of a socket is the "
		 "napi_id that zrx_nic_inspect tells of its queue",
		 queue);
	return zrx_error_set(error, -EXDEV, ZRX_STAGE_SOCKET, hint,
			     "the socket's bytes arrive at queue %u of %s, which is bound to "
			     "another area%s%s; this receiver has queue %u",
			     queue, device->name, holder[0] ? ", of " : "", holder, own);
}

int zrx_nic_arrival_check(struct zrx_nic_device *device, int directory, uint32_t own,
			  uint32_t napi_id, int *known, struct zrx_error *error)
{
	struct zrx_netdev_queue *queues = calloc(ZRX_NETDEV_QUEUES, sizeof(*queues));
	const struct zrx_netdev_queue *other = NULL;
	int count, result = 0;

	*known = 0;
	count = queues ? device->ops->queues(device, queues, ZRX_NETDEV_QUEUES) : 0;
	if (count > 0)
		other = arrival_elsewhere(queues, count, own, napi_id, known);
	if (other)
		result = arrival_refused(device, directory, own, other->id, error);
	free(queues);
	return result;
}
