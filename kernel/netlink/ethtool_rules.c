/* SPDX-License-Identifier: MIT */
/* Rules of the receive classifier: the rxnfc part of SIOCETHTOOL. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "netlink/ethtool.h"

#define RULES_TRIES 8 /* others add and remove rules at the same time */

static int rules_ioctl(int socket, const char *name, struct ethtool_rxnfc *command)
{
	struct ifreq request = {.ifr_data = (void *)command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(socket, SIOCETHTOOL, &request) ? -errno : 0;
}

int zrx_ethtool_rule_add(int socket, const char *name, struct ethtool_rx_flow_spec *rule,
			 uint32_t context)
{
	struct ethtool_rxnfc command = {.cmd = ETHTOOL_SRXCLSRLINS, .fs = *rule};
	int result;

	if (context) {
		command.fs.flow_type |= FLOW_RSS;
		command.rss_context = context;
	}
	result = rules_ioctl(socket, name, &command);
	if (!result)
		rule->location = command.fs.location;
	return result;
}

int zrx_ethtool_rule_remove(int socket, const char *name, uint32_t location)
{
	struct ethtool_rxnfc command = {.cmd = ETHTOOL_SRXCLSRLDEL, .fs.location = location};

	return rules_ioctl(socket, name, &command);
}

int zrx_ethtool_rule(int socket, const char *name, uint32_t location,
		     struct ethtool_rx_flow_spec *rule, uint32_t *context)
{
	struct ethtool_rxnfc command = {.cmd = ETHTOOL_GRXCLSRULE, .fs.location = location};
	int result = rules_ioctl(socket, name, &command);

	if (!result)
		*rule = command.fs;
	if (!result && context)
		*context = command.fs.flow_type & FLOW_RSS ? command.rss_context : 0;
	return result;
}

static int rules_list(int socket, const char *name, struct zrx_ethtool_rule_table *table)
{
	struct ethtool_rxnfc count = {.cmd = ETHTOOL_GRXCLSRLCNT}, *list;
	int result = rules_ioctl(socket, name, &count);

	memset(table, 0, sizeof(*table));
	if (result)
		return result;
	table->any = !!(count.data & RX_CLS_LOC_SPECIAL);
	table->size = (uint32_t)(count.data & ~(uint64_t)RX_CLS_LOC_SPECIAL);
	if (count.rule_cnt > ZRX_RULES)
		return -EOVERFLOW;
	list = calloc(1, sizeof(*list) + ZRX_RULES * sizeof(list->rule_locs[0]));
	if (!list)
		return -ENOMEM;
	list->cmd = ETHTOOL_GRXCLSRLALL;
	list->rule_cnt = count.rule_cnt;
	result = rules_ioctl(socket, name, list);
	if (!result && list->rule_cnt <= ZRX_RULES) {
		if (!table->size) /* some drivers tell the size of the table only here */
			table->size = (uint32_t)list->data;
		table->count = list->rule_cnt;
		memcpy(table->location, list->rule_locs, table->count * sizeof(table->location[0]));
	}
	free(list);
	return result;
}

/*
 * A rule that comes or goes between the count and the list makes drivers refuse the list: too
 * little room (gve: EMSGSIZE) or too much (mlx5: EINVAL).
 */
int zrx_ethtool_rules(int socket, const char *name, struct zrx_ethtool_rule_table *table)
{
	int result = -EINVAL;

	for (int i = 0; i < RULES_TRIES && (result == -EMSGSIZE || result == -EINVAL); i++)
		result = rules_list(socket, name, table);
	return result;
}

int zrx_ethtool_lists(const struct zrx_ethtool_rule_table *table, uint32_t location)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (table->location[i] == location)
			return 1;
	return 0;
}

int zrx_ethtool_free_place(const struct zrx_ethtool_rule_table *table, uint32_t *location)
{
	unsigned char taken[ZRX_RULES + 1] = {0}; /* index: counted from the last place */
	uint32_t from_last = 0;

	for (uint32_t i = 0; i < table->count; i++)
		if (table->location[i] < table->size &&
		    table->size - 1 - table->location[i] <= ZRX_RULES)
			taken[table->size - 1 - table->location[i]] = 1;
	while (from_last <= ZRX_RULES && taken[from_last])
		from_last++;
	if (from_last >= table->size || from_last > ZRX_RULES)
		return -ENOSPC;
	*location = table->size - 1 - from_last;
	return 0;
}
