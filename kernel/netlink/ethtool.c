/* SPDX-License-Identifier: MIT */
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

static int ethtool_ioctl(int socket, const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(socket, SIOCETHTOOL, &request) ? -errno : 0;
}

int zrx_ethtool_driver(int socket, const char *name, struct zrx_ethtool_driver *found)
{
	struct ethtool_drvinfo information = {.cmd = ETHTOOL_GDRVINFO};
	int result = ethtool_ioctl(socket, name, &information);

	memset(found, 0, sizeof(*found));
	if (result)
		return result;
	snprintf(found->driver, sizeof(found->driver), "%.31s", information.driver);
	snprintf(found->version, sizeof(found->version), "%.31s", information.version);
	snprintf(found->firmware, sizeof(found->firmware), "%.31s", information.fw_version);
	snprintf(found->bus, sizeof(found->bus), "%.31s", information.bus_info);
	return 0;
}

int zrx_ethtool_channels(int socket, const char *name, struct zrx_ethtool_channels *found)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	int result = ethtool_ioctl(socket, name, &channels);

	memset(found, 0, sizeof(*found));
	if (result)
		return result;
	found->rx = channels.rx_count + channels.combined_count;
	found->max = channels.max_rx + channels.max_combined;
	return 0;
}

static struct ethtool_rxfh_indir *ethtool_table(uint32_t command, uint32_t count)
{
	struct ethtool_rxfh_indir *table =
		calloc(1, sizeof(*table) + (size_t)count * sizeof(table->ring_index[0]));

	if (table) {
		table->cmd = command;
		table->size = count;
	}
	return table;
}

int zrx_ethtool_rss(int socket, const char *name, struct zrx_ethtool_rss *rss)
{
	struct ethtool_rxfh_indir size = {.cmd = ETHTOOL_GRXFHINDIR}, *table;
	int result = ethtool_ioctl(socket, name, &size);

	memset(rss, 0, sizeof(*rss));
	if (result)
		return result == -EOPNOTSUPP ? 0 : result;
	if (size.size > ZRX_RSS_ENTRIES)
		return -EOVERFLOW;
	table = ethtool_table(ETHTOOL_GRXFHINDIR, size.size);
	if (!table)
		return -ENOMEM;
	result = ethtool_ioctl(socket, name, table);
	if (!result) {
		rss->count = size.size;
		memcpy(rss->queue, table->ring_index, size.size * sizeof(rss->queue[0]));
	}
	free(table);
	return result;
}

int zrx_ethtool_rss_set(int socket, const char *name, const struct zrx_ethtool_rss *rss)
{
	uint32_t count = rss ? rss->count : 0;
	struct ethtool_rxfh_indir *table = ethtool_table(ETHTOOL_SRXFHINDIR, count);
	int result;

	if (!table)
		return -ENOMEM;
	if (rss)
		memcpy(table->ring_index, rss->queue, count * sizeof(rss->queue[0]));
	result = ethtool_ioctl(socket, name, table);
	free(table);
	return result;
}

static struct ethtool_rxfh *context_request(uint32_t command, uint32_t context, uint32_t entries,
					    uint32_t key_bytes)
{
	struct ethtool_rxfh *table =
		calloc(1, sizeof(*table) + entries * sizeof(table->rss_config[0]) + key_bytes);

	if (table) {
		table->cmd = command;
		table->rss_context = context;
		table->indir_size = entries;
		table->key_size = key_bytes;
	}
	return table;
}

int zrx_ethtool_context(int socket, const char *name, uint32_t context, struct zrx_ethtool_rss *rss)
{
	struct ethtool_rxfh *size = context_request(ETHTOOL_GRSSH, context, 0, 0), *table = NULL;
	int result = size ? ethtool_ioctl(socket, name, size) : -ENOMEM;

	memset(rss, 0, sizeof(*rss));
	if (!result && size->indir_size > ZRX_RSS_ENTRIES)
		result = -EOVERFLOW;
	if (!result) {
		table = context_request(ETHTOOL_GRSSH, context, size->indir_size, size->key_size);
		result = table ? ethtool_ioctl(socket, name, table) : -ENOMEM;
	}
	if (!result) {
		rss->count = size->indir_size;
		memcpy(rss->queue, table->rss_config, rss->count * sizeof(rss->queue[0]));
	}
	free(table);
	free(size);
	return result;
}

/* Without a table an existing context is removed. */
static int context_write(int socket, const char *name, const struct zrx_ethtool_rss *rss,
			 uint32_t *context)
{
	uint32_t count = rss ? rss->count : 0;
	struct ethtool_rxfh *table = context_request(ETHTOOL_SRSSH, *context, count, 0);
	int result;

	if (!table)
		return -ENOMEM;
	if (rss)
		memcpy(table->rss_config, rss->queue, count * sizeof(rss->queue[0]));
	result = ethtool_ioctl(socket, name, table);
	*context = table->rss_context;
	free(table);
	return result;
}

int zrx_ethtool_context_add(int socket, const char *name, const struct zrx_ethtool_rss *rss,
			    uint32_t *context)
{
	*context = ETH_RXFH_CONTEXT_ALLOC;
	return context_write(socket, name, rss, context);
}

int zrx_ethtool_context_set(int socket, const char *name, uint32_t context,
			    const struct zrx_ethtool_rss *rss)
{
	return context_write(socket, name, rss, &context);
}

int zrx_ethtool_context_remove(int socket, const char *name, uint32_t context)
{
	return context_write(socket, name, NULL, &context);
}
