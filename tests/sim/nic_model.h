/* SPDX-License-Identifier: MIT */
/* A NIC that leads each added flow to the queue, and what the probe would say. */
#ifndef SIM_NIC_MODEL_H
#define SIM_NIC_MODEL_H

void sim_nic_begin(void);
void sim_nic_check_empty(void); /* no NIC is held, no rule is left */

#endif
