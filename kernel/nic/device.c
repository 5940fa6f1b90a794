/* SPDX-License-Identifier: MIT */
/* The real NIC: the table of nic_device.h over ioctl and netlink. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "error.h"
#include "netlink/link.h"
#include "nic/device.h"

struct device_real {
	struct zrx_nic_device base; /* first: the two are cast into each other */
	int socket;
	int has_netdev; /* 6.7 and newer */
	struct zrx_genl ethtool;
	struct zrx_genl netdev;
};

static struct device_real *device_of(struct zrx_nic_device *device)
{
	return (struct device_real *)device;
}

/*
 * The name under which ioctls find it now: it may have been renamed since, and its old name be
 * another's. Empty, which is nobody's, where it is gone.
 */
static const char *device_name(struct zrx_nic_device *device)
{
	struct ifreq request = {.ifr_ifindex = (int)device->ifindex};

	if (ioctl(device_of(device)->socket, SIOCGIFNAME, &request))
		return "";
	snprintf(device->name, sizeof(device->name), "%.15s", request.ifr_name);
	return device->name;
}

/* Keeps what the kernel said about a failed netlink request. */
static int device_said(struct device_real *real, const struct zrx_genl *genl, int result)
{
	snprintf(real->base.kernel_text, sizeof(real->base.kernel_text), "%s",
		 result < 0 ? genl->kernel_text : "");
	return result;
}

static int device_driver(struct zrx_nic_device *device, struct zrx_ethtool_driver *found)
{
	return zrx_ethtool_driver(device_of(device)->socket, device_name(device), found);
}

static int device_channels(struct zrx_nic_device *device, struct zrx_ethtool_channels *found)
{
	return zrx_ethtool_channels(device_of(device)->socket, device_name(device), found);
}

static int device_queues(struct zrx_nic_device *device, struct zrx_netdev_queue *found,
			 uint32_t capacity)
{
	struct device_real *real = device_of(device);

	if (!real->has_netdev)
		return -EOPNOTSUPP;
	return device_said(real, &real->netdev,
			   zrx_netdev_queues(&real->netdev, device->ifindex, found, capacity));
}

static int device_irq(struct zrx_nic_device *device, uint32_t napi_id, uint32_t *irq)
{
	struct device_real *real = device_of(device);

	return real->has_netdev ? zrx_netdev_napi_irq(&real->netdev, napi_id, irq) : -EOPNOTSUPP;
}

static int device_xdp(struct zrx_nic_device *device, uint32_t *attached)
{
	return zrx_link_xdp(device->ifindex, attached);
}

static int device_mtu(struct zrx_nic_device *device, uint32_t *mtu)
{
	return zrx_link_mtu(device_of(device)->socket, device_name(device), mtu);
}

static int device_rings(struct zrx_nic_device *device, struct zrx_ethtool_rings *rings)
{
	struct device_real *real = device_of(device);

	return device_said(real, &real->ethtool,
			   zrx_ethtool_rings(&real->ethtool, device->ifindex, rings));
}

static int device_split_set(struct zrx_nic_device *device, uint32_t split, uint32_t *changed)
{
	struct device_real *real = device_of(device);

	return device_said(real, &real->ethtool,
			   zrx_ethtool_split_set(&real->ethtool, device->ifindex, split, changed));
}

static int device_thresh_set(struct zrx_nic_device *device, uint32_t thresh)
{
	struct device_real *real = device_of(device);

	return device_said(real, &real->ethtool,
			   zrx_ethtool_thresh_set(&real->ethtool, device->ifindex, thresh));
}

static int device_feature(struct zrx_nic_device *device, const char *feature, uint32_t *state)
{
	return zrx_ethtool_feature(device_of(device)->socket, device_name(device), feature, state);
}

static int device_feature_set(struct zrx_nic_device *device, const char *feature, int on)
{
	return zrx_ethtool_feature_set(device_of(device)->socket, device_name(device), feature, on);
}

static int device_rss(struct zrx_nic_device *device, struct zrx_ethtool_rss *rss)
{
	return zrx_ethtool_rss(device_of(device)->socket, device_name(device), rss);
}

static int device_rss_set(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss)
{
	return zrx_ethtool_rss_set(device_of(device)->socket, device_name(device), rss);
}

static int device_context(struct zrx_nic_device *device, uint32_t context,
			  struct zrx_ethtool_rss *rss)
{
	return zrx_ethtool_context(device_of(device)->socket, device_name(device), context, rss);
}

static int device_context_add(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss,
			      uint32_t *context)
{
	return zrx_ethtool_context_add(device_of(device)->socket, device_name(device), rss,
				       context);
}

static int device_context_set(struct zrx_nic_device *device, uint32_t context,
			      const struct zrx_ethtool_rss *rss)
{
	return zrx_ethtool_context_set(device_of(device)->socket, device_name(device), context,
				       rss);
}

static int device_context_remove(struct zrx_nic_device *device, uint32_t context)
{
	return zrx_ethtool_context_remove(device_of(device)->socket, device_name(device), context);
}

static int device_rules(struct zrx_nic_device *device, struct zrx_ethtool_rule_table *table)
{
	return zrx_ethtool_rules(device_of(device)->socket, device_name(device), table);
}

static int device_rule(struct zrx_nic_device *device, uint32_t location,
		       struct ethtool_rx_flow_spec *rule, uint32_t *context)
{
	return zrx_ethtool_rule(device_of(device)->socket, device_name(device), location, rule,
				context);
}

static int device_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
			   uint32_t context)
{
	return zrx_ethtool_rule_add(device_of(device)->socket, device_name(device), rule, context);
}

static int device_rule_remove(struct zrx_nic_device *device, uint32_t location)
{
	return zrx_ethtool_rule_remove(device_of(device)->socket, device_name(device), location);
}

static void device_pause(struct zrx_nic_device *device, uint32_t milliseconds)
{
	struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};

	(void)device;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static const struct zrx_nic_ops device_ops = {
	.driver = device_driver,
	.channels = device_channels,
	.queues = device_queues,
	.irq = device_irq,
	.xdp = device_xdp,
	.mtu = device_mtu,
	.rings = device_rings,
	.split_set = device_split_set,
	.thresh_set = device_thresh_set,
	.feature = device_feature,
	.feature_set = device_feature_set,
	.rss = device_rss,
	.rss_set = device_rss_set,
	.context = device_context,
	.context_add = device_context_add,
	.context_set = device_context_set,
	.context_remove = device_context_remove,
	.rules = device_rules,
	.rule = device_rule,
	.rule_add = device_rule_add,
	.rule_remove = device_rule_remove,
	.pause_ms = device_pause,
};

static int device_connect(struct device_real *real, struct zrx_error *error)
{
	int result;

	real->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (real->socket < 0)
		return zrx_error_set(error, -errno, ZRX_STAGE_NIC, "raise it: ulimit -n",
				     "socket: %s", strerror(errno));
	result = zrx_genl_open(&real->ethtool, "ethtool");
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_NIC,
				     "boot a kernel with CONFIG_ETHTOOL_NETLINK=y",
				     "generic netlink family ethtool: %s", strerror(-result));
	real->has_netdev = !zrx_genl_open(&real->netdev, "netdev");
	return 0;
}

int zrx_nic_device_open(struct zrx_nic_device **device, const char *interface,
			struct zrx_error *error)
{
	unsigned ifindex = interface ? if_nametoindex(interface) : 0;
	struct device_real *real;
	int result;

	if (!interface || !interface[0])
		return zrx_error_set(error, -ENODEV, ZRX_STAGE_NIC, "list them: ip -br link",
				     "no interface is named");
	if (!ifindex)
		return zrx_error_set(error, -ENODEV, ZRX_STAGE_NIC, "list them: ip -br link",
				     "no interface \"%.31s\" in this network namespace", interface);
	real = calloc(1, sizeof(*real));
	if (!real)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	real->base.ops = &device_ops;
	real->base.ifindex = ifindex;
	snprintf(real->base.name, sizeof(real->base.name), "%s", interface);
	result = device_connect(real, error);
	if (result) {
		zrx_nic_device_close(&real->base);
		return result;
	}
	*device = &real->base;
	return 0;
}

void zrx_nic_device_close(struct zrx_nic_device *device)
{
	struct device_real *real = device_of(device);

	if (!device)
		return;
	zrx_genl_close(&real->ethtool);
	zrx_genl_close(&real->netdev);
	if (real->socket >= 0)
		close(real->socket);
	free(real);
}
