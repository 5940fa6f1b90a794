/* SPDX-License-Identifier: MIT */
/* What ethtool does not tell of an interface. */
#ifndef ZRX_KERNEL_LINK_H
#define ZRX_KERNEL_LINK_H

#include <stdint.h>

/* Whether an XDP program is attached, by whichever means. 0 or -errno. */
int zrx_link_xdp(uint32_t ifindex, uint32_t *attached);

/* Its MTU, by an AF_INET socket. 0 or -errno. */
int zrx_link_mtu(int socket, const char *name, uint32_t *mtu);

#endif /* ZRX_KERNEL_LINK_H */
