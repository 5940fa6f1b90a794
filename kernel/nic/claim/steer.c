/* SPDX-License-Identifier: MIT */
/* Flow rules: where they go, and those of a claim's connections: counted, found again, removed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "nic/claim/claim.h"
#include "nic/claim/steer.h"

/* The driver's choice if it makes one, else the last free place. */
static int rule_place(struct zrx_nic_device *device, uint32_t *location)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	int result = table ? device->ops->rules(device, table) : -ENOMEM;

	*location = RX_CLS_LOC_ANY;
	if (!result && !table->any) {
		uint32_t place = table->size;

		while (place && zrx_ethtool_lists(table, place - 1))
			place--;
		if (place)
			*location = place - 1;
		else
			result = -ENOSPC;
	}
	free(table);
	return result;
}

int zrx_nic_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
		     uint32_t context)
{
	int result = rule_place(device, &rule->location);

	return result ? result : device->ops->rule_add(device, rule, context);
}

static int steer_refused(const struct zrx_claim *claim, const struct zrx_flow *flow, int code,
			 struct zrx_error *error)
{
	const char *name = claim->device->name;
	char hint[200];

	switch (code) {
	case -EEXIST:
		snprintf(hint, sizeof(hint),
			 "ethtool -n %s shows it, ethtool -N %s delete N removes it", name, name);
		return zrx_error_set(error, code, ZRX_STAGE_NIC, hint,
				     "%s: there is a flow rule for this connection already", name);
	case -ENOSPC:
		return zrx_error_set(error, code, ZRX_STAGE_NIC,
				     "steer by port (ZRX_STEER_PORT), or use fewer connections",
				     "%s: its table of flow rules is full", name);
	default:
		zrx_flow_command(flow, name, claim->queue, 0, hint, sizeof(hint));
		return zrx_error_set(error, code, ZRX_STAGE_NIC, hint,
				     "%s: the driver does not take a flow rule to queue %u: %s",
				     name, claim->queue,
				     code == -EIO ? "it reads back otherwise" : strerror(-code));
	}
}

static int steer_read_back(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t location)
{
	struct zrx_nic_device *device = claim->device;
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	int result = table ? device->ops->rules(device, table) : -ENOMEM;
	struct ethtool_rx_flow_spec found;

	if (!result && !zrx_ethtool_lists(table, location))
		result = -EIO;
	if (!result)
		result = device->ops->rule(device, location, &found, NULL);
	if (!result && !zrx_flow_is_rule(flow, claim->queue, &found))
		result = -EIO;
	free(table);
	return result;
}

static int steer_insert(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *location)
{
	struct ethtool_rx_flow_spec rule;
	int result;

	zrx_flow_rule(flow, claim->queue, &rule);
	result = zrx_nic_rule_add(claim->device, &rule, 0);
	*location = rule.location;
	return result ? result : steer_read_back(claim, flow, rule.location);
}

/* A free slot for a rule, or -ENOMEM. */
static int steer_slot(struct zrx_claim *claim)
{
	struct zrx_claim_rule *rules;
	uint32_t slot = 0;

	while (slot < claim->rule_count && (claim->rules[slot].uses || claim->rules[slot].stuck))
		slot++;
	if (slot < claim->rule_count)
		return (int)slot;
	rules = realloc(claim->rules, (slot + 1ul) * sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	claim->rules = rules;
	memset(&claim->rules[slot], 0, sizeof(claim->rules[slot]));
	return (int)slot;
}

static int steer_new(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *number,
		     struct zrx_error *error)
{
	struct zrx_claim_rule *rule;
	int slot = steer_slot(claim), result;

	if (slot < 0)
		return zrx_error_set(error, slot, ZRX_STAGE_NIC, NULL, "out of memory");
	*number = (uint32_t)slot;
	rule = &claim->rules[slot];
	result = zrx_journal_rule(&claim->file, *number, flow);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_NIC, "make /run writable",
				     "%s: the journal cannot be written: %s", claim->device->name,
				     strerror(-result));
	if (*number == claim->rule_count)
		claim->rule_count++;
	rule->flow = *flow;
	result = steer_insert(claim, flow, &rule->location);
	if (result) {
		/* It may have been taken nevertheless: what is not surely gone stays written. */
		rule->stuck = zrx_claim_remove_rule(claim->device, flow, claim->queue) ||
			      zrx_journal_rule_gone(&claim->file, *number);
		return steer_refused(claim, flow, result, error);
	}
	/* If this line is lost, the sweep finds the rule by its content. */
	zrx_journal_rule_at(&claim->file, *number, rule->location);
	rule->uses = 1;
	return 0;
}

int zrx_claim_steer(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *rule,
		    struct zrx_error *error)
{
	int lock, result;

	for (uint32_t i = 0; i < claim->rule_count; i++) {
		if (claim->rules[i].uses && zrx_flow_equal(&claim->rules[i].flow, flow)) {
			claim->rules[i].uses++;
			*rule = i;
			return 0;
		}
	}
	lock = zrx_claim_lock(claim, error);
	if (lock < 0)
		return lock;
	result = steer_new(claim, flow, rule, error);
	close(lock);
	return result;
}

void zrx_claim_unsteer(struct zrx_claim *claim, uint32_t rule)
{
	struct zrx_claim_rule *found;
	int result;

	if (rule >= claim->rule_count || !claim->rules[rule].uses)
		return;
	found = &claim->rules[rule];
	if (--found->uses)
		return;
	result = claim->device->ops->rule_remove(claim->device, found->location);
	if (result && result != -ENOENT)
		found->uses = 1; /* still there: the drop tries again */
	else
		found->stuck = !!zrx_journal_rule_gone(&claim->file, rule);
}
