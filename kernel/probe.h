/* SPDX-License-Identifier: MIT */
/* Why the kernel refused: words for the errno of io_uring_setup and of a zcrx registration. */
#ifndef ZCRX_KERNEL_PROBE_H
#define ZCRX_KERNEL_PROBE_H

#include "zcrx.h"

/* errno_value (positive) of io_uring_setup: fills error with stage ring, the reason and what mends it. */
void zrx_probe_uring_refusal(int errno_value, struct zrx_error *error);

/*
 * errno_value (positive) of IORING_REGISTER_ZCRX_IFQ without a device (nodev) or where the NIC is not to
 * blame: fills error with stage queue. For a NIC's queue ask zrx_nic_explain, which calls this where the
 * process or the kernel is at fault.
 */
void zrx_probe_zcrx_refusal(int errno_value, int nodev, struct zrx_error *error);

#endif /* ZCRX_KERNEL_PROBE_H */
