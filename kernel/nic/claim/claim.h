/* SPDX-License-Identifier: MIT */
/*
 * A claim is the use of one queue of a NIC: settings, flow rules, and the journal of both. Claims
 * on one NIC find each other by their journals. Settings are put back when no claim is in use any
 * more, last claim first: each journal holds the settings that its claim found.
 */
#ifndef ZRX_KERNEL_NIC_CLAIM_H
#define ZRX_KERNEL_NIC_CLAIM_H

#include "nic/device.h"
#include "nic/claim/flow.h"
#include "nic/claim/journal.h"
#include "nic/claim/port.h"

struct zrx_claim_rule {
	struct zrx_flow flow;
	uint32_t location;
	uint32_t uses;
	uint32_t stuck; /* not set, and may not be removed: its number is not used again */
};

/* Who says where a flow rule goes. */
#define ZRX_PLACING_DRIVER 1u
#define ZRX_PLACING_OURS   2u

struct zrx_claim {
	struct zrx_nic_device *device; /* the caller's */
	int directory;
	struct zrx_journal_file file;
	uint32_t queue;
	uint32_t port;        /* that it shares; 0: none */
	uint32_t still_bound; /* found by the drop: the kernel has not let the queue go */
	uint64_t net_space;
	struct zrx_claim_rule *rules; /* index: the number in the journal */
	uint32_t rule_count;
	uint32_t placing; /* ZRX_PLACING_*; 0: not yet asked */
};

/*
 * Claim a queue (with ZRX_QUEUE that of the options, else a free one) and set the NIC up for it.
 * directory NULL: the usual one. persistent: it outlives the process. On failure nothing has
 * changed.
 */
int zrx_claim_take(struct zrx_claim *claim, struct zrx_nic_device *device, const char *directory,
		   const struct zrx_options *options, int persistent, struct zrx_error *error);

/* What zrx_claim_take, and zrx_claim_steer_port if the options name a port, would do: the queue,
 * and the plans. Changes nothing, needs no rights. */
int zrx_claim_plan(struct zrx_nic_device *device, const char *directory,
		   const struct zrx_options *options, uint32_t *queue, struct zrx_nic_plan *plan,
		   struct zrx_port_plan *port, struct zrx_error *error);

/* Lead a flow to the queue. A flow that is led already is only counted. *rule is for
 * zrx_claim_unsteer. */
int zrx_claim_steer(struct zrx_claim *claim, const struct zrx_flow *flow, uint32_t *rule,
		    struct zrx_error *error);
void zrx_claim_unsteer(struct zrx_claim *claim, uint32_t rule);
/* Remove what rules are left, as far as they are still the claim's; the journal keeps them. */
void zrx_claim_unsteer_all(struct zrx_claim *claim);

/*
 * Lead all flows to a local port to the queue, IPv4 and (where the NIC can) IPv6: those that other
 * claims' queues do not take, where they have asked for the same port. Until the claim is dropped.
 */
int zrx_claim_steer_port(struct zrx_claim *claim, uint16_t port, struct zrx_error *error);

/* Lead no flow to the queue any more, by whatever rule. What fails is left to the drop. */
void zrx_claim_retire(struct zrx_claim *claim);

/* Its part of that: leave the port to the other claims. */
void zrx_claim_leave_port(struct zrx_claim *claim);

/* Its part of zrx_claim_plan. directory < 0: nobody has ever claimed anything. */
int zrx_claim_plan_port(struct zrx_nic_device *device, int directory, uint16_t port, uint32_t queue,
			struct zrx_port_plan *plan, struct zrx_error *error);

/* The lock of the NIC's set-ups (zrx_journal_unlock), or -errno. */
int zrx_claim_lock(const struct zrx_claim *claim, struct zrx_error *error);

/* End the claim: wait until the queue is unbound, remove its rules, and put back settings that no
 * other claim needs. */
int zrx_claim_drop(struct zrx_claim *claim, struct zrx_error *error);

/* Free a persistent claim, which stays in force. */
void zrx_claim_leave(struct zrx_claim *claim);

/*
 * How long to wait for the kernel to unbind a queue: of a ring that was closed, which it will do,
 * and of a ring that another process may keep open.
 */
#define ZRX_UNBIND_OWN_MS   10000
#define ZRX_UNBIND_OTHER_MS 2000

/* Wait until the queue is bound to no io_uring; -EBUSY if it stays bound. */
int zrx_claim_wait_unbound(struct zrx_nic_device *device, uint32_t queue, uint32_t timeout_ms);

/*
 * Undo claims on this NIC that were ended, or whose process is gone. The caller holds the lock.
 * Returns how many journals were removed; *alive is how many claims are in use. -EUCLEAN: a journal
 * is damaged; nothing was done.
 */
int zrx_claim_sweep(struct zrx_nic_device *device, int directory, uint64_t net_space,
		    uint32_t *alive, struct zrx_error *error);

#endif /* ZRX_KERNEL_NIC_CLAIM_H */
