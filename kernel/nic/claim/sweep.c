/* SPDX-License-Identifier: MIT */
/* Undoing claims that were ended, or whose process is gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "nic/claim/claim.h"
#include "nic/claim/rule.h"
#include "nic/claim/share.h"

#define SWEEP_WAIT_MS 10u

/*
 * A queue that is not listed is not bound: the interface is down, or gone, or has lost it. Where it
 * cannot be told for now (no memory, a list that changed meanwhile) it counts as bound: who asks
 * may be about to free the memory.
 */
static int queue_is_unbound(struct zrx_nic_device *device, uint32_t queue)
{
	struct zrx_netdev_queue found;
	int result = zrx_nic_device_queue(device, queue, &found);

	if (result)
		return result == -ERANGE || result == -ENODEV || result == -EOPNOTSUPP;
	return !(found.bound & ZRX_BOUND_IO_URING);
}

int zrx_claim_wait_unbound(struct zrx_nic_device *device, uint32_t queue, uint32_t timeout_ms)
{
	for (uint32_t waited = 0; waited <= timeout_ms; waited += SWEEP_WAIT_MS) {
		if (queue_is_unbound(device, queue))
			return 0;
		device->ops->pause_ms(device, SWEEP_WAIT_MS);
	}
	return -EBUSY;
}

static int sweep_rules(struct zrx_nic_device *device, const struct zrx_journal *journal)
{
	struct zrx_ethtool_rule_table *table;
	int result;

	if (!journal->rule_count)
		return 0;
	table = malloc(sizeof(*table));
	result = table ? device->ops->rules(device, table) : -ENOMEM;
	for (uint32_t i = journal->rule_count; !result && i-- > 0;) {
		const struct zrx_journal_rule *rule = &journal->rules[i];
		const struct zrx_rule_target target = {&rule->flow, journal->queue, 0};

		if (rule->gone)
			continue;
		if (rule->located)
			result = zrx_rule_remove_at(device, table, &target, rule->location);
		else /* died while the driver was asked: if it was accepted, it is somewhere */
			result = zrx_rule_remove_anywhere(device, table, &rule->flow,
							  journal->queue);
	}
	free(table);
	return result == -EOPNOTSUPP ? 0 : result;
}

/* Lead the port's flows to the claims in use that share it. */
static int sweep_port(struct zrx_nic_device *device, const struct zrx_journal_entry *entries,
		      int count, uint32_t port)
{
	struct zrx_sharers sharers;

	if (!port)
		return 0;
	zrx_sharers_find(entries, count, (uint16_t)port, NULL, &sharers);
	return zrx_share_settle(device, &sharers);
}

static int sweep_is_dead(const struct zrx_journal_entry *entry)
{
	return entry->state || !zrx_journal_alive(&entry->journal);
}

/* A reboot has undone everything; a journal that ends before its first change has nothing to undo.
 */
static int sweep_is_void(const struct zrx_journal_entry *entry)
{
	return entry->state == -EAGAIN || !zrx_owner_same_boot(&entry->journal.owner);
}

static int sweep_damaged(const struct zrx_journal_entry *entries, int count, const char *interface,
			 struct zrx_error *error)
{
	for (int i = 0; i < count; i++)
		if (entries[i].state && entries[i].state != -EAGAIN)
			return zrx_error_set(
				error, -EUCLEAN, ZRX_STAGE_NIC,
				"look what it says, set the NIC right by hand, delete the file",
				"%s: the journal " ZRX_JOURNAL_DIRECTORY "/%s is damaged",
				interface, entries[i].name);
	return 0;
}

/* entries[at] */
static int sweep_one(struct zrx_nic_device *device, int directory,
		     const struct zrx_journal_entry *entries, int count, int at, uint32_t alive,
		     struct zrx_error *error)
{
	const struct zrx_journal_entry *entry = &entries[at];
	const struct zrx_journal *journal = &entry->journal;
	int result;

	if (!sweep_is_void(entry)) {
		/* The kernel unbinds the queue of a process some time after its end. */
		if (zrx_claim_wait_unbound(device, journal->queue, ZRX_UNBIND_OTHER_MS))
			return zrx_error_set(
				error, -EBUSY, ZRX_STAGE_NIC, "stop the program that uses it",
				"%s: queue %u is still bound", device->name, journal->queue);
		result = sweep_rules(device, journal);
		if (!result)
			result = sweep_port(device, entries, count, journal->port);
		if (result)
			return zrx_error_set(error, result, ZRX_STAGE_NIC,
					     "ethtool -n, ethtool -N delete",
					     "%s: flow rules that were left cannot be removed: %s",
					     device->name, strerror(-result));
		if (alive && journal->steps)
			return 0;
		if (zrx_nic_settings_undo(device, &journal->before, journal->queue, journal->steps,
					  error))
			return -EBUSY;
	}
	result = zrx_journal_remove(directory, entry->name);
	return result ? result : 1;
}

int zrx_claim_sweep(struct zrx_nic_device *device, int directory, uint64_t net_space,
		    uint32_t *alive, struct zrx_error *error)
{
	struct zrx_journal_entry *entries;
	int count = zrx_journal_list(directory, net_space, device->ifindex, &entries);
	int result, swept = 0;

	*alive = 0;
	if (count < 0)
		return zrx_error_set(error, count, ZRX_STAGE_NIC, NULL, "%s: journals: %s",
				     ZRX_JOURNAL_DIRECTORY, strerror(-count));
	result = sweep_damaged(entries, count, device->name, error);
	for (int i = 0; i < count; i++)
		*alive += !sweep_is_dead(&entries[i]);
	for (int i = count; !result && i-- > 0;) {
		if (!sweep_is_dead(&entries[i]))
			continue;
		result = sweep_one(device, directory, entries, count, i, *alive, error);
		if (result > 0) {
			swept++;
			result = 0;
		}
	}
	zrx_journal_list_free(entries, count);
	return result ? result : swept;
}
