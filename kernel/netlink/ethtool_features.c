/* SPDX-License-Identifier: MIT */
/* Features of a netdev (ethtool -k), by their kernel names. */
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

#define FEATURES_BLOCKS 8 /* of 32 features each; Linux has fewer than 96 features */

static int features_ioctl(int socket, const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};
	int result;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	result = ioctl(socket, SIOCETHTOOL, &request);
	return result < 0 ? -errno : result;
}

/* How many feature names the kernel has, or -errno. */
static int features_count(int socket, const char *name)
{
	struct ethtool_sset_info *sets = calloc(1, sizeof(*sets) + sizeof(sets->data[0]));
	int result;

	if (!sets)
		return -ENOMEM;
	sets->cmd = ETHTOOL_GSSET_INFO;
	sets->sset_mask = 1ull << ETH_SS_FEATURES;
	result = features_ioctl(socket, name, sets);
	if (!result) {
		result = (int)sets->data[0];
		if (!sets->sset_mask || result < 0 || result > FEATURES_BLOCKS * 32)
			result = -EOPNOTSUPP;
	}
	free(sets);
	return result;
}

/* The index of a feature in the kernel's list of names, or -errno. */
static int features_index(int socket, const char *name, const char *feature)
{
	struct ethtool_gstrings *names;
	int count = features_count(socket, name), result;

	if (count < 0)
		return count;
	names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = (uint32_t)count;
	result = features_ioctl(socket, name, names);
	if (!result) {
		result = -ENOENT;
		for (int i = 0; i < count; i++)
			if (!strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN, feature,
				     ETH_GSTRING_LEN))
				result = i;
	}
	free(names);
	return result;
}

static struct ethtool_gfeatures *features_get(int socket, const char *name, int *error)
{
	struct ethtool_gfeatures *features =
		calloc(1, sizeof(*features) + FEATURES_BLOCKS * sizeof(features->features[0]));

	*error = -ENOMEM;
	if (!features)
		return NULL;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = FEATURES_BLOCKS;
	*error = features_ioctl(socket, name, features);
	if (!*error)
		return features;
	free(features);
	return NULL;
}

int zrx_ethtool_feature(int socket, const char *name, const char *feature, uint32_t *state)
{
	int index = features_index(socket, name, feature), error;
	struct ethtool_get_features_block *block;
	struct ethtool_gfeatures *features;
	uint32_t bit;

	*state = 0;
	if (index < 0)
		return index;
	features = features_get(socket, name, &error);
	if (!features)
		return error;
	block = &features->features[index / 32];
	bit = 1u << (index % 32);
	if (block->active & bit)
		*state |= ZRX_FEATURE_STATE_ON;
	if (!(block->available & bit) || block->never_changed & bit)
		*state |= ZRX_FEATURE_STATE_FIXED;
	free(features);
	return 0;
}

int zrx_ethtool_feature_set(int socket, const char *name, const char *feature, int on)
{
	int index = features_index(socket, name, feature), result;
	struct ethtool_gfeatures *current;
	struct ethtool_sfeatures *wanted;
	uint32_t bit;

	if (index < 0)
		return index;
	current = features_get(socket, name, &result);
	if (!current)
		return result;
	wanted = calloc(1, sizeof(*wanted) + FEATURES_BLOCKS * sizeof(wanted->features[0]));
	if (!wanted) {
		free(current);
		return -ENOMEM;
	}
	bit = 1u << (index % 32);
	wanted->cmd = ETHTOOL_SFEATURES;
	wanted->size = current->size; /* the kernel takes exactly its own */
	wanted->features[index / 32].valid = bit;
	wanted->features[index / 32].requested = on ? bit : 0;
	result = features_ioctl(socket, name, wanted);
	if (result > 0) /* accepted, but something else keeps the feature as it is */
		result = -EOPNOTSUPP;
	free(wanted);
	free(current);
	return result;
}
