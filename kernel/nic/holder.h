/* SPDX-License-Identifier: MIT */
/* Which process probably holds a bound queue. */
#ifndef ZRX_KERNEL_NIC_HOLDER_H
#define ZRX_KERNEL_NIC_HOLDER_H

#include <stddef.h>
#include <stdint.h>

/*
 * The kernel does not tell which ring a queue is bound to, but a ring's fdinfo lists its armed
 * requests. If exactly one process that this one may look into has a zero-copy receive armed, it is
 * written to text
 * ("process 123 (name)"). Returns 0, -ENOENT if there is none, or -ENOTUNIQ if there are several.
 */
int zrx_nic_holder_find(char *text, size_t size);

/*
 * Who has claimed a queue, as the journals tell: "process 123 (name)" or "this process". directory
 * < 0: there are none. Returns 0, or -ENOENT with text empty, as where an administrator has
 * prepared the NIC.
 */
int zrx_nic_holder_of_claim(int directory, uint32_t ifindex, uint32_t queue, char *text,
			    size_t size);

#endif /* ZRX_KERNEL_NIC_HOLDER_H */
