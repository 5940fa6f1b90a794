/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "nic_arrival.h"

/* Payload in their memory is readable by nobody else: io_zcrx_recv_frag gives EFAULT. */
#define OTHER_MEMORY (ZRX_BOUND_IO_URING | ZRX_BOUND_DMABUF)

int zrx_nic_arrival_check(struct zrx_nic_device *device, uint32_t own, uint32_t napi_id, int *known,
			  struct zrx_error *error)
{
	struct zrx_netdev_queue queue;
	char hint[160];

	*known = 0;
	/*
	 * Not among this interface's: it came by another one, whose payload is copied, or the queue
	 * was restarted since, which gives it a new instance: it may well be ours.
	 */
	if (zrx_nic_device_polled_by(device, napi_id, &queue))
		return 0;
	*known = queue.id == own;
	if (queue.id == own || !(queue.bound & OTHER_MEMORY))
		return 0;
	snprintf(hint, sizeof(hint),
		 "add it to the receiver of queue %u: SO_INCOMING_NAPI_ID of a socket is the "
		 "napi_id that zrx_nic_inspect tells of its queue",
		 queue.id);
	return zrx_error_set(error, -EXDEV, ZRX_STAGE_SOCKET, hint,
			     "the socket's bytes arrive at queue %u of %s, which is bound to "
			     "another area; this receiver has queue %u",
			     queue.id, device->name, own);
}
