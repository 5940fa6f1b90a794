/* SPDX-License-Identifier: MIT */
/* A NIC that leads each added flow to the queue, and what the probe would say. */
#ifndef SIM_NIC_MODEL_H
#define SIM_NIC_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define SIM_NIC_QUEUE 1

void sim_nic_begin(void);
void sim_nic_check_empty(void); /* no NIC is held, no rule is left */
int sim_nic_leads(void);        /* flows are led to the queue */
uint32_t sim_nic_napi_id(uint32_t queue);

/* From the registration until the kernel has let go of the queue the NIC writes into this memory.
 */
void sim_nic_bind(const void *memory, uint64_t bytes);
const void *sim_nic_bound(void); /* NULL: none */
/* Memory goes back to where it came from: fails if the NIC may write into it. */
void sim_nic_check_unbound(const void *memory, size_t size, const char *why);

#endif
