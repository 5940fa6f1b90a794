/* SPDX-License-Identifier: MIT */
/* Flow rules of a claim's connections: counted, set, read back, removed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "nic/claim/claim.h"
#include "nic/claim/rule.h"

/*
 * Whether the driver chooses the place of a rule, asked once. If not, the rules are listed before
 * each change: to find a free place, and because a rule that is not there may not be asked for.
 */
static int steer_learn(struct zrx_claim *claim)
{
	struct zrx_ethtool_rule_table *table;
	int result = 0;

	if (claim->placing)
		return 0;
	table = malloc(sizeof(*table));
	result = table ? claim->device->ops->rules(claim->device, table) : -ENOMEM;
	if (result == -EOVERFLOW) /* more than are listed: count them as full where that matters */
		result = 0;
	if (!result)
		claim->placing = table->any ? ZRX_PLACING_DRIVER : ZRX_PLACING_OURS;
	free(table);
	return result;
}

static int steer_list(struct zrx_claim *claim, struct zrx_ethtool_rule_table **table)
{
	int result;

	*table = NULL;
	if (claim->placing == ZRX_PLACING_DRIVER)
		return 0;
	*table = malloc(sizeof(**table));
	result = *table ? claim->device->ops->rules(claim->device, *table) : -ENOMEM;
	if (result) {
		free(*table);
		*table = NULL;
	}
	return result;
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

/* table: as listed before the rule was added; NULL where the driver chooses places. */
static int steer_read_back(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t location,
			   struct zrx_ethtool_rule_table *table)
{
	struct zrx_nic_device *device = claim->device;
	struct ethtool_rx_flow_spec found;
	int result = 0;

	if (table && !table->count) { /* is there one to ask for now? */
		result = device->ops->rules(device, table);
		if (!result && !table->count)
			result = -EIO;
	}
	if (!result)
		result = device->ops->rule(device, location, &found, NULL);
	if (!result && !zrx_flow_is_rule(flow, claim->queue, &found))
		result = -EIO;
	return result;
}

static int steer_insert(struct zrx_claim *claim, struct zrx_claim_rule *rule,
			struct zrx_ethtool_rule_table *table)
{
	struct ethtool_rx_flow_spec spec;
	int result;

	zrx_flow_rule(&rule->flow, claim->queue, &spec);
	spec.location = rule->location;
	result = claim->device->ops->rule_add(claim->device, &spec, 0);
	if (result)
		return result;
	rule->location = spec.location;
	return steer_read_back(claim, &rule->flow, rule->location, table);
}

/*
 * After a refusal: some drivers have set the rule nevertheless. It stays in the journal unless it
 * is known to be removed. After -EEXIST the rule is somebody else's, and stays.
 */
static void steer_withdraw(struct zrx_claim *claim, struct zrx_claim_rule *rule, uint32_t number,
			   int code)
{
	struct zrx_ethtool_rule_table *table = code == -EEXIST ? NULL : malloc(sizeof(*table));
	const struct zrx_rule_target target = {&rule->flow, claim->queue, 0};
	int result = code == -EEXIST ? 0 : -ENOMEM;

	if (table)
		result = claim->device->ops->rules(claim->device, table);
	if (table && !result)
		result =
			rule->location == RX_CLS_LOC_ANY
				? zrx_rule_remove_anywhere(claim->device, table, &rule->flow,
							   claim->queue)
				: zrx_rule_remove_at(claim->device, table, &target, rule->location);
	free(table);
	rule->stuck =
		(result && result != -EOPNOTSUPP) || zrx_journal_rule_gone(&claim->file, number);
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

static int steer_write(struct zrx_claim *claim, uint32_t number, struct zrx_error *error)
{
	const struct zrx_claim_rule *rule = &claim->rules[number];
	int result = zrx_journal_rule(&claim->file, number, &rule->flow, rule->location);

	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_NIC, "make /run writable",
				     "%s: the journal cannot be written: %s", claim->device->name,
				     strerror(-result));
	if (number == claim->rule_count)
		claim->rule_count++;
	return 0;
}

static int steer_new(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *number,
		     struct zrx_ethtool_rule_table *table, struct zrx_error *error)
{
	struct zrx_claim_rule *rule;
	int slot = steer_slot(claim), result;

	if (slot < 0)
		return zrx_error_set(error, slot, ZRX_STAGE_NIC, NULL, "out of memory");
	*number = (uint32_t)slot;
	rule = &claim->rules[slot];
	rule->flow = *flow;
	rule->location = RX_CLS_LOC_ANY;
	result = table ? zrx_rule_place(table, &rule->location) : 0;
	if (result)
		return steer_refused(claim, flow, result, error);
	result = steer_write(claim, *number, error);
	if (result)
		return result;
	result = steer_insert(claim, rule, table);
	if (result) {
		steer_withdraw(claim, rule, *number, result);
		return steer_refused(claim, flow, zrx_rule_refusal(claim->device, result), error);
	}
	if (!table) /* if this line is lost, the sweep finds the rule by its content */
		zrx_journal_rule_at(&claim->file, *number, rule->location);
	rule->uses = 1;
	return 0;
}

/*
 * Where the driver chooses places, that is all it takes. Where it does not, no other claim may
 * look for a free place meanwhile: some drivers replace what is there without a word.
 */
static int steer_placed(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *number,
			struct zrx_error *error)
{
	struct zrx_ethtool_rule_table *table = NULL;
	int lock = -1, result = steer_learn(claim);

	if (!result && claim->placing == ZRX_PLACING_OURS) {
		lock = zrx_claim_lock(claim, error);
		if (lock < 0)
			return lock;
		result = steer_list(claim, &table);
	}
	result = result ? steer_refused(claim, flow, result, error)
			: steer_new(claim, flow, number, table, error);
	free(table);
	zrx_journal_unlock(lock);
	return result;
}

int zrx_claim_steer(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *rule,
		    struct zrx_error *error)
{
	for (uint32_t i = 0; i < claim->rule_count; i++) {
		if (claim->rules[i].uses && zrx_flow_equal(&claim->rules[i].flow, flow)) {
			claim->rules[i].uses++;
			*rule = i;
			return 0;
		}
	}
	return steer_placed(claim, flow, rule, error);
}

void zrx_claim_unsteer(struct zrx_claim *claim, uint32_t rule)
{
	struct zrx_ethtool_rule_table *table;
	struct zrx_rule_target target;
	struct zrx_claim_rule *found;
	int result;

	if (rule >= claim->rule_count || !claim->rules[rule].uses)
		return;
	found = &claim->rules[rule];
	if (--found->uses)
		return;
	target = (struct zrx_rule_target){&found->flow, claim->queue, 0};
	result = steer_list(claim, &table);
	if (!result)
		result = zrx_rule_remove_at(claim->device, table, &target, found->location);
	free(table);
	if (result)
		found->uses = 1; /* perhaps still there: the drop tries again */
	else
		found->stuck = !!zrx_journal_rule_gone(&claim->file, rule);
}

void zrx_claim_unsteer_all(struct zrx_claim *claim)
{
	struct zrx_ethtool_rule_table *table;

	if (!claim->rule_count || steer_list(claim, &table))
		return; /* the sweep finds them in the journal */
	for (uint32_t i = claim->rule_count; i-- > 0;) {
		const struct zrx_claim_rule *rule = &claim->rules[i];
		const struct zrx_rule_target target = {&rule->flow, claim->queue, 0};

		if (rule->uses)
			zrx_rule_remove_at(claim->device, table, &target, rule->location);
	}
	free(table);
}
