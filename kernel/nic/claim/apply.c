/* SPDX-License-Identifier: MIT */
/* Taking the steps of a plan, and putting settings back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "nic/claim/settings.h"

/* ---- read back ---- */

/* The setting was accepted, or never made, but is not what it should be. */
#define APPLY_OTHERWISE (-EBADMSG)

static int apply_split_is(struct zrx_nic_device *device, uint32_t split)
{
	struct zrx_ethtool_rings rings;
	int result = device->ops->rings(device, &rings);

	return result ? result : rings.split == split ? 0 : APPLY_OTHERWISE;
}

static int apply_thresh_is(struct zrx_nic_device *device, uint32_t thresh)
{
	struct zrx_ethtool_rings rings;
	int result = device->ops->rings(device, &rings);

	return result ? result : rings.thresh == thresh ? 0 : APPLY_OTHERWISE;
}

static int apply_feature_set(struct zrx_nic_device *device, const char *feature, int on)
{
	uint32_t state;
	int result = device->ops->feature_set(device, feature, on);

	if (!result)
		result = device->ops->feature(device, feature, &state);
	return result ? result : !!(state & ZRX_FEATURE_STATE_ON) == on ? 0 : APPLY_OTHERWISE;
}

static int apply_rss_is(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss)
{
	struct zrx_ethtool_rss *now = malloc(sizeof(*now));
	int result = -ENOMEM;

	if (now)
		result = device->ops->rss(device, now);
	if (!result && !zrx_rss_equal(now, rss))
		result = APPLY_OTHERWISE;
	free(now);
	return result;
}

static int apply_rss_set(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss)
{
	int result = device->ops->rss_set(device, rss);

	return result ? result : apply_rss_is(device, rss);
}

/* ---- apply ---- */

static int apply_step(struct zrx_nic_device *device, uint32_t step, const struct zrx_nic_plan *plan,
		      uint32_t *changed)
{
	int result;

	*changed = 1;

	switch (step) {
	case ZRX_STEP_RSS:
		return apply_rss_set(device, &plan->rss);
	case ZRX_STEP_HW_GRO:
		return apply_feature_set(device, ZRX_NIC_HW_GRO, 1);
	case ZRX_STEP_SPLIT:
		result = device->ops->split_set(device, ZRX_SPLIT_ON, changed);
		return result ? result : apply_split_is(device, ZRX_SPLIT_ON);
	case ZRX_STEP_THRESH:
		result = device->ops->thresh_set(device, 0);
		return result ? result : apply_thresh_is(device, 0);
	default:
		return apply_feature_set(device, ZRX_NIC_NTUPLE, 1);
	}
}

/* What to do about a step that the driver refuses: its command only helps where it can be taken. */
static void apply_way_out(uint32_t step, int code, const struct zrx_nic_plan *plan,
			  const char *interface, char *text, size_t size)
{
	int lacks_split = step == ZRX_STEP_SPLIT || step == ZRX_STEP_THRESH;

	if (code == -EOPNOTSUPP && lacks_split)
		snprintf(text, size,
			 "use engine multishot, or a NIC that can split headers from data");
	else if (code == -EOPNOTSUPP && step == ZRX_STEP_NTUPLE)
		snprintf(text, size,
			 "lead the flows to the queue by other means (ZRX_STEER_NONE), or use "
			 "engine multishot");
	else if (code == -ENODEV)
		snprintf(text, size, "it has vanished: ip -br link lists what is there");
	else
		zrx_nic_step_command(step, plan, interface, text, size);
}

static int apply_refused(struct zrx_nic_device *device, uint32_t step, int code,
			 const struct zrx_nic_plan *plan, struct zrx_error *error)
{
	char text[128], hint[200];

	/* The undo that follows asks the kernel again. */
	memcpy(text, device->kernel_text, sizeof(text));
	apply_way_out(step, code, plan, device->name, hint, sizeof(hint));
	if (code == -EPERM)
		zrx_error_set(error, code, ZRX_STAGE_NIC,
			      "run with CAP_NET_ADMIN, or have an "
			      "administrator prepare the NIC (ZRX_NIC_PREPARED)",
			      "%s: %s cannot be set: no CAP_NET_ADMIN", device->name,
			      zrx_nic_step_name(step));
	else
		zrx_error_set(error, code, ZRX_STAGE_NIC, hint, "%s: %s cannot be set: %s",
			      device->name, zrx_nic_step_name(step),
			      code == APPLY_OTHERWISE ? "it reads back otherwise"
						      : strerror(-code));
	zrx_error_kernel_text(error, text);
	return code;
}

int zrx_nic_plan_apply(struct zrx_nic_device *device, const struct zrx_nic_settings *before,
		       const struct zrx_nic_plan *plan, zrx_nic_note note, void *context,
		       uint32_t *left, struct zrx_error *error)
{
	uint32_t taken = 0, changed;
	int result = 0;

	*left = 0;
	for (uint32_t i = 0; !result && i < ZRX_STEPS; i++) {
		uint32_t step = plan->steps & 1u << i;

		if (!step)
			continue;
		result = note(context, step, 0);
		if (result) {
			zrx_error_set(error, result, ZRX_STAGE_NIC,
				      "make /run writable, or prepare the NIC by hand",
				      "%s: the journal cannot be written: %s", device->name,
				      strerror(-result));
			break;
		}
		taken |= step; /* one that fails may have done its work nevertheless */
		result = apply_step(device, step, plan, &changed);
		if (result)
			apply_refused(device, step, result, plan, error);
		if (!result && !changed) {
			taken &= ~step;
			note(context, step, 1);
		}
	}
	if (result)
		*left = zrx_nic_settings_undo(device, before, plan->queue, taken, NULL);
	return result;
}

/* ---- undo ---- */

static int apply_undo_rss(struct zrx_nic_device *device, const struct zrx_ethtool_rss *before,
			  uint32_t queue)
{
	struct zrx_ethtool_rss *now = malloc(sizeof(*now));
	int result = -ENOMEM, foreign = 0;

	if (now)
		result = device->ops->rss(device, now);
	if (!result)
		foreign = !zrx_rss_is_moved(before, now, queue);
	free(now);
	if (result || foreign)
		return result;
	/* A table that was never set by anybody follows the number of channels: make it so again.
	 */
	if (zrx_rss_is_default(before) && !device->ops->rss_set(device, NULL) &&
	    !apply_rss_is(device, before))
		return 0;
	result = apply_rss_set(device, before);
	/* The queues that it names may be gone meanwhile (ethtool -L). */
	return result == -EINVAL ? device->ops->rss_set(device, NULL) : result;
}

/* What reads as on or off may have been the driver's choice: that is tried first. */
static int apply_undo_split(struct zrx_nic_device *device, uint32_t before)
{
	struct zrx_ethtool_rings rings;
	int result = device->ops->rings(device, &rings);
	uint32_t changed;

	if (result || rings.split != ZRX_SPLIT_ON)
		return result;
	result = device->ops->split_set(device, ZRX_SPLIT_UNKNOWN, &changed);
	if (!result)
		result = apply_split_is(device, before);
	if (!result || (result == -EOPNOTSUPP && before == ZRX_SPLIT_ON))
		return 0; /* as it was; or it could not be set in the first place */
	if (result != APPLY_OTHERWISE || before == ZRX_SPLIT_UNKNOWN)
		return result;
	result = device->ops->split_set(device, before, &changed);
	return result ? result : apply_split_is(device, before);
}

static int apply_undo_thresh(struct zrx_nic_device *device, uint32_t before)
{
	int result = apply_thresh_is(device, 0);

	if (result)
		return result == APPLY_OTHERWISE ? 0 : result;
	result = device->ops->thresh_set(device, before);
	return result ? result : apply_thresh_is(device, before);
}

/* Turning ntuple off deletes every rule: not while somebody else has some. */
static int apply_undo_ntuple(struct zrx_nic_device *device)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	uint32_t count = 0;
	int result = -ENOMEM;

	if (table) {
		result = device->ops->rules(device, table);
		count = table->count;
	}
	free(table);
	if (result && result != -EOPNOTSUPP)
		return result;
	return count ? 0 : apply_feature_set(device, ZRX_NIC_NTUPLE, 0);
}

static int apply_undo_step(struct zrx_nic_device *device, uint32_t step,
			   const struct zrx_nic_settings *before, uint32_t queue)
{
	switch (step) {
	case ZRX_STEP_RSS:
		return apply_undo_rss(device, &before->rss, queue);
	case ZRX_STEP_HW_GRO:
		return apply_feature_set(device, ZRX_NIC_HW_GRO, (int)before->hw_gro);
	case ZRX_STEP_SPLIT:
		return apply_undo_split(device, before->split);
	case ZRX_STEP_THRESH:
		return apply_undo_thresh(device, before->thresh);
	default:
		return before->ntuple ? 0 : apply_undo_ntuple(device);
	}
}

uint32_t zrx_nic_settings_undo(struct zrx_nic_device *device, const struct zrx_nic_settings *before,
			       uint32_t queue, uint32_t steps, struct zrx_error *error)
{
	uint32_t left = 0;

	for (uint32_t i = ZRX_STEPS; i-- > 0;) {
		uint32_t step = steps & 1u << i;
		int result = step ? apply_undo_step(device, step, before, queue) : 0;

		if (!result)
			continue;
		if (!left) {
			zrx_error_set(error, result, ZRX_STAGE_NIC,
				      "when nothing is bound any more: zcrx nic restore",
				      "%s: %s cannot be put back: %s", device->name,
				      zrx_nic_step_name(step), strerror(-result));
			zrx_error_kernel_text(error, device->kernel_text);
		}
		left |= step;
	}
	return left;
}
