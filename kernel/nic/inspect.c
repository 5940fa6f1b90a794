/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "error.h"
#include "nic/claim/settings.h"
#include "nic/demand.h"
#include "nic/holder.h"
#include "nic/inspect.h"
#include "nic/quirks.h"
#include "place.h"

struct inspection {
	struct zrx_check_list list;
	struct zrx_nic_device *device;
	struct zrx_nic_report *report;
	const struct zrx_nic_quirk *quirk;
	struct zrx_ethtool_rings rings;
	struct zrx_ethtool_rss rss;
	struct zrx_netdev_queue queues[ZRX_NETDEV_QUEUES];
	int rings_error;
	int queues_error;
	uint32_t listed; /* queues that the kernel lists */
	uint32_t hw_gro;
	uint32_t ntuple_state;
};

static uint32_t inspect_free_queue(const struct inspection *at)
{
	struct zrx_queue_set named = {0}, none = {0};
	uint32_t first = at->quirk ? at->quirk->first_queue : 0, queue;

	for (uint32_t i = 0; i < at->rss.count; i++)
		zrx_queue_set_add(&named, at->rss.queue[i]);
	queue = zrx_nic_choose(at->queues, at->listed, &named, first);
	return queue != ZRX_NO_QUEUE ? queue : zrx_nic_choose(at->queues, at->listed, &none, first);
}

static void inspect_read(struct inspection *at)
{
	struct zrx_nic_device *device = at->device;
	struct zrx_nic_report *report = at->report;
	struct zrx_ethtool_rule_table *rules = malloc(sizeof(*rules));
	struct zrx_ethtool_driver driver;
	uint32_t state;
	int count;

	if (!device->ops->driver(device, &driver)) {
		snprintf(report->driver, sizeof(report->driver), "%s", driver.driver);
		snprintf(report->firmware, sizeof(report->firmware), "%s", driver.firmware);
	}
	at->quirk = zrx_nic_quirk_find(report->driver);
	at->rings_error = device->ops->rings(device, &at->rings);
	report->ring_entries = at->rings.rx;
	report->split = at->rings.split;
	report->hds_thresh = at->rings.thresh;
	if (!device->ops->feature(device, ZRX_NIC_NTUPLE, &at->ntuple_state))
		report->ntuple = !!(at->ntuple_state & ZRX_FEATURE_STATE_ON);
	if (!device->ops->feature(device, ZRX_NIC_HW_GRO, &state))
		at->hw_gro = !!(state & ZRX_FEATURE_STATE_ON);
	if (rules && !device->ops->rules(device, rules))
		report->rules = rules->count;
	free(rules);
	if (device->ops->rss(device, &at->rss))
		at->rss.count = 0;
	report->rss_entries = at->rss.count;
	count = device->ops->queues(device, at->queues, ZRX_NETDEV_QUEUES);
	at->queues_error = count < 0 ? count : 0;
	at->listed = count > 0 ? (uint32_t)count : 0;
	report->queue_count = zrx_nic_device_queue_count(device);
}

static void inspect_queue(struct inspection *at)
{
	struct zrx_nic_report *report = at->report;
	char holder[64] = "";

	if (at->queues_error) {
		zrx_check_add(&at->list, ZRX_CHECK_MISSING, "queues",
			      "the kernel does not list queues: %s", strerror(-at->queues_error));
		zrx_check_hint(zrx_check_last(&at->list), at->queues_error == -EOPNOTSUPP
								  ? "boot Linux 6.15 or newer"
								  : "try again");
		return;
	}
	if (!at->listed) {
		zrx_check_add(&at->list, ZRX_CHECK_MISSING, "up", "the interface is down");
		zrx_check_hint(zrx_check_last(&at->list), "ip link set dev %s up",
			       at->device->name);
		return;
	}
	zrx_check_add(&at->list, ZRX_CHECK_OK, "up", "%u receive queues", at->listed);
	if (report->queue >= at->listed || (at->quirk && report->queue < at->quirk->first_queue)) {
		zrx_check_add(&at->list, ZRX_CHECK_MISSING, "queue",
			      "there is no queue %u that can be bound", report->queue);
		zrx_check_hint(zrx_check_last(&at->list),
			       "choose a lower one, or: ethtool -L %s combined %u",
			       at->device->name, at->listed + 1);
		return;
	}
	report->bound = at->queues[report->queue].bound;
	report->napi_id = at->queues[report->queue].napi_id;
	report->rss_to_queue = zrx_rss_count(&at->rss, report->queue);
	if (!report->bound && at->listed == 1) {
		zrx_check_add(
			&at->list, ZRX_CHECK_WARN, "queue",
			"queue 0 is the only one: all traffic would go there, and nobody else "
			"could read it");
		zrx_check_hint(zrx_check_last(&at->list), "ethtool -L %s combined 2",
			       at->device->name);
		return;
	}
	if (!report->bound) {
		zrx_check_add(&at->list, ZRX_CHECK_OK, "queue", "queue %u is free", report->queue);
		return;
	}
	if (report->bound & ZRX_BOUND_IO_URING)
		zrx_nic_holder_find(holder, sizeof(holder));
	zrx_check_add(&at->list, ZRX_CHECK_MISSING, "queue", "queue %u is bound to %s%s%s",
		      report->queue,
		      report->bound & ZRX_BOUND_IO_URING ? "a zcrx area"
		      : report->bound & ZRX_BOUND_XSK    ? "an AF_XDP socket"
		      : report->bound & ZRX_BOUND_DMABUF ? "device memory"
							 : "another interface",
		      holder[0] ? ", it seems by " : "", holder);
	zrx_check_hint(zrx_check_last(&at->list), "choose another queue, or stop it");
}

static void inspect_xdp(struct inspection *at)
{
	uint32_t attached;

	if (at->device->ops->xdp(at->device, &attached))
		return;
	zrx_check_add(&at->list, attached ? ZRX_CHECK_MISSING : ZRX_CHECK_OK, "xdp", "%s",
		      attached ? "a program is attached: queues cannot be bound" : "no program");
	if (attached)
		zrx_check_hint(zrx_check_last(&at->list), "ip link set dev %s xdp off",
			       at->device->name);
}

static void inspect_split(struct inspection *at)
{
	const char *name = at->device->name;

	if (at->rings_error) {
		int lacks = at->rings_error == -EOPNOTSUPP;

		zrx_check_add(&at->list, ZRX_CHECK_MISSING, "tcp-data-split", "%s%s",
			      lacks ? "this driver has none" : "it cannot be read: ",
			      lacks ? "" : strerror(-at->rings_error));
		zrx_check_hint(
			zrx_check_last(&at->list),
			"name a physical interface whose driver can, or use engine multishot");
		return;
	}
	zrx_check_add(&at->list, at->rings.split == ZRX_SPLIT_ON ? ZRX_CHECK_OK : ZRX_CHECK_MISSING,
		      "tcp-data-split", "%s",
		      at->rings.split == ZRX_SPLIT_ON    ? "on"
		      : at->rings.split == ZRX_SPLIT_OFF ? "off"
							 : "the driver does not tell");
	if (at->rings.split == ZRX_SPLIT_OFF)
		zrx_check_hint(zrx_check_last(&at->list), "ethtool -G %s tcp-data-split on", name);
	else if (at->rings.split != ZRX_SPLIT_ON)
		zrx_check_hint(zrx_check_last(&at->list),
			       "ethtool -G %s tcp-data-split on; where that is refused the driver "
			       "has none: use engine multishot",
			       name);
	if (!at->rings.has_thresh)
		return;
	zrx_check_add(&at->list, at->rings.thresh ? ZRX_CHECK_MISSING : ZRX_CHECK_OK, "hds-thresh",
		      "%u", at->rings.thresh);
	if (at->rings.thresh)
		zrx_check_hint(zrx_check_last(&at->list), "ethtool -G %s hds-thresh 0", name);
}

static void inspect_sharing(struct inspection *at)
{
	const char *name = at->device->name;
	struct zrx_nic_report *report = at->report;

	if (report->rss_to_queue) {
		zrx_check_add(
			&at->list, ZRX_CHECK_WARN, "rss",
			"%u of %u entries lead to queue %u: sockets of others would fail there",
			report->rss_to_queue, report->rss_entries, report->queue);
		zrx_check_hint(zrx_check_last(&at->list),
			       "ethtool -X %s: lead them to other queues", name);
	} else if (report->rss_entries) {
		zrx_check_add(&at->list, ZRX_CHECK_OK, "rss",
			      "none of %u entries leads to queue %u", report->rss_entries,
			      report->queue);
	} else {
		zrx_check_add(&at->list, ZRX_CHECK_UNKNOWN, "rss", "no indirection table");
		zrx_check_hint(zrx_check_last(&at->list),
			       "see that no other traffic reaches the queue");
	}
	if (report->ntuple) {
		zrx_check_add(&at->list, ZRX_CHECK_OK, "ntuple", "flow rules are on (%u there)",
			      report->rules);
	} else {
		int fixed = at->ntuple_state & ZRX_FEATURE_STATE_FIXED;

		zrx_check_add(&at->list, ZRX_CHECK_WARN, "ntuple",
			      fixed ? "this driver has no flow rules" : "flow rules are off");
		zrx_check_hint(
			zrx_check_last(&at->list),
			fixed ? "lead flows to the queue by other means (RSS, a single queue)%.0s"
			      : "ethtool -K %s ntuple on",
			name);
	}
	if (at->quirk && at->quirk->needs_hw_gro) {
		zrx_check_add(&at->list, at->hw_gro ? ZRX_CHECK_OK : ZRX_CHECK_MISSING, "rx-gro-hw",
			      "%s", at->hw_gro ? "on" : "off, and this driver splits only with it");
		if (!at->hw_gro)
			zrx_check_hint(zrx_check_last(&at->list), "ethtool -K %s rx-gro-hw on",
				       name);
	}
	if (at->quirk && at->quirk->needs) {
		zrx_check_add(&at->list, ZRX_CHECK_UNKNOWN, "driver", "%s: more may be needed",
			      report->driver);
		zrx_check_hint(zrx_check_last(&at->list), "%s", at->quirk->needs);
	}
}

/* What a queue takes of an area; not where the driver does not tell, which is told above. */
static void inspect_area(struct inspection *at)
{
	struct zrx_nic_demand demand;

	if (!at->rings_error && !zrx_demand_read(at->device, 0, &demand))
		zrx_check_add(&at->list, ZRX_CHECK_OK, "area",
			      "a queue holds of it, standing: %s; default %u MiB",
			      demand.arithmetic, (uint32_t)(demand.area_bytes >> 20));
}

/* Where threads and memory should be. */
static void inspect_place(struct inspection *at)
{
	struct zrx_nic_report *report = at->report;
	const struct zrx_nic_ops *ops = at->device->ops;

	report->numa_node = zrx_place_interface(at->device->name);
	if (report->napi_id && ops->irq && ops->irq(at->device, report->napi_id, &report->irq))
		report->irq = 0;
	report->irq_processor = zrx_place_interrupt(report->irq);
}

void zrx_nic_report_make(struct zrx_nic_device *device, uint32_t queue,
			 struct zrx_nic_report *report)
{
	struct inspection *at = calloc(1, sizeof(*at));

	*report = (struct zrx_nic_report){
		.size = sizeof(*report),
		.check_capacity = ZRX_NIC_CHECKS,
		.checks = report->checks,
		.ifindex = device->ifindex,
		.queue = queue,
		.irq_processor = -1,
		.numa_node = -1,
	};
	if (!at)
		return;
	at->device = device;
	at->report = report;
	at->list = (struct zrx_check_list){report->checks, &report->check_count};
	inspect_read(at);
	if (queue == ZRX_NIC_FREE_QUEUE)
		report->queue = inspect_free_queue(at);
	inspect_queue(at);
	inspect_xdp(at);
	inspect_split(at);
	inspect_sharing(at);
	inspect_area(at);
	inspect_place(at);
	free(at);
}

int zrx_nic_report_refusal(const struct zrx_nic_report *report, struct zrx_error *error)
{
	for (uint32_t i = 0; i < report->check_count; i++) {
		const struct zrx_check *check = &report->checks[i];

		if (check->state == ZRX_CHECK_MISSING)
			return zrx_error_set(error, report->bound ? -EEXIST : -EOPNOTSUPP,
					     ZRX_STAGE_NIC, check->hint,
					     "the NIC is not prepared: %s: %s", check->name,
					     check->detail);
	}
	return 0;
}
