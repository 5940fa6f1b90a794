/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "nic/claim/settings.h"
#include "nic/claim/claim.h"
#include "nic/explain.h"
#include "nic/holder.h"
#include "nic/quirks.h"

/* Everything that taking a claim looks at before it changes anything. */
struct claim_view {
	struct zrx_queue_set taken; /* by live claims */
	struct zrx_nic_settings before;
	struct zrx_nic_plan plan;
	struct zrx_nic_wish wish;
	uint32_t first_queue;
	uint32_t queue_count;
	struct zrx_netdev_queue queues[ZRX_NETDEV_QUEUES];
};

static int claim_look_at_queues(struct zrx_nic_device *device, struct claim_view *view,
				struct zrx_error *error)
{
	int count = device->ops->queues(device, view->queues, ZRX_NETDEV_QUEUES);
	struct zrx_ethtool_driver driver;
	const struct zrx_nic_quirk *quirk;
	uint32_t xdp;
	char hint[64];

	if (count < 0)
		return zrx_error_set(error, count, ZRX_STAGE_NIC,
				     count == -EOPNOTSUPP ? "boot Linux 6.15 or newer" : NULL,
				     "%s: the kernel does not list queues: %s", device->name,
				     strerror(-count));
	snprintf(hint, sizeof(hint), "ip link set dev %s up", device->name);
	if (!count)
		return zrx_error_set(error, -ENETDOWN, ZRX_STAGE_NIC, hint, "%s is down",
				     device->name);
	if (!device->ops->xdp(device, &xdp) && xdp)
		return zrx_nic_explain_xdp(device->name, -EEXIST, error);
	view->queue_count = (uint32_t)count;
	if (!device->ops->driver(device, &driver) && (quirk = zrx_nic_quirk_find(driver.driver))) {
		view->first_queue = quirk->first_queue;
		view->wish.hw_gro = quirk->needs_hw_gro;
	}
	return 0;
}

/* directory < 0: nobody has ever claimed anything. */
static int claim_look_at_others(struct zrx_nic_device *device, int directory, uint64_t net_space,
				struct claim_view *view)
{
	struct zrx_journal_entry *entries;
	int count;

	if (directory < 0)
		return 0;
	count = zrx_journal_list(directory, net_space, device->ifindex, &entries);
	for (int i = 0; i < count; i++)
		if (!entries[i].state && zrx_journal_alive(&entries[i].journal))
			zrx_queue_set_add(&view->taken, entries[i].journal.queue);
	if (count > 0)
		zrx_journal_list_free(entries, count);
	return count < 0 ? count : 0;
}

static int claim_check_queue(struct zrx_nic_device *device, int directory, struct claim_view *view,
			     uint32_t queue, struct zrx_error *error)
{
	char holder[64];

	if (queue >= view->queue_count || queue < view->first_queue)
		return zrx_nic_explain_device(device, queue, ERANGE, 0, error);
	if (zrx_queue_set_has(&view->taken, queue)) {
		zrx_nic_holder_of_claim(directory, device->ifindex, queue, holder, sizeof(holder));
		return zrx_error_set(error, -EEXIST, ZRX_STAGE_QUEUE,
				     "choose another queue, or none (a free one is found)",
				     "%s: queue %u is claimed by %s", device->name, queue,
				     holder[0] ? holder : "another receiver or set-up");
	}
	/* A ring that has just been closed lets its queue go a little later. */
	if (view->queues[queue].bound & ZRX_BOUND_IO_URING &&
	    zrx_claim_wait_unbound(device, queue, ZRX_UNBIND_OTHER_MS))
		return zrx_nic_explain_device(device, queue, EEXIST, 0, error);
	if (view->queues[queue].bound & ~ZRX_BOUND_IO_URING)
		return zrx_nic_explain_device(device, queue, EBUSY, 0, error);
	return 0;
}

static void claim_add_rule(struct zrx_nic_device *device, uint32_t location,
			   struct zrx_queue_set *set)
{
	struct zrx_ethtool_rss *table;
	struct ethtool_rx_flow_spec rule;
	uint32_t context;

	if (device->ops->rule(device, location, &rule, &context))
		return;
	if (!context && rule.ring_cookie < ZRX_NETDEV_QUEUES)
		zrx_queue_set_add(set, (uint32_t)rule.ring_cookie);
	table = context ? malloc(sizeof(*table)) : NULL;
	if (table && !device->ops->context(device, context, table))
		for (uint32_t i = 0; i < table->count; i++)
			zrx_queue_set_add(set, table->queue[i]);
	free(table);
}

/* Whatever cannot be read leads nowhere that is known. */
static void claim_look_at_rules(struct zrx_nic_device *device, struct zrx_queue_set *set)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));

	if (table && !device->ops->rules(device, table))
		for (uint32_t i = 0; i < table->count; i++)
			claim_add_rule(device, table->location[i], set);
	free(table);
}

/* Not one to which flow rules lead: the sockets that they are for could not be read any more. */
static uint32_t claim_free_queue(struct zrx_nic_device *device, const struct claim_view *view)
{
	struct zrx_queue_set used = view->taken;

	claim_look_at_rules(device, &used);
	return zrx_nic_choose(view->queues, view->queue_count, &used, view->first_queue);
}

static int claim_choose(struct zrx_nic_device *device, int directory,
			const struct zrx_options *options, struct claim_view *view,
			struct zrx_error *error)
{
	char hint[64];
	int result;

	if (options->flags & ZRX_QUEUE) {
		result = claim_check_queue(device, directory, view, options->queue, error);
		if (result)
			return result;
		view->wish.queue = options->queue;
	} else {
		view->wish.queue = claim_free_queue(device, view);
		snprintf(hint, sizeof(hint), "ethtool -L %s combined %u", device->name,
			 view->queue_count + 1);
		if (view->wish.queue == ZRX_NO_QUEUE)
			return zrx_error_set(error, -EBUSY, ZRX_STAGE_QUEUE, hint,
					     "%s: none of its %u receive queues is free",
					     device->name, view->queue_count);
	}
	view->wish.queue_count = view->queue_count;
	view->wish.ntuple = options->steer != ZRX_STEER_NONE;
	view->wish.avoid = view->taken;
	for (uint32_t i = 0; i < view->queue_count; i++)
		if (view->queues[i].bound)
			zrx_queue_set_add(&view->wish.avoid, view->queues[i].id);
	return 0;
}

static int claim_look(struct zrx_nic_device *device, int directory, uint64_t net_space,
		      const struct zrx_options *options, struct claim_view *view,
		      struct zrx_error *error)
{
	int result = claim_look_at_queues(device, view, error);

	if (result)
		return result;
	result = claim_look_at_others(device, directory, net_space, view);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_NIC, NULL, "%s: journals: %s",
				     ZRX_JOURNAL_DIRECTORY, strerror(-result));
	result = claim_choose(device, directory, options, view, error);
	if (!result)
		result = zrx_nic_settings_read(device, &view->before, error);
	if (!result)
		result = zrx_nic_plan_make(&view->before, &view->wish, device->name, &view->plan,
					   error);
	return result;
}

static int claim_note(void *context, uint32_t step, int kept)
{
	struct zrx_claim *claim = context;

	return kept ? zrx_journal_kept(&claim->file, step) : zrx_journal_step(&claim->file, step);
}

static int claim_begin(struct zrx_claim *claim, const struct claim_view *view, int persistent,
		       struct zrx_error *error)
{
	struct zrx_journal *journal = calloc(1, sizeof(*journal));
	int result = -ENOMEM;

	if (journal) {
		zrx_owner_self(&journal->owner);
		journal->owner.persistent = (uint32_t)persistent;
		journal->net_space = claim->net_space;
		journal->ifindex = claim->device->ifindex;
		journal->queue = claim->queue;
		journal->before = view->before;
		result = zrx_journal_begin(&claim->file, claim->directory, journal);
	}
	free(journal);
	if (result)
		zrx_error_set(error, result, ZRX_STAGE_NIC,
			      "make /run writable, or prepare the NIC by hand (ZRX_NIC_PREPARED)",
			      "the journal in %s cannot be written: %s", ZRX_JOURNAL_DIRECTORY,
			      strerror(-result));
	return result;
}

static int claim_apply(struct zrx_claim *claim, const struct claim_view *view,
		       struct zrx_error *error)
{
	uint32_t left;
	int result = zrx_nic_plan_apply(claim->device, &view->before, &view->plan, claim_note,
					claim, &left, error);

	if (!result)
		return 0;
	/* What could not be undone now stays in the journal, for the next who tries. */
	if (left)
		zrx_journal_released(&claim->file);
	else
		zrx_journal_remove(claim->directory, claim->file.name);
	zrx_journal_close(&claim->file);
	return result;
}

static int claim_take_locked(struct zrx_claim *claim, const struct zrx_options *options,
			     int persistent, struct zrx_error *error)
{
	struct claim_view *view = calloc(1, sizeof(*view));
	uint32_t alive;
	int result;

	if (!view)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	result = zrx_claim_sweep(claim->device, claim->directory, claim->net_space, &alive, error);
	/* Leftovers that cannot be undone yet do not hinder: their journals stay below ours. */
	if (result != -EUCLEAN) {
		zrx_error_clear(error);
		result = claim_look(claim->device, claim->directory, claim->net_space, options,
				    view, error);
	}
	if (!result) {
		claim->queue = view->wish.queue;
		result = claim_begin(claim, view, persistent, error);
	}
	if (!result)
		result = claim_apply(claim, view, error);
	free(view);
	return result;
}

static const char claim_needs_root[] =
	"run as root, or have an administrator prepare the NIC (ZRX_NIC_PREPARED)";

static int claim_open_directory(const char *path, struct zrx_error *error)
{
	int directory = zrx_journal_directory(path);

	if (directory < 0)
		zrx_error_set(error, directory, ZRX_STAGE_NIC, claim_needs_root,
			      "the journal directory %s cannot be used: %s",
			      path ? path : ZRX_JOURNAL_DIRECTORY, strerror(-directory));
	return directory;
}

int zrx_claim_lock(const struct zrx_claim *claim, struct zrx_error *error)
{
	int lock = zrx_journal_lock(claim->directory, claim->net_space, claim->device->ifindex);

	if (lock < 0)
		zrx_error_set(error, lock, ZRX_STAGE_NIC,
			      lock == -EBUSY ? "try again" : claim_needs_root,
			      "%s: the lock of its set-ups cannot be had: %s", claim->device->name,
			      strerror(-lock));
	return lock;
}

int zrx_claim_take(struct zrx_claim *claim, struct zrx_nic_device *device, const char *directory,
		   const struct zrx_options *options, int persistent, struct zrx_error *error)
{
	struct zrx_ethtool_rings rings;
	int lock, result;

	memset(claim, 0, sizeof(*claim));
	claim->device = device;
	claim->file.fd = -1;
	claim->net_space = zrx_journal_net_space();
	/* An interface that cannot be set up at all leaves no trace, not even a lock file. */
	result = zrx_nic_split_read(device, &rings, error);
	if (result)
		return result;
	claim->directory = claim_open_directory(directory, error);
	if (claim->directory < 0)
		return claim->directory;
	lock = zrx_claim_lock(claim, error);
	result = lock < 0 ? lock : claim_take_locked(claim, options, persistent, error);
	zrx_journal_unlock(lock);
	if (result)
		close(claim->directory);
	return result;
}

int zrx_claim_plan(struct zrx_nic_device *device, const char *directory,
		   const struct zrx_options *options, uint32_t *queue, struct zrx_nic_plan *plan,
		   struct zrx_port_plan *port, struct zrx_error *error)
{
	struct claim_view *view = calloc(1, sizeof(*view));
	int journals = zrx_journal_directory_existing(directory), result;
	struct zrx_ethtool_rings rings;

	if (!view) {
		close(journals);
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	}
	result = zrx_nic_split_read(device, &rings, error);
	if (!result)
		result =
			claim_look(device, journals, zrx_journal_net_space(), options, view, error);
	*queue = view->wish.queue;
	*plan = view->plan;
	memset(port, 0, sizeof(*port));
	if (!result && options->steer == ZRX_STEER_PORT)
		result = zrx_claim_plan_port(device, journals, (uint16_t)options->steer_port,
					     *queue, port, error);
	free(view);
	if (journals >= 0)
		close(journals);
	return result;
}

void zrx_claim_leave(struct zrx_claim *claim)
{
	zrx_journal_close(&claim->file);
	close(claim->directory);
	free(claim->rules);
}

void zrx_claim_retire(struct zrx_claim *claim)
{
	for (uint32_t i = claim->rule_count; i-- > 0;) {
		if (!claim->rules[i].uses)
			continue;
		claim->rules[i].uses = 1;
		zrx_claim_unsteer(claim, i);
	}
	if (claim->port)
		zrx_claim_leave_port(claim);
}

int zrx_claim_drop(struct zrx_claim *claim, struct zrx_error *error)
{
	uint32_t alive;
	int lock, result;

	result = zrx_claim_wait_unbound(claim->device, claim->queue, ZRX_UNBIND_OWN_MS);
	claim->still_bound = result != 0;
	if (result)
		zrx_error_set(error, result, ZRX_STAGE_QUEUE, "zcrx nic restore",
			      "%s: queue %u is still bound after its ring was closed",
			      claim->device->name, claim->queue);
	lock = zrx_claim_lock(claim, result ? NULL : error);
	zrx_claim_unsteer_all(claim);
	/* From here on a sweep undoes this claim. */
	if (zrx_journal_released(&claim->file) && !result)
		result = -EIO;
	if (lock < 0)
		result = lock;
	else if (!result)
		result = zrx_claim_sweep(claim->device, claim->directory, claim->net_space, &alive,
					 error);
	zrx_journal_unlock(lock);
	zrx_claim_leave(claim);
	return result < 0 ? result : 0;
}
