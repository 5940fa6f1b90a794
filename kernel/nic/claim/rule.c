/* SPDX-License-Identifier: MIT */
/* One flow rule: its place in the table, setting it, removing it. */
#include <errno.h>
#include <stdlib.h>

#include "nic/claim/rule.h"

int zrx_rule_place(const struct zrx_ethtool_rule_table *table, uint32_t *location)
{
	*location = RX_CLS_LOC_ANY;
	return table->any ? 0 : zrx_ethtool_free_place(table, location);
}

int zrx_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule, uint32_t context)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	int result = table ? device->ops->rules(device, table) : -ENOMEM;

	if (!result)
		result = zrx_rule_place(table, &rule->location);
	free(table);
	return result ? result : device->ops->rule_add(device, rule, context);
}

int zrx_rule_refusal(struct zrx_nic_device *device, int code)
{
	struct zrx_ethtool_rule_table *table;
	int result;

	if (code != -ENOMEM)
		return code;
	table = malloc(sizeof(*table));
	result = table ? device->ops->rules(device, table) : -ENOMEM;
	if (result == -EOVERFLOW || (!result && table->size && table->count >= table->size))
		code = -ENOSPC;
	free(table);
	return code;
}

static int rule_does(const struct ethtool_rx_flow_spec *rule, uint32_t context,
		     const struct zrx_rule_target *target)
{
	if (!target->context)
		return zrx_flow_is_rule(target->flow, target->queue, rule);
	return context == target->context && zrx_flow_is_matched(target->flow, rule);
}

int zrx_rule_remove_at(struct zrx_nic_device *device, const struct zrx_ethtool_rule_table *table,
		       const struct zrx_rule_target *target, uint32_t location)
{
	struct ethtool_rx_flow_spec rule;
	uint32_t context = 0;
	int result;

	if (table && !zrx_ethtool_lists(table, location))
		return 0;
	result = device->ops->rule(device, location, &rule, &context);
	if (result == -ENOENT || (result == -EINVAL && !table))
		return 0; /* bnxt says -EINVAL where there is none */
	if (result || !rule_does(&rule, context, target))
		return result;
	result = device->ops->rule_remove(device, location);
	return result == -ENOENT ? 0 : result;
}

int zrx_rule_remove_anywhere(struct zrx_nic_device *device,
			     const struct zrx_ethtool_rule_table *table,
			     const struct zrx_flow *flow, uint32_t queue)
{
	const struct zrx_rule_target target = {flow, queue, 0};
	int result = 0;

	for (uint32_t i = 0; !result && i < table->count; i++)
		result = zrx_rule_remove_at(device, table, &target, table->location[i]);
	return result;
}
