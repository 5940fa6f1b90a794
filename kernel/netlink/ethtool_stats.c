/* SPDX-License-Identifier: MIT */
/* A driver's own counters (ethtool -S), of which one kind tells what no other interface does. */
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

#define STATS_MAX 65536u

struct stats_table {
	uint32_t count;
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;
};

static int stats_ioctl(int socket, const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(socket, SIOCETHTOOL, &request) ? -errno : 0;
}

static int stats_count(int socket, const char *name, struct stats_table *table)
{
	struct ethtool_sset_info *sets = calloc(1, sizeof(*sets) + sizeof(sets->data[0]));
	int result = sets ? 0 : -ENOMEM;

	if (!result) {
		sets->cmd = ETHTOOL_GSSET_INFO;
		sets->sset_mask = 1ull << ETH_SS_STATS;
		result = stats_ioctl(socket, name, sets);
	}
	if (!result && (!sets->sset_mask || !sets->data[0] || sets->data[0] > STATS_MAX))
		result = -EOPNOTSUPP;
	if (!result)
		table->count = sets->data[0];
	free(sets);
	return result;
}

static int stats_read(int socket, const char *name, struct stats_table *table)
{
	int result = stats_count(socket, name, table);

	if (result)
		return result;
	table->names = calloc(1, sizeof(*table->names) + table->count * (size_t)ETH_GSTRING_LEN);
	table->values = calloc(1, sizeof(*table->values) + table->count * sizeof(uint64_t));
	if (!table->names || !table->values)
		return -ENOMEM;
	table->names->cmd = ETHTOOL_GSTRINGS;
	table->names->string_set = ETH_SS_STATS;
	table->names->len = table->count;
	table->values->cmd = ETHTOOL_GSTATS;
	table->values->n_stats = table->count;
	result = stats_ioctl(socket, name, table->names);
	return result ? result : stats_ioctl(socket, name, table->values);
}

/* "rx_hsplit_unsplit_pkt[3]" (gve), "rx3_hds_nosplit_packets" (mlx5): the first number is the
 * queue. */
static int stats_is_unsplit(const char *name, uint32_t queue)
{
	const char *digits = name + strcspn(name, "0123456789");

	return (strstr(name, "unsplit") || strstr(name, "nosplit")) &&
	       (!*digits || strtoul(digits, NULL, 10) == queue);
}

int zrx_ethtool_unsplit(int socket, const char *name, uint32_t queue, uint64_t *count)
{
	struct stats_table table = {0};
	int result = stats_read(socket, name, &table), found = 0;

	*count = 0;
	for (uint32_t i = 0; !result && i < table.count; i++) {
		char text[ETH_GSTRING_LEN + 1] = "";

		memcpy(text, table.names->data + i * (size_t)ETH_GSTRING_LEN, ETH_GSTRING_LEN);
		if (!stats_is_unsplit(text, queue))
			continue;
		*count += table.values->data[i];
		found = 1;
	}
	free(table.names);
	free(table.values);
	return result ? result : found ? 0 : -EOPNOTSUPP;
}
