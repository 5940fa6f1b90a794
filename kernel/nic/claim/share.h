/* SPDX-License-Identifier: MIT */
/*
 * Claims that share a port. What leads the port's flows to their queues belongs to no single claim:
 * whenever one joins, leaves or is found dead, rules and context are made what the living need. The
 * NIC tells what there is, the journals tell whose it is; so whoever is interrupted, the next one
 * to come completes it.
 */
#ifndef ZRX_KERNEL_NIC_SHARE_H
#define ZRX_KERNEL_NIC_SHARE_H

#include "nic/device.h"
#include "nic/claim/journal.h"
#include "nic/claim/port.h"

/* All that the journals say about one port. */
struct zrx_sharers {
	uint16_t port;
	struct zrx_queue_set alive; /* queues of living claims */
	struct zrx_queue_set all;   /* the dead ones' too */
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
 * Carry out that plan, and read back; sharers: the others and the one who joins, whose journal is
 * told of the context before it is made or changed.
 */
int zrx_share_apply(struct zrx_nic_device *device, struct zrx_sharers *sharers,
		    struct zrx_port_plan *plan, struct zrx_journal_file *file);

/* Make rules and contexts what the living sharers need; nothing new is made but rules. */
int zrx_share_settle(struct zrx_nic_device *device, struct zrx_sharers *sharers);

#endif /* ZRX_KERNEL_NIC_SHARE_H */
