/* SPDX-License-Identifier: MIT */
/* Setting flow rules, and removing them while they are still the ones that were set. */
#ifndef ZRX_KERNEL_NIC_RULE_H
#define ZRX_KERNEL_NIC_RULE_H

#include "nic/claim/flow.h"
#include "nic/device.h"

/*
 * A place for one more rule: RX_CLS_LOC_ANY where the driver chooses, else the last free one.
 * table: as the NIC lists it now. -ENOSPC.
 */
int zrx_rule_place(const struct zrx_ethtool_rule_table *table, uint32_t *location);

/* Add a rule where the driver wants it; rule->location tells. context as of zrx_ethtool_rule_add.
 */
int zrx_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
		 uint32_t context);

/* Why a driver refused a rule: some say -ENOMEM where their table is full. Returns the errno. */
int zrx_rule_refusal(struct zrx_nic_device *device, int code);

/* What a rule of ours does. */
struct zrx_rule_target {
	const struct zrx_flow *flow;
	uint32_t queue;
	uint32_t context; /* 0: to the queue */
};

/*
 * Remove the rule at location if it does just this: by now somebody else's may be there, which
 * stays. Returns 0 too where nothing of ours is left. table: as the NIC lists it; NULL: the driver
 * may be asked for any location (see zrx_ethtool_rules).
 */
int zrx_rule_remove_at(struct zrx_nic_device *device, const struct zrx_ethtool_rule_table *table,
		       const struct zrx_rule_target *target, uint32_t location);

/* Remove the rules, wherever they are, that lead the flow to the queue. */
int zrx_rule_remove_anywhere(struct zrx_nic_device *device,
			     const struct zrx_ethtool_rule_table *table,
			     const struct zrx_flow *flow, uint32_t queue);

#endif /* ZRX_KERNEL_NIC_RULE_H */
