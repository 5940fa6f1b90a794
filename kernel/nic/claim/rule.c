/* SPDX-License-Identifier: MIT */
/* Where a flow rule goes: drivers differ. */
#include <errno.h>
#include <stdlib.h>

#include "nic/device.h"

/* The driver's choice if it makes one, else the last free place. */
static int rule_place(struct zrx_nic_device *device, uint32_t *location)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	int result = table ? device->ops->rules(device, table) : -ENOMEM;

	*location = RX_CLS_LOC_ANY;
	if (!result && !table->any) {
		uint32_t place = table->size;

		while (place && zrx_ethtool_lists(table, place - 1))
			place--;
		if (place)
			*location = place - 1;
		else
			result = -ENOSPC;
	}
	free(table);
	return result;
}

int zrx_nic_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
		     uint32_t context)
{
	int result = rule_place(device, &rule->location);

	return result ? result : device->ops->rule_add(device, rule, context);
}
