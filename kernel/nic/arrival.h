/* SPDX-License-Identifier: MIT */
/* Whether a receiver can have the bytes of a socket, told by the queue at which they arrive. */
#ifndef ZCRX_KERNEL_NIC_ARRIVAL_H
#define ZCRX_KERNEL_NIC_ARRIVAL_H

#include "nic/device.h"

/*
 * napi_id: SO_INCOMING_NAPI_ID of a socket, not 0; own: the receiver's queue. Refuses with -EXDEV,
 * stage socket, what arrives at a queue that is bound to other memory. Returns 0 for all else, with
 * *known set where it arrives at the receiver's own queue. directory: of the journals, to tell
 * whose the other queue is; < 0: there is none.
 */
int zrx_nic_arrival_check(struct zrx_nic_device *device, int directory, uint32_t own,
			  uint32_t napi_id, int *known, struct zrx_error *error);

#endif /* ZCRX_KERNEL_NIC_ARRIVAL_H */
