/* SPDX-License-Identifier: MIT */
/*
 * Why a registration was refused. The kernel knows which precondition failed, but returns only an
 * errno on this path: so each is read again, in the order in which the kernel checks them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/utsname.h>

#include "error.h"
#include "nic/nic.h"
#include "nic/device.h"
#include "nic/explain.h"
#include "nic/holder.h"
#include "nic/quirks.h"
#include "probe/probe.h"

static int explain_split(const struct zrx_nic_case *facts, struct zrx_error *error)
{
	char hint[160];

	if (facts->rings_error)
		return zrx_error_set(
			error, -EINVAL, ZRX_STAGE_QUEUE,
			"use engine multishot, or a NIC that can split headers from data",
			"%s: driver %s has no header/data split", facts->interface, facts->driver);
	snprintf(hint, sizeof(hint), "ethtool -G %s tcp-data-split on", facts->interface);
	if (facts->rings.split != ZRX_SPLIT_ON)
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_QUEUE, hint,
				     "%s: header/data split (tcp-data-split) is %s",
				     facts->interface,
				     facts->rings.split == ZRX_SPLIT_OFF ? "off" : "not set");
	if (facts->rings.has_thresh && facts->rings.thresh) {
		snprintf(hint, sizeof(hint), "ethtool -G %s hds-thresh 0", facts->interface);
		return zrx_error_set(
			error, -EINVAL, ZRX_STAGE_QUEUE, hint,
			"%s: hds-thresh is %u, so that packets up to that size are not split",
			facts->interface, facts->rings.thresh);
	}
	if (facts->rx_buf_len & (facts->rx_buf_len - 1) ||
	    (facts->rx_buf_len && facts->rx_buf_len < facts->page_bytes))
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_QUEUE,
				     "choose a power of two of at least a page",
				     "buffers of %u bytes are not possible", facts->rx_buf_len);
	if (facts->rx_buf_len > facts->page_bytes)
		return zrx_error_set(
			error, -EINVAL, ZRX_STAGE_QUEUE,
			facts->kernel < ZRX_KERNEL(7, 0)
				? "open with buffers of the page size, or boot Linux 7.0 or newer"
				: "open with buffers of the page size (buffer_bytes 0)",
			"%s: this kernel or driver %s does not take buffers of %u bytes",
			facts->interface, facts->driver, facts->rx_buf_len);
	return zrx_error_set(
		error, -EINVAL, ZRX_STAGE_QUEUE, hint,
		"%s: header/data split is on by the driver's own choice, which does not "
		"count: it must be set",
		facts->interface);
}

static int explain_unsupported(const struct zrx_nic_case *facts, struct zrx_error *error)
{
	if (!facts->driver[0] || !facts->bus[0])
		return zrx_error_set(
			error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
			"name the physical interface below it, or use engine multishot",
			"%s is %s%s: no device behind it that could write into the area",
			facts->interface,
			facts->driver[0] ? "a virtual interface of driver " : "a virtual interface",
			facts->driver);
	if (facts->rx_buf_len > facts->page_bytes)
		return zrx_error_set(error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
				     "open with buffers of the page size (buffer_bytes 0)",
				     "%s: driver %s takes no buffers of %u bytes", facts->interface,
				     facts->driver, facts->rx_buf_len);
	return zrx_error_set(error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
			     "use engine multishot, or a newer kernel or NIC driver",
			     "%s: driver %s of this kernel cannot restart single queues (no queue "
			     "management), or the kernel has no zcrx",
			     facts->interface, facts->driver);
}

static int explain_range(const struct zrx_nic_case *facts, struct zrx_error *error)
{
	const struct zrx_nic_quirk *quirk = zrx_nic_quirk_find(facts->driver);
	char hint[160];

	if (quirk && facts->queue < quirk->first_queue)
		return zrx_error_set(error, -ERANGE, ZRX_STAGE_QUEUE, "choose a higher queue",
				     "%s: driver %s does not bind queues below %u",
				     facts->interface, facts->driver, quirk->first_queue);
	if (facts->queue >= facts->queue_count) {
		snprintf(hint, sizeof(hint),
			 "choose a queue below %u, or: ethtool -L %s combined %u",
			 facts->queue_count, facts->interface, facts->queue + 1);
		return zrx_error_set(error, -ERANGE, ZRX_STAGE_QUEUE, hint,
				     "%s has %u receive queues: there is no queue %u",
				     facts->interface, facts->queue_count, facts->queue);
	}
	return zrx_error_set(error, -ERANGE, ZRX_STAGE_AREA,
			     "use huge pages (sysctl -w vm.nr_hugepages=64) or smaller buffers",
			     "the area's memory is not contiguous enough for buffers of %u bytes",
			     facts->rx_buf_len ? facts->rx_buf_len : facts->page_bytes);
}

int zrx_nic_explain_xdp(const char *interface, int code, struct zrx_error *error)
{
	char hint[64];

	snprintf(hint, sizeof(hint), "ip link set dev %s xdp off", interface);
	return zrx_error_set(error, code, ZRX_STAGE_QUEUE, hint,
			     "%s: an XDP program is attached, which sees every packet of the NIC",
			     interface);
}

static int explain_taken(const struct zrx_nic_case *facts, int code, struct zrx_error *error)
{
	if (facts->bound & ZRX_BOUND_XSK)
		return zrx_error_set(error, code, ZRX_STAGE_QUEUE,
				     "choose another queue, or stop the AF_XDP program",
				     "%s: queue %u is used by an AF_XDP socket", facts->interface,
				     facts->queue);
	if (facts->bound & ZRX_BOUND_DMABUF)
		return zrx_error_set(
			error, code, ZRX_STAGE_QUEUE,
			"choose another queue, or stop the program that uses device memory",
			"%s: queue %u is bound to a dma-buf", facts->interface, facts->queue);
	if (facts->bound & ZRX_BOUND_IO_URING)
		return zrx_error_set(
			error, code, ZRX_STAGE_QUEUE, "choose another queue, or stop it",
			"%s: queue %u is bound already%s%s", facts->interface, facts->queue,
			facts->holder[0] ? ", it seems by " : "", facts->holder);
	if (facts->bound & ZRX_BOUND_LEASE)
		return zrx_error_set(error, code, ZRX_STAGE_QUEUE, "choose another queue",
				     "%s: queue %u is leased to another interface",
				     facts->interface, facts->queue);
	if (!facts->xdp)
		return zrx_error_set(error, code, ZRX_STAGE_QUEUE, "try again",
				     "%s: queue %u was bound until just now", facts->interface,
				     facts->queue);
	return zrx_nic_explain_xdp(facts->interface, code, error);
}

/* A newer kernel is only advised where it is known to help. */
static int explain_unreadable(const struct zrx_nic_case *facts, struct zrx_error *error)
{
	const struct zrx_nic_quirk *quirk = zrx_nic_quirk_find(facts->driver);
	uint32_t first = quirk ? quirk->first_kernel : 0;
	char hint[160];

	if (facts->kernel < first)
		snprintf(hint, sizeof(hint), "boot Linux %u.%u or newer, or use engine multishot",
			 first / 1000, first % 1000);
	else
		snprintf(hint, sizeof(hint),
			 "use engine multishot, or another NIC: bnxt_en, fbnic, gve and mlx5_core "
			 "are drivers that can");
	return zrx_error_set(error, -ENODATA, ZRX_STAGE_QUEUE, hint,
			     "%s: driver %s, as this kernel has it, cannot take memory that it "
			     "must not read",
			     facts->interface, facts->driver);
}

static uint32_t explain_kernel(void)
{
	unsigned major, minor;
	struct utsname name;

	return !uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2
		       ? ZRX_KERNEL(major, minor)
		       : 0;
}

int zrx_nic_explain_case(const struct zrx_nic_case *facts, int errno_value, struct zrx_error *error)
{
	char hint[64];

	switch (errno_value) {
	case ENODEV:
		return zrx_error_set(error, -ENODEV, ZRX_STAGE_NIC, "list them: ip -br link",
				     "no interface \"%s\" in this network namespace",
				     facts->interface);
	case EINVAL:
		return explain_split(facts, error);
	case EOPNOTSUPP:
		return explain_unsupported(facts, error);
	case ERANGE:
		return explain_range(facts, error);
	case EEXIST:
	case EBUSY:
		return explain_taken(facts, -errno_value, error);
	case ENODATA:
		return explain_unreadable(facts, error);
	case ENETDOWN:
		snprintf(hint, sizeof(hint), "ip link set dev %s up", facts->interface);
		return zrx_error_set(error, -ENETDOWN, ZRX_STAGE_QUEUE, hint, "%s is down",
				     facts->interface);
	default:
		zrx_probe_zcrx_refusal(errno_value, 0, error);
		return -errno_value;
	}
}

static void explain_gather(struct zrx_nic_device *device, struct zrx_nic_case *facts)
{
	struct zrx_ethtool_driver driver;
	struct zrx_netdev_queue queue;

	if (!device->ops->driver(device, &driver)) {
		snprintf(facts->driver, sizeof(facts->driver), "%s", driver.driver);
		snprintf(facts->bus, sizeof(facts->bus), "%s", driver.bus);
	}
	facts->rings_error = device->ops->rings(device, &facts->rings);
	device->ops->xdp(device, &facts->xdp);
	facts->queue_count = zrx_nic_device_queue_count(device);
	if (!zrx_nic_device_queue(device, facts->queue, &queue))
		facts->bound = queue.bound;
	if (facts->bound & ZRX_BOUND_IO_URING)
		zrx_nic_holder_find(facts->holder, sizeof(facts->holder));
}

int zrx_nic_explain_device(struct zrx_nic_device *device, uint32_t queue, int errno_value,
			   uint32_t rx_buf_len, struct zrx_error *error)
{
	struct zrx_nic_case facts = {.queue = queue, .rx_buf_len = rx_buf_len};

	facts.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	facts.kernel = explain_kernel();
	snprintf(facts.interface, sizeof(facts.interface), "%s", device->name);
	explain_gather(device, &facts);
	return zrx_nic_explain_case(&facts, errno_value, error);
}

int zrx_nic_explain(const char *interface, uint32_t queue, int errno_value, uint32_t rx_buf_len,
		    struct zrx_error *error)
{
	struct zrx_nic_device *device;
	int result = zrx_nic_device_open(&device, interface, error);

	if (result)
		return result;
	result = zrx_nic_explain_device(device, queue, errno_value, rx_buf_len, error);
	zrx_nic_device_close(device);
	return result;
}
