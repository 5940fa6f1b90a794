/* SPDX-License-Identifier: MIT */
/*
 * A NIC in memory that may be shared between processes. It keeps the rules that the kernel keeps,
 * and fails where it is told to.
 */
#ifndef ZRX_TESTS_NIC_FAKE_NIC_H
#define ZRX_TESTS_NIC_FAKE_NIC_H

#include "nic/device.h"
#include "nic/claim/flow.h"
#include "nic/claim/rss.h"

#define FAKE_QUEUES   8
#define FAKE_RULES    8
#define FAKE_CONTEXTS 4 /* numbered from 1 */

#define FAKE_FAIL_CLEAN 1 /* the call fails and has done nothing */
#define FAKE_FAIL_DONE  2 /* the call fails and has done it */
#define FAKE_LIE        3 /* the call succeeds and has done nothing */
#define FAKE_DIE_BEFORE 4 /* the process exits instead of the call */
#define FAKE_DIE_AFTER  5 /* the process exits after the call */

/* All that set-up can change. */
struct fake_state {
	uint32_t split; /* as set; ZRX_SPLIT_UNKNOWN: the driver's choice */
	uint32_t thresh;
	uint32_t ntuple;
	uint32_t hw_gro;
	struct zrx_ethtool_rss rss;
	uint32_t rule_used[FAKE_RULES];
	struct ethtool_rx_flow_spec rules[FAKE_RULES];
	uint32_t rule_context[FAKE_RULES]; /* of those with FLOW_RSS */
	uint32_t context_used[FAKE_CONTEXTS];
	struct zrx_ethtool_rss contexts[FAKE_CONTEXTS];
};

struct fake_nic {
	struct zrx_nic_device base;
	const char *driver;
	struct fake_state state;
	uint32_t split_default;    /* what the driver's choice reads as */
	uint32_t no_disable;       /* refuses to set split off, as bnxt does */
	uint32_t chooses;          /* takes no rule location */
	uint32_t replaces;         /* takes a rule over another, and one twice, as mlx5 does */
	uint32_t no_contexts;      /* refuses RSS contexts */
	uint32_t no_context_rules; /* refuses rules to them */
	uint32_t no_ipv6;          /* refuses rules for IPv6 */
	uint32_t no_split;         /* its header/data split cannot be set */
	uint32_t no_rings;         /* it has no ring parameters at all */
	uint32_t no_ntuple;        /* its flow rules cannot be turned on */
	uint32_t gone;             /* the interface has vanished: every call fails */
	uint32_t down;
	uint32_t one_poller; /* one NAPI instance serves all queues */
	uint32_t xdp;
	uint32_t mtu;
	uint32_t rx_ring; /* descriptors, as ethtool -g tells */
	uint32_t jumbo_ring;
	uint32_t buf_len;
	uint32_t bound[FAKE_QUEUES];
	uint32_t unbind_after; /* pauses until all queues are unbound; 0: never */
	uint32_t pauses;
	/*
	 * Once, when a context is added: somebody else replaces each rule by one for another flow
	 * (1), or for the same to another queue (2).
	 */
	uint32_t replace_at_context;
	uint32_t crashes; /* what crashes gve of Linux 7.2: asking for a rule while there is none */
	int calls;
	int fail_call; /* the call to fail, from 1; 0: none */
	int fail_how;
};

#define FAKE_FOREIGN_QUEUE 1 /* where replace_at_context leads rules */

/* How many rules there are that lead to it. */
int fake_foreign(const struct fake_nic *fake);

/* In shared memory; free by fake_free. */
struct fake_nic *fake_new(void);
void fake_free(struct fake_nic *fake);

/* 0 if both are the same to the last rule. */
int fake_differs(const struct fake_state *a, const struct fake_state *b);

#endif
