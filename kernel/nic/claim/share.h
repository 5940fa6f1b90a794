/* SPDX-License-Identifier: MIT */
/*
 * Claims that share a port. The rules and the RSS context that lead the port's flows to their
 * queues belong to no single claim. Whenever a claim joins, leaves or is swept, what the NIC has is
 * compared with what the claims in use need, and the difference is changed; an interrupted change
 * is completed by the next claim that does so.
 */
#ifndef ZRX_KERNEL_NIC_SHARE_H
#define ZRX_KERNEL_NIC_SHARE_H

#include "nic/device.h"
#include "nic/claim/journal.h"
#include "nic/claim/port.h"

/* All that the journals say about one port. */
struct zrx_sharers {
	uint16_t port;
	struct zrx_queue_set alive; /* queues of claims in use */
	struct zrx_queue_set all;   /* and of those that were ended, or whose process is gone */
	uint32_t contexts[ZRX_PORT_CONTEXTS];
	uint32_t context_count;
};

/* except: the name of a journal that is passed over; may be NULL. */
void zrx_sharers_find(const struct zrx_journal_entry *entries, int count, uint16_t port,
		      const char *except, struct zrx_sharers *sharers);
void zrx_sharers_know_context(struct zrx_sharers *sharers, uint32_t context);

/*
 * What must change so that queue joins those who share the port. -EEXIST: somebody else's rule has
 * the port.
 */
int zrx_share_plan(struct zrx_nic_device *device, const struct zrx_sharers *others, uint32_t queue,
		   struct zrx_port_plan *plan);

/*
 * Carry out that plan, and read back. sharers: the others and the one that joins; the context is
 * written to its journal before it is made or changed.
 */
int zrx_share_apply(struct zrx_nic_device *device, struct zrx_sharers *sharers,
		    struct zrx_port_plan *plan, struct zrx_journal_file *file);

/* Change rules and contexts to what the sharers in use need; no context is made. */
int zrx_share_settle(struct zrx_nic_device *device, struct zrx_sharers *sharers);

#endif /* ZRX_KERNEL_NIC_SHARE_H */
