/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic/claim/share.h"
#include "nic/claim/rule.h"

#define SHARE_IPV6 1 /* the index of its rule */

void zrx_sharers_know_context(struct zrx_sharers *sharers, uint32_t context)
{
	for (uint32_t i = 0; i < sharers->context_count; i++)
		if (sharers->contexts[i] == context)
			return;
	if (context && sharers->context_count < ZRX_PORT_CONTEXTS)
		sharers->contexts[sharers->context_count++] = context;
}

void zrx_sharers_find(const struct zrx_journal_entry *entries, int count, uint16_t port,
		      const char *except, struct zrx_sharers *sharers)
{
	memset(sharers, 0, sizeof(*sharers));
	sharers->port = port;
	for (int i = 0; i < count; i++) {
		const struct zrx_journal *journal = &entries[i].journal;

		if (entries[i].state || journal->port != port ||
		    (except && !strcmp(entries[i].name, except)))
			continue;
		zrx_queue_set_add(&sharers->all, journal->queue);
		zrx_sharers_know_context(sharers, journal->context);
		if (zrx_journal_alive(journal))
			zrx_queue_set_add(&sharers->alive, journal->queue);
	}
}

/* ---- what the NIC has ---- */

static int share_knows(const struct zrx_sharers *sharers, uint32_t context)
{
	for (uint32_t i = 0; i < sharers->context_count; i++)
		if (sharers->contexts[i] == context)
			return 1;
	return 0;
}

static int share_read_rule(struct zrx_nic_device *device, const struct zrx_sharers *sharers,
			   uint32_t location, struct zrx_port_state *state)
{
	struct ethtool_rx_flow_spec found;
	struct zrx_port_rule rule = {.location = location};
	struct zrx_flow flow;
	int result = device->ops->rule(device, location, &found, &rule.context);

	if (result)
		return result;
	rule.queue = found.ring_cookie < ZRX_NETDEV_QUEUES ? (uint32_t)found.ring_cookie
							   : ZRX_NETDEV_QUEUES;
	rule.kind = (rule.context ? share_knows(sharers, rule.context)
				  : zrx_queue_set_has(&sharers->all, rule.queue))
			    ? ZRX_PORT_RULE_OURS
			    : ZRX_PORT_RULE_FOREIGN;
	for (uint32_t i = 0; i < ZRX_PORT_RULES; i++) {
		zrx_port_flow(sharers->port, i, &flow);
		if (!zrx_flow_is_matched(&flow, &found) ||
		    state->rules[i].kind == ZRX_PORT_RULE_OURS)
			continue;
		state->rules[i] = rule;
		if (rule.kind == ZRX_PORT_RULE_OURS && rule.context)
			state->context = rule.context;
	}
	return 0;
}

static int share_read_rules(struct zrx_nic_device *device, const struct zrx_sharers *sharers,
			    struct zrx_port_state *state)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	int result = table ? device->ops->rules(device, table) : -ENOMEM;

	for (uint32_t i = 0; !result && i < table->count; i++)
		result = share_read_rule(device, sharers, table->location[i], state);
	free(table);
	return result == -EOPNOTSUPP ? 0 : result;
}

/* The table of the context in use, and contexts of ours that were left unused. */
static int share_read_contexts(struct zrx_nic_device *device, const struct zrx_sharers *sharers,
			       struct zrx_port_state *state)
{
	struct zrx_ethtool_rss *rss = malloc(sizeof(*rss));
	int result = rss ? 0 : -ENOMEM;

	if (!result && state->context)
		result = device->ops->context(device, state->context, &state->rss);
	for (uint32_t i = 0; !result && i < sharers->context_count; i++) {
		uint32_t context = sharers->contexts[i];

		if (context == state->context)
			continue;
		result = device->ops->context(device, context, rss);
		/* One that leads elsewhere has got the number of one of ours since. */
		if (!result && zrx_rss_is_within(rss, &sharers->all))
			state->idle[state->idle_count++] = context;
		if (result == -ENOENT || result == -EOPNOTSUPP)
			result = 0;
	}
	free(rss);
	return result;
}

/* What a new context would be. The kernel takes the lowest free number. */
static int share_read_next(struct zrx_nic_device *device, struct zrx_port_state *state)
{
	struct zrx_ethtool_rss *rss = malloc(sizeof(*rss));
	int result = rss ? device->ops->rss(device, rss) : -ENOMEM;

	state->entries = result ? 0 : rss->count;
	while (!result)
		result = device->ops->context(device, ++state->next_context, rss);
	if (result == -EOPNOTSUPP)
		state->entries = 0;
	free(rss);
	return result == -ENOENT || result == -EOPNOTSUPP ? 0 : result;
}

static int share_read(struct zrx_nic_device *device, const struct zrx_sharers *sharers,
		      struct zrx_port_state *state)
{
	int result;

	memset(state, 0, sizeof(*state));
	state->port = sharers->port;
	result = share_read_rules(device, sharers, state);
	return result ? result : share_read_contexts(device, sharers, state);
}

/* ---- what must change ---- */

/* joining: a context may be made, and -EEXIST where somebody else's rule has the port. */
static int share_plan(struct zrx_nic_device *device, const struct zrx_sharers *sharers,
		      const struct zrx_queue_set *queues, int joining, struct zrx_port_plan *plan)
{
	struct zrx_port_state *state = malloc(sizeof(*state));
	int result = state ? share_read(device, sharers, state) : -ENOMEM;

	for (uint32_t i = 0; !result && joining && i < ZRX_PORT_RULES; i++)
		if (state->rules[i].kind == ZRX_PORT_RULE_FOREIGN)
			result = -EEXIST;
	if (!result && joining && !state->context && zrx_queue_set_count(queues) > 1)
		result = share_read_next(device, state);
	if (!result)
		zrx_port_plan_make(state, queues, joining, plan);
	free(state);
	return result;
}

int zrx_share_plan(struct zrx_nic_device *device, const struct zrx_sharers *others, uint32_t queue,
		   struct zrx_port_plan *plan)
{
	struct zrx_queue_set queues = others->alive;

	zrx_queue_set_add(&queues, queue);
	return share_plan(device, others, &queues, 1, plan);
}

/* ---- changing it ---- */

static int share_create(struct zrx_nic_device *device, struct zrx_sharers *sharers,
			struct zrx_port_plan *plan, struct zrx_journal_file *file)
{
	uint32_t context;
	int result;

	if (!plan->rss.count)
		return -EOPNOTSUPP;
	result = zrx_journal_context(file, plan->context);
	if (!result)
		result = device->ops->context_add(device, &plan->rss, &context);
	if (!result && context != plan->context) { /* another process took that number meanwhile */
		plan->context = context;
		zrx_sharers_know_context(sharers, context);
		result = zrx_journal_context(file, context);
	}
	return result;
}

static int share_set_table(struct zrx_nic_device *device, struct zrx_sharers *sharers,
			   struct zrx_port_plan *plan, struct zrx_journal_file *file)
{
	int result = 0;

	if (plan->create)
		return share_create(device, sharers, plan, file);
	if (file)
		result = zrx_journal_context(file, plan->context);
	return result ? result : device->ops->context_set(device, plan->context, &plan->rss);
}

/* Unless it is no longer the one that the plan was made from. */
static int share_remove_rule(struct zrx_nic_device *device, const struct zrx_port_plan *plan,
			     uint32_t index)
{
	struct zrx_ethtool_rule_table *table = malloc(sizeof(*table));
	int result = table ? device->ops->rules(device, table) : -ENOMEM;
	struct zrx_rule_target target;
	struct zrx_flow flow;

	zrx_port_flow(plan->port, index, &flow);
	target = (struct zrx_rule_target){&flow, plan->old[index].queue, plan->old[index].context};
	if (!result)
		result = zrx_rule_remove_at(device, table, &target, plan->old[index].location);
	free(table);
	return result;
}

/* Drivers know a flow only once: the old rule goes first, and its flows are copied for a moment. */
static int share_set_rule(struct zrx_nic_device *device, struct zrx_port_plan *plan, uint32_t index)
{
	struct ethtool_rx_flow_spec rule;
	struct zrx_flow flow;
	int result = 0;

	if (plan->changes[index] & ZRX_PORT_RULE_REMOVE)
		result = share_remove_rule(device, plan, index);
	if (result || !(plan->changes[index] & ZRX_PORT_RULE_ADD))
		return result;
	zrx_port_flow(plan->port, index, &flow);
	zrx_flow_rule(&flow, plan->context ? 0 : plan->queue, &rule);
	result = zrx_rule_add(device, &rule, plan->context);
	if (result != -EOPNOTSUPP || index != SHARE_IPV6)
		return zrx_rule_refusal(device, result);
	plan->no_ipv6 = 1; /* a NIC that classifies IPv4 only is good enough for IPv4 */
	return 0;
}

/* file NULL: the plan creates nothing. */
static int share_change(struct zrx_nic_device *device, struct zrx_sharers *sharers,
			struct zrx_port_plan *plan, struct zrx_journal_file *file)
{
	int result = 0;

	if (plan->share)
		result = share_set_table(device, sharers, plan, file);
	for (uint32_t i = 0; !result && i < ZRX_PORT_RULES; i++)
		result = share_set_rule(device, plan, i);
	for (uint32_t i = 0; !result && i < plan->remove_count; i++) {
		result = device->ops->context_remove(device, plan->remove[i]);
		if (result == -ENOENT)
			result = 0;
	}
	return result;
}

/* Whether another plan would find nothing to do. */
static int share_read_back(struct zrx_nic_device *device, const struct zrx_sharers *sharers,
			   int joining, int no_ipv6)
{
	struct zrx_port_plan *plan = malloc(sizeof(*plan));
	int result = plan ? share_plan(device, sharers, &sharers->alive, joining, plan) : -ENOMEM;

	if (!result && no_ipv6)
		plan->changes[SHARE_IPV6] = 0;
	if (!result && !zrx_port_plan_is_empty(plan))
		result = -EIO;
	free(plan);
	return result;
}

int zrx_share_apply(struct zrx_nic_device *device, struct zrx_sharers *sharers,
		    struct zrx_port_plan *plan, struct zrx_journal_file *file)
{
	int result;

	zrx_sharers_know_context(sharers, plan->context);
	result = share_change(device, sharers, plan, file);
	return result ? result : share_read_back(device, sharers, 1, (int)plan->no_ipv6);
}

int zrx_share_settle(struct zrx_nic_device *device, struct zrx_sharers *sharers)
{
	struct zrx_port_plan *plan = malloc(sizeof(*plan));
	int result = plan ? share_plan(device, sharers, &sharers->alive, 0, plan) : -ENOMEM;

	if (!result && !zrx_port_plan_is_empty(plan)) {
		result = share_change(device, sharers, plan, NULL);
		if (!result)
			result = share_read_back(device, sharers, 0, (int)plan->no_ipv6);
	}
	free(plan);
	return result;
}
