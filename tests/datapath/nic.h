/* SPDX-License-Identifier: MIT */
/* The interface under test: what is set on it, and what an administrator does to it. */
#ifndef DATAPATH_NIC_H
#define DATAPATH_NIC_H

#include <stddef.h>
#include <stdint.h>

#include "netlink/ethtool.h"
#include "nic/claim/settings.h"

struct nic_state {
	struct zrx_nic_settings settings;
	struct zrx_ethtool_rule_table rules;
	uint32_t bound_queues;
};

/* ZRX_RIG_<name>, which the rig has set. */
const char *nic_environment(const char *name);
const char *nic_interface(void);
int nic_is(const char *driver);

/* Move this process to the network namespace of the other port. */
void nic_enter_peer(void);

void nic_look(struct nic_state *state);
/* Every setting is as it was, and no rule or bound queue is left. */
void nic_compare(const struct nic_state *before);

uint32_t nic_queue_count(void);
unsigned nic_queue_napi(uint32_t queue);

/* Of both ports. Waits until the link is up again. */
void nic_set_mtu(int mtu);

/* Addresses stay. */
void nic_set_up(int up);
void nic_rename(const char *from, const char *to);
/* Whether the NIC merges packets; 0 from setting it: the driver cannot. */
int nic_hw_gro(void);
int nic_set_hw_gro(int on);

uint32_t nic_ifindex(void);

/* Descriptors of each receive queue. Returns how many there were. */
uint32_t nic_set_rx_ring(uint32_t entries);

#endif
