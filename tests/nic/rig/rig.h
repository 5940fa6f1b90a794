/* SPDX-License-Identifier: MIT */
/* What the tests of this folder share. They run in the NIC rig, which names the interface. */
#ifndef ZRX_TESTS_NIC_RIG_H
#define ZRX_TESTS_NIC_RIG_H

#include "../check.h"
#include "nic/nic.h"
#include "nic/claim/settings.h"
#include "zcrx.h"

#define RIG_PORT 5000

extern const char *rig_interface;

/* The NIC at one time. */
struct snapshot {
	struct zrx_nic_settings settings;
	struct zrx_ethtool_rule_table rules;
	uint32_t contexts; /* additional RSS contexts */
};

void rig_look(struct snapshot *at);
void rig_check_as_before(const struct snapshot *before, const char *what);

/* steer: ZRX_STEER_*; by port: RIG_PORT. */
struct zrx_options rig_options(uint32_t steer);

/* Opens a receiver, or ends the test. */
struct zrx_receiver *rig_open(const struct zrx_options *options, uint32_t *queue);

/* Ends the child's life where it is, and waits for that. */
void rig_kill(int child);

/* In a child: go to the other port's network namespace; 0, or -1. */
int rig_go_to_peer(void);

void test_ports(const struct snapshot *before);
void test_ownership(const struct snapshot *before);
void test_full_table(const struct snapshot *before);
void test_bad_input(const struct snapshot *before);
void test_vanishing_interface(void); /* nothing can follow it */

#endif
