/* SPDX-License-Identifier: MIT */
/*
 * The settings of a NIC that zero-copy receive depends on and that its queues share: read, planned,
 * applied step by step, undone last step first.
 */
#ifndef ZRX_KERNEL_NIC_SETTINGS_H
#define ZRX_KERNEL_NIC_SETTINGS_H

#include "nic/device.h"
#include "nic/claim/rss.h"

/* Steps, in the order in which they are taken. */
#define ZRX_STEP_RSS    (1u << 0)
#define ZRX_STEP_HW_GRO (1u << 1)
#define ZRX_STEP_SPLIT  (1u << 2)
#define ZRX_STEP_THRESH (1u << 3)
#define ZRX_STEP_NTUPLE (1u << 4)
#define ZRX_STEPS       5

struct zrx_nic_settings {
	uint32_t split; /* ZRX_SPLIT_* */
	uint32_t has_thresh;
	uint32_t thresh;
	uint32_t ntuple; /* on */
	uint32_t hw_gro; /* on */
	struct zrx_ethtool_rss rss;
};

struct zrx_nic_plan {
	uint32_t queue;             /* made ready */
	uint32_t steps;             /* ZRX_STEP_* to take */
	struct zrx_ethtool_rss rss; /* the table after ZRX_STEP_RSS */
};

/* What a plan is made for. */
struct zrx_nic_wish {
	uint32_t queue;
	uint32_t queue_count;
	uint32_t ntuple;            /* flow rules are wanted */
	uint32_t hw_gro;            /* this driver splits only with it */
	struct zrx_queue_set avoid; /* queues that must not inherit traffic */
};

/* Read the ring parameters; error says so where the interface has none. */
int zrx_nic_split_read(struct zrx_nic_device *device, struct zrx_ethtool_rings *rings,
		       struct zrx_error *error);

int zrx_nic_settings_read(struct zrx_nic_device *device, struct zrx_nic_settings *settings,
			  struct zrx_error *error);

/* Pure. -EBUSY: no queue would be left for other traffic. */
int zrx_nic_plan_make(const struct zrx_nic_settings *now, const struct zrx_nic_wish *wish,
		      const char *interface, struct zrx_nic_plan *plan, struct zrx_error *error);

/* "rss", ...: as the journal has it. */
const char *zrx_nic_step_name(uint32_t step);

/* The equivalent ethtool line of one step of a plan. */
void zrx_nic_step_command(uint32_t step, const struct zrx_nic_plan *plan, const char *interface,
			  char *text, size_t size);

/*
 * Called before each step, with kept 0: if it fails, the step is not taken. Called again with kept
 * 1 after a step that changed nothing, which is therefore not to be undone.
 */
typedef int (*zrx_nic_note)(void *context, uint32_t step, int kept);

/*
 * Take the plan's steps, each noted before and read back after. On failure those taken are undone;
 * *left then has the steps (if any) that could not be.
 */
int zrx_nic_plan_apply(struct zrx_nic_device *device, const struct zrx_nic_settings *before,
		       const struct zrx_nic_plan *plan, zrx_nic_note note, void *context,
		       uint32_t *left, struct zrx_error *error);

/*
 * Put back the settings that the steps for this queue changed, last first, unless somebody else has
 * changed them since. Returns the steps that could not be undone; error tells about the first of
 * them.
 */
uint32_t zrx_nic_settings_undo(struct zrx_nic_device *device, const struct zrx_nic_settings *before,
			       uint32_t queue, uint32_t steps, struct zrx_error *error);

/* Which queue to take. */
#define ZRX_NO_QUEUE UINT32_MAX

/*
 * The highest queue that is neither bound nor in taken and not below first_queue: drivers and
 * administrators hand out work from below. ZRX_NO_QUEUE if there is none.
 */
uint32_t zrx_nic_choose(const struct zrx_netdev_queue *queues, uint32_t count,
			const struct zrx_queue_set *taken, uint32_t first_queue);

#endif /* ZRX_KERNEL_NIC_SETTINGS_H */
