/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "nic/claim/port.h"

void zrx_port_flow(uint16_t port, uint32_t index, struct zrx_flow *flow)
{
	zrx_flow_of_port(index ? 6 : 4, port, flow);
}

/* The queue that a rule of ours leads to already, if it is one of these, else the lowest. */
static uint32_t port_queue(const struct zrx_port_state *now, const struct zrx_queue_set *queues)
{
	for (uint32_t i = 0; i < ZRX_PORT_RULES; i++) {
		const struct zrx_port_rule *rule = &now->rules[i];

		if (rule->kind == ZRX_PORT_RULE_OURS && !rule->context &&
		    zrx_queue_set_has(queues, rule->queue))
			return rule->queue;
	}
	return zrx_queue_set_first(queues);
}

static void port_plan_context(const struct zrx_port_state *now, const struct zrx_queue_set *queues,
			      struct zrx_port_plan *plan)
{
	plan->create = !now->context;
	plan->context = plan->create ? now->next_context : now->context;
	plan->rss = now->rss;
	if (plan->create) { /* as if all led to the first: then its flows stay where they can */
		plan->rss.count = now->entries;
		for (uint32_t i = 0; i < plan->rss.count; i++)
			plan->rss.queue[i] = plan->queue;
	}
	zrx_rss_share(&plan->rss, queues);
	plan->share = plan->create || !zrx_rss_equal(&plan->rss, &now->rss);
}

static uint32_t port_rule_changes(const struct zrx_port_rule *rule,
				  const struct zrx_port_plan *plan, int wanted)
{
	int leads = rule->context == plan->context && !plan->create &&
		    (plan->context || rule->queue == plan->queue);

	if (rule->kind == ZRX_PORT_RULE_NONE)
		return wanted ? ZRX_PORT_RULE_ADD : 0;
	if (rule->kind == ZRX_PORT_RULE_FOREIGN || (wanted && leads))
		return 0;
	return ZRX_PORT_RULE_REMOVE | (wanted ? ZRX_PORT_RULE_ADD : 0);
}

void zrx_port_plan_make(const struct zrx_port_state *now, const struct zrx_queue_set *queues,
			int may_create, struct zrx_port_plan *plan)
{
	uint32_t count = zrx_queue_set_count(queues);

	memset(plan, 0, sizeof(*plan));
	plan->port = now->port;
	plan->queue = port_queue(now, queues);
	if (count > 1 && (now->context || may_create))
		port_plan_context(now, queues, plan);
	for (uint32_t i = 0; i < ZRX_PORT_RULES; i++) {
		plan->changes[i] = port_rule_changes(&now->rules[i], plan, count > 0);
		plan->old[i] = now->rules[i];
	}
	memcpy(plan->remove, now->idle, sizeof(now->idle));
	plan->remove_count = now->idle_count;
	if (now->context && now->context != plan->context && plan->remove_count < ZRX_PORT_CONTEXTS)
		plan->remove[plan->remove_count++] = now->context;
}

int zrx_port_plan_is_empty(const struct zrx_port_plan *plan)
{
	for (uint32_t i = 0; i < ZRX_PORT_RULES; i++)
		if (plan->changes[i])
			return 0;
	return !plan->share && !plan->remove_count;
}

static void port_context_command(const struct zrx_port_plan *plan, const char *interface,
				 char *text, size_t size)
{
	size_t length;

	zrx_rss_command(&plan->rss, interface, text, size);
	length = strlen(text);
	if (plan->create)
		snprintf(text + length, size - length, " context new");
	else
		snprintf(text + length, size - length, " context %u", plan->context);
}

static void port_rule_command(const struct zrx_port_plan *plan, uint32_t index,
			      const char *interface, char *text, size_t size)
{
	struct zrx_flow flow;
	size_t length = 0;

	if (plan->changes[index] & ZRX_PORT_RULE_REMOVE)
		length = (size_t)snprintf(text, size, "ethtool -N %s delete %u && ", interface,
					  plan->old[index].location);
	zrx_port_flow(plan->port, index, &flow);
	zrx_flow_command(&flow, interface, plan->queue, plan->context, text + length,
			 size - length);
}

int zrx_port_plan_step(const struct zrx_port_plan *plan, uint32_t step, const char *interface,
		       const char **setting, char *text, size_t size)
{
	for (uint32_t place = 0; place < ZRX_PORT_STEPS; place++) {
		uint32_t taken = place ? plan->changes[place - 1] & ZRX_PORT_RULE_ADD : plan->share;

		if (!taken || step--)
			continue;
		*setting = place ? "rule" : "rss-context";
		if (place)
			port_rule_command(plan, place - 1, interface, text, size);
		else
			port_context_command(plan, interface, text, size);
		return 1;
	}
	return 0;
}
