/* SPDX-License-Identifier: MIT */
/* What only rtnetlink tells of an interface. */
#ifndef ZRX_KERNEL_LINK_H
#define ZRX_KERNEL_LINK_H

#include <stdint.h>

/* Whether an XDP program is attached, by whichever means. 0 or -errno. */
int zrx_link_xdp(uint32_t ifindex, uint32_t *attached);

#endif /* ZRX_KERNEL_LINK_H */
