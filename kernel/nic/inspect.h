/* SPDX-License-Identifier: MIT */
/* Looking at one queue of a NIC, with a judgement on each precondition. */
#ifndef ZRX_KERNEL_NIC_INSPECT_H
#define ZRX_KERNEL_NIC_INSPECT_H

#include "nic/device.h"

/*
 * queue may be ZRX_NIC_FREE_QUEUE: the highest that is unbound and, if one is, led to by no RSS
 * entry. report->checks has room for ZRX_NIC_CHECKS.
 */
void zrx_nic_report_make(struct zrx_nic_device *device, uint32_t queue,
			 struct zrx_nic_report *report);

/* The first check that is missing becomes the error. Returns its code, or 0 if there is none. */
int zrx_nic_report_refusal(const struct zrx_nic_report *report, struct zrx_error *error);

#endif /* ZRX_KERNEL_NIC_INSPECT_H */
