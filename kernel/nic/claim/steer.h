/* SPDX-License-Identifier: MIT */
/* Where a flow rule goes: drivers differ. */
#ifndef ZRX_KERNEL_NIC_STEER_H
#define ZRX_KERNEL_NIC_STEER_H

#include "nic/device.h"

/* Add a rule where the driver wants it; rule->location tells. context as of zrx_ethtool_rule_add.
 */
int zrx_nic_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
		     uint32_t context);

#endif /* ZRX_KERNEL_NIC_STEER_H */
