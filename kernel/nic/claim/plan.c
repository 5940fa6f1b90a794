/* SPDX-License-Identifier: MIT */
/* From what a NIC's settings are to the steps that make a queue ready. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "nic/claim/settings.h"

static int plan_feature(struct zrx_nic_device *device, const char *feature, uint32_t *on)
{
	uint32_t state;
	int result = device->ops->feature(device, feature, &state);

	*on = !!(state & ZRX_FEATURE_STATE_ON);
	return result == -ENOENT ? 0 : result; /* no such feature in this kernel: off */
}

static int plan_no_rings(struct zrx_nic_device *device, int code, struct zrx_error *error)
{
	struct zrx_ethtool_driver driver = {0};

	if (code != -EOPNOTSUPP)
		return zrx_error_set(error, code, ZRX_STAGE_NIC,
				     code == -ENODEV ? "list them: ip -br link" : NULL,
				     "%s: header/data split cannot be read: %s", device->name,
				     strerror(-code));
	if (device->ops->driver(device, &driver) || !driver.bus[0])
		return zrx_error_set(error, code, ZRX_STAGE_NIC,
				     "name the physical interface below it, or use engine "
				     "multishot",
				     "%s is a virtual interface: no device behind it that could "
				     "write into the area",
				     device->name);
	return zrx_error_set(error, code, ZRX_STAGE_NIC,
			     "use engine multishot, or a NIC that can split headers from data",
			     "%s: driver %s has no header/data split", device->name, driver.driver);
}

int zrx_nic_split_read(struct zrx_nic_device *device, struct zrx_ethtool_rings *rings,
		       struct zrx_error *error)
{
	int result = device->ops->rings(device, rings);

	return result ? plan_no_rings(device, result, error) : 0;
}

int zrx_nic_settings_read(struct zrx_nic_device *device, struct zrx_nic_settings *settings,
			  struct zrx_error *error)
{
	struct zrx_ethtool_rings rings;
	int result;

	memset(settings, 0, sizeof(*settings));
	result = zrx_nic_split_read(device, &rings, error);
	if (result)
		return result;
	settings->split = rings.split;
	settings->has_thresh = rings.has_thresh;
	settings->thresh = rings.thresh;
	result = plan_feature(device, ZRX_NIC_NTUPLE, &settings->ntuple);
	if (!result)
		result = plan_feature(device, ZRX_NIC_HW_GRO, &settings->hw_gro);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_NIC, NULL,
				     "%s: features cannot be read: %s", device->name,
				     strerror(-result));
	result = device->ops->rss(device, &settings->rss);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_NIC, NULL,
				     "%s: the RSS table cannot be read: %s", device->name,
				     strerror(-result));
	return 0;
}

int zrx_nic_plan_make(const struct zrx_nic_settings *now, const struct zrx_nic_wish *wish,
		      const char *interface, struct zrx_nic_plan *plan, struct zrx_error *error)
{
	char hint[64];
	int moved = zrx_rss_move_away(&now->rss, wish->queue, wish->queue_count, &wish->avoid,
				      &plan->rss);

	plan->queue = wish->queue;
	plan->steps = 0;
	if (moved < 0) {
		snprintf(hint, sizeof(hint), "ethtool -L %s combined %u", interface,
			 wish->queue_count + 1);
		return zrx_error_set(
			error, moved, ZRX_STAGE_NIC, hint,
			"%s: no queue is left for other traffic once queue %u is taken", interface,
			wish->queue);
	}
	if (moved)
		plan->steps |= ZRX_STEP_RSS;
	if (wish->hw_gro && !now->hw_gro)
		plan->steps |= ZRX_STEP_HW_GRO;
	/* Even if it reads as on: that may be the driver's own choice, which binding does not
	 * accept. */
	plan->steps |= ZRX_STEP_SPLIT;
	if (now->has_thresh && now->thresh)
		plan->steps |= ZRX_STEP_THRESH;
	if (wish->ntuple && !now->ntuple)
		plan->steps |= ZRX_STEP_NTUPLE;
	return 0;
}

const char *zrx_nic_step_name(uint32_t step)
{
	switch (step) {
	case ZRX_STEP_RSS:
		return "rss";
	case ZRX_STEP_HW_GRO:
		return "rx-gro-hw";
	case ZRX_STEP_SPLIT:
		return "tcp-data-split";
	case ZRX_STEP_THRESH:
		return "hds-thresh";
	case ZRX_STEP_NTUPLE:
		return "ntuple";
	default:
		return "none";
	}
}

void zrx_nic_step_command(uint32_t step, const struct zrx_nic_plan *plan, const char *interface,
			  char *text, size_t size)
{
	switch (step) {
	case ZRX_STEP_RSS:
		zrx_rss_command(&plan->rss, interface, text, size);
		return;
	case ZRX_STEP_HW_GRO:
		snprintf(text, size, "ethtool -K %s rx-gro-hw on", interface);
		return;
	case ZRX_STEP_SPLIT:
		snprintf(text, size, "ethtool -G %s tcp-data-split on", interface);
		return;
	case ZRX_STEP_THRESH:
		snprintf(text, size, "ethtool -G %s hds-thresh 0", interface);
		return;
	case ZRX_STEP_NTUPLE:
		snprintf(text, size, "ethtool -K %s ntuple on", interface);
		return;
	default:
		text[0] = '\0';
	}
}

uint32_t zrx_nic_choose(const struct zrx_netdev_queue *queues, uint32_t count,
			const struct zrx_queue_set *taken, uint32_t first_queue)
{
	uint32_t best = ZRX_NO_QUEUE;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = queues[i].id;

		if (queues[i].bound || id < first_queue || zrx_queue_set_has(taken, id))
			continue;
		if (best == ZRX_NO_QUEUE || id > best)
			best = id;
	}
	return best;
}
