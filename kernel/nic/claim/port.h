/* SPDX-License-Identifier: MIT */
/*
 * How all flows to one local port reach the receivers that share it: by a flow rule for each
 * version of IP, which leads to the queue of the only one, or to an RSS context over the queues of
 * all. Pure: from what the NIC has to what must change.
 */
#ifndef ZRX_KERNEL_NIC_PORT_H
#define ZRX_KERNEL_NIC_PORT_H

#include "nic/claim/flow.h"
#include "nic/claim/rss.h"

#define ZRX_PORT_RULES    2 /* IPv4, IPv6 */
#define ZRX_PORT_CONTEXTS 8 /* left behind, at most as many are removed at a time */

#define ZRX_PORT_RULE_NONE    0u
#define ZRX_PORT_RULE_OURS    1u
#define ZRX_PORT_RULE_FOREIGN 2u /* not set by this library: not to be touched */

struct zrx_port_rule {
	uint32_t kind; /* ZRX_PORT_RULE_* */
	uint32_t location;
	uint32_t context; /* where it leads; 0: to the queue */
	uint32_t queue;
};

/* What the NIC has for a port. */
struct zrx_port_state {
	uint16_t port;
	struct zrx_port_rule rules[ZRX_PORT_RULES];
	uint32_t context;                 /* ours that a rule leads to; 0: none */
	struct zrx_ethtool_rss rss;       /* its table */
	uint32_t entries;                 /* of a context's table; 0: the NIC has no RSS */
	uint32_t next_context;            /* what the kernel will call a new one */
	uint32_t idle[ZRX_PORT_CONTEXTS]; /* ours that no rule leads to */
	uint32_t idle_count;
};

#define ZRX_PORT_RULE_REMOVE (1u << 0)
#define ZRX_PORT_RULE_ADD    (1u << 1)

/* What must change, in this order: the context's table, each rule, then contexts go. */
struct zrx_port_plan {
	uint16_t port;
	uint32_t context; /* where the rules lead; 0: to the queue */
	uint32_t queue;
	uint32_t create; /* the context does not exist yet */
	uint32_t share;  /* its table has to be set */
	struct zrx_ethtool_rss rss;
	uint32_t changes[ZRX_PORT_RULES];         /* ZRX_PORT_RULE_REMOVE, _ADD */
	struct zrx_port_rule old[ZRX_PORT_RULES]; /* what is there */
	uint32_t remove[ZRX_PORT_CONTEXTS];
	uint32_t remove_count;
	uint32_t no_ipv6; /* the driver refused that rule, and none is missing */
};

/*
 * For these queues; none: what was set for the port goes. may_create: two queues or more may get a
 * context if there is none.
 */
void zrx_port_plan_make(const struct zrx_port_state *now, const struct zrx_queue_set *queues,
			int may_create, struct zrx_port_plan *plan);

int zrx_port_plan_is_empty(const struct zrx_port_plan *plan);

/* The flow of a rule by its index. */
void zrx_port_flow(uint16_t port, uint32_t index, struct zrx_flow *flow);

/*
 * The equivalent ethtool line of one step; setting names what it is about ("rule"). Returns 0 when
 * there is no step of that number, from 0.
 */
#define ZRX_PORT_STEPS (1 + ZRX_PORT_RULES)
int zrx_port_plan_step(const struct zrx_port_plan *plan, uint32_t step, const char *interface,
		       const char **setting, char *text, size_t size);

#endif /* ZRX_KERNEL_NIC_PORT_H */
