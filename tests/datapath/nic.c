/* SPDX-License-Identifier: MIT */
#include "nic.h"
#include "verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zcrx.h>

#define QUEUES         64
#define CARRIER_TRIES  6000
#define CARRIER_WAIT   10000000 /* ns, between two of them */
#define PEER_NAMESPACE "/run/netns/"

const char *nic_environment(const char *name)
{
	char variable[64];
	const char *value;

	snprintf(variable, sizeof(variable), "ZRX_RIG_%s", name);
	value = getenv(variable);
	CHECK(value, "%s is not set: this runs in the NIC rig", variable);
	return value;
}

const char *nic_interface(void)
{
	return nic_environment("IFACE");
}

int nic_is(const char *driver)
{
	return !strcmp(nic_environment("DRIVER"), driver);
}

void nic_enter_peer(void)
{
	char path[256];
	int space;

	snprintf(path, sizeof(path), PEER_NAMESPACE "%s", nic_environment("PEER_NETNS"));
	space = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(space >= 0 && !setns(space, CLONE_NEWNET), "%s: %s", path, strerror(errno));
	close(space);
}

/* ---- what is set ---- */

static struct zrx_nic_device *open_device(void)
{
	struct zrx_nic_device *device = NULL;
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(!zrx_nic_device_open(&device, nic_interface(), &error), "%s", error.message);
	return device;
}

static uint32_t read_queues(struct zrx_netdev_queue *queues)
{
	struct zrx_nic_device *device = open_device();
	int count = device->ops->queues(device, queues, QUEUES);

	CHECK(count > 0, "queues of %s: %d", nic_interface(), count);
	zrx_nic_device_close(device);
	return (uint32_t)count;
}

void nic_look(struct nic_state *state)
{
	struct zrx_netdev_queue queues[QUEUES];
	struct zrx_nic_device *device = open_device();
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t count = read_queues(queues);
	int result;

	memset(state, 0, sizeof(*state));
	CHECK(!zrx_nic_settings_read(device, &state->settings, &error), "%s", error.message);
	result = device->ops->rules(device, &state->rules);
	CHECK(!result, "rules: %s", strerror(-result));
	for (uint32_t i = 0; i < count; i++)
		state->bound_queues += queues[i].bound != 0;
	zrx_nic_device_close(device);
}

void nic_compare(const struct nic_state *before)
{
	struct nic_state now;

	nic_look(&now);
	CHECK(now.settings.split == before->settings.split, "split is %u, was %u",
	      now.settings.split, before->settings.split);
	CHECK(now.settings.thresh == before->settings.thresh, "split threshold is %u, was %u",
	      now.settings.thresh, before->settings.thresh);
	CHECK(now.settings.ntuple == before->settings.ntuple, "ntuple is %u, was %u",
	      now.settings.ntuple, before->settings.ntuple);
	CHECK(now.settings.hw_gro == before->settings.hw_gro, "hardware GRO is %u, was %u",
	      now.settings.hw_gro, before->settings.hw_gro);
	CHECK(zrx_rss_equal(&now.settings.rss, &before->settings.rss), "RSS is not as it was");
	CHECK(now.rules.count == before->rules.count, "there are %u rules, were %u",
	      now.rules.count, before->rules.count);
	CHECK(now.bound_queues == before->bound_queues, "%u queues are bound, were %u",
	      now.bound_queues, before->bound_queues);
}

uint32_t nic_queue_count(void)
{
	struct zrx_netdev_queue queues[QUEUES];

	return read_queues(queues);
}

unsigned nic_queue_napi(uint32_t queue)
{
	struct zrx_nic_report report = {.size = sizeof(report)};
	int result = zrx_nic_inspect(nic_interface(), queue, &report, NULL);

	CHECK(!result, "inspect: %s", strerror(-result));
	return report.napi_id;
}

/* ---- what an administrator does ---- */

static void interface_ioctl(const char *interface, unsigned long request, struct ifreq *data)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(data->ifr_name, sizeof(data->ifr_name), "%s", interface);
	CHECK(fd >= 0 && !ioctl(fd, request, data), "%s: ioctl %lx: %s", interface, request,
	      strerror(errno));
	close(fd);
}

static void wait_for_carrier(const char *interface)
{
	struct ifreq data = {0};

	for (int i = 0; i < CARRIER_TRIES; i++) {
		interface_ioctl(interface, SIOCGIFFLAGS, &data);
		if (data.ifr_flags & IFF_RUNNING)
			return;
		nanosleep(&(struct timespec){.tv_nsec = CARRIER_WAIT}, NULL);
	}
	fail("%s has no carrier", interface);
}

static void set_mtu(const char *interface, int mtu)
{
	struct ifreq data = {.ifr_mtu = mtu};

	interface_ioctl(interface, SIOCSIFMTU, &data);
	wait_for_carrier(interface);
}

void nic_set_mtu(int mtu)
{
	pid_t child = fork();
	int status = 1;

	CHECK(child >= 0, "fork: %s", strerror(errno));
	if (child == 0) {
		nic_enter_peer();
		set_mtu(nic_environment("PEER_IFACE"), mtu);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && !status, "the peer's MTU: status %x", status);
	set_mtu(nic_interface(), mtu);
}

/* Else an IPv6 address that was set goes when the interface goes down. */
static void keep_addresses(void)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/keep_addr_on_down",
		 nic_interface());
	file = fopen(path, "we");
	CHECK(file && fputs("1\n", file) >= 0 && !fclose(file), "%s: %s", path, strerror(errno));
}

void nic_set_up(int up)
{
	struct ifreq data = {0};

	keep_addresses();
	interface_ioctl(nic_interface(), SIOCGIFFLAGS, &data);
	data.ifr_flags = (short)(up ? data.ifr_flags | IFF_UP : data.ifr_flags & ~IFF_UP);
	interface_ioctl(nic_interface(), SIOCSIFFLAGS, &data);
	if (up)
		wait_for_carrier(nic_interface());
}

void nic_rename(const char *from, const char *to)
{
	struct ifreq data = {0};

	snprintf(data.ifr_newname, sizeof(data.ifr_newname), "%s", to);
	interface_ioctl(from, SIOCSIFNAME, &data);
}

uint32_t nic_set_rx_ring(uint32_t entries)
{
	struct ethtool_ringparam rings = {.cmd = ETHTOOL_GRINGPARAM};
	struct ifreq data = {.ifr_data = (void *)&rings};
	uint32_t before;

	interface_ioctl(nic_interface(), SIOCETHTOOL, &data);
	before = rings.rx_pending;
	rings.cmd = ETHTOOL_SRINGPARAM;
	rings.rx_pending = entries;
	interface_ioctl(nic_interface(), SIOCETHTOOL, &data);
	wait_for_carrier(nic_interface());
	return before;
}

uint32_t nic_ifindex(void)
{
	return if_nametoindex(nic_interface());
}

int nic_hw_gro(void)
{
	struct zrx_nic_device *device = open_device();
	uint32_t state = 0;

	device->ops->feature(device, ZRX_NIC_HW_GRO, &state);
	zrx_nic_device_close(device);
	return !!(state & ZRX_FEATURE_STATE_ON);
}

int nic_set_hw_gro(int on)
{
	struct zrx_nic_device *device;

	if (nic_hw_gro() == on)
		return 1;
	device = open_device();
	device->ops->feature_set(device, ZRX_NIC_HW_GRO, on);
	zrx_nic_device_close(device);
	wait_for_carrier(nic_interface());
	return nic_hw_gro() == on;
}
