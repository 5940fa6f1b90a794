/* SPDX-License-Identifier: MIT */
/* What is known about single drivers, as data. Whatever can be asked from a driver is not here. */
#ifndef ZRX_KERNEL_NIC_QUIRKS_H
#define ZRX_KERNEL_NIC_QUIRKS_H

#include <stdint.h>

#define ZRX_KERNEL(major, minor) ((major)*1000u + (minor))

struct zrx_nic_quirk {
	const char *driver;
	uint32_t first_queue;  /* queues below it cannot be bound */
	uint32_t needs_hw_gro; /* splits only with rx-gro-hw on */
	uint32_t first_kernel; /* whose driver can bind, ZRX_KERNEL(); 0: not known to differ */
	const char *needs;     /* what else an administrator must do; NULL: nothing */
	const char *source;    /* where this is known from */
};

/* NULL: nothing peculiar is known. */
const struct zrx_nic_quirk *zrx_nic_quirk_find(const char *driver);

#endif /* ZRX_KERNEL_NIC_QUIRKS_H */
