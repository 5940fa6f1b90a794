/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "error.h"
#include "nic/demand.h"
#include "nic/nic.h"
#include "nic_model.h"
#include "probe/probe.h"
#include "sim.h"
#include "tcp_model.h"
#include "uring.h"

struct zrx_nic {
	uint32_t held;
	uint32_t retired;
	const uint8_t *bound; /* the memory that its queue writes into; NULL: none */
	uint64_t bytes;
	uint32_t rules;
};

static struct zrx_nic the_nic;

void sim_nic_begin(void)
{
	the_nic = (struct zrx_nic){0};
}

void sim_nic_check_empty(void)
{
	if (the_nic.held)
		sim_fail("the NIC was not released");
}

int zrx_nic_acquire(struct zrx_nic **nic, const struct zrx_options *options, uint32_t *ifindex,
		    uint32_t *queue, struct zrx_error *error)
{
	(void)options;
	if (sim_chance(sim.kernel.short_memory))
		return zrx_error_set(error, -EBUSY, ZRX_STAGE_NIC, NULL,
				     "the simulated NIC is busy");
	the_nic.held = 1;
	*nic = &the_nic;
	*ifindex = 7;
	*queue = SIM_NIC_QUEUE;
	return 0;
}

int zrx_nic_bound(struct zrx_nic *nic, struct zrx_error *error)
{
	(void)nic;
	if (sim_chance(sim.kernel.short_memory))
		return zrx_error_set(error, -EIO, ZRX_STAGE_NIC, NULL,
				     "the simulated queue is not bound");
	return 0;
}

int zrx_nic_admit(struct zrx_nic *nic, int fd, struct zrx_error *error)
{
	(void)nic;
	(void)fd;
	if (sim_chance(sim.kernel.short_memory))
		return zrx_error_set(error, -EXDEV, ZRX_STAGE_SOCKET, NULL,
				     "the simulated socket arrives at another queue");
	return 0;
}

int zrx_nic_steer_add(struct zrx_nic *nic, int fd, uint32_t *rule, struct zrx_error *error)
{
	struct sim_socket *socket = sim_fd_object(fd, SIM_FD_SOCKET);

	if (sim_chance(sim.kernel.short_memory))
		return zrx_error_set(error, -ENOSPC, ZRX_STAGE_NIC, NULL,
				     "the simulated NIC has no more rules");
	*rule = sim_chance(10) ? ZRX_NIC_NO_RULE : ++nic->rules;
	socket->on_queue = 1;
	return 0;
}

void zrx_nic_steer_remove(struct zrx_nic *nic, uint32_t rule)
{
	if (!nic->held || !rule || rule > nic->rules)
		sim_fail("flow rule %u is removed, and there is none", rule);
}

void zrx_nic_retire(struct zrx_nic *nic)
{
	if (!nic->held || nic->retired)
		sim_fail("a NIC is retired that is not in use");
	nic->retired = 1;
}

void sim_nic_bind(const void *memory, uint64_t bytes)
{
	the_nic.bound = memory;
	the_nic.bytes = bytes;
}

const void *sim_nic_bound(void)
{
	return the_nic.bound;
}

void sim_nic_check_unbound(const void *memory, size_t size, const char *why)
{
	const uint8_t *begin = memory, *bound = the_nic.bound;

	if (bound && bound < begin + size && bound + the_nic.bytes > begin)
		sim_fail("memory is %s while a queue is bound to it", why);
}

int sim_nic_leads(void)
{
	return the_nic.held && !the_nic.retired;
}

int zrx_nic_release(struct zrx_nic *nic, int registered)
{
	if (!nic)
		return 0;
	if (!nic->held)
		sim_fail("a NIC is released twice");
	if (sim_uring.user)
		sim_fail("the NIC is released before the ring is closed");
	nic->held = 0;
	if (!registered)
		return 0;
	if (sim_chance(sim.kernel.stays_bound))
		return -EBUSY;
	nic->bound = NULL;
	return 0;
}

int zrx_nic_explain(const char *interface, uint32_t queue, int errno_value, uint32_t rx_buf_len,
		    struct zrx_error *error)
{
	(void)rx_buf_len;
	return zrx_error_set(error, -errno_value, ZRX_STAGE_QUEUE, NULL, "simulated %s queue %u",
			     interface, queue);
}

void zrx_probe_uring_refusal(int errno_value, struct zrx_error *error)
{
	zrx_error_set(error, -errno_value, ZRX_STAGE_RING, NULL, "simulated refusal");
}

void zrx_probe_zcrx_refusal(int errno_value, int nodev, struct zrx_error *error)
{
	(void)nodev;
	zrx_error_set(error, -errno_value, ZRX_STAGE_QUEUE, NULL, "simulated refusal");
}

/* An interface that does not tell: nothing is known of what its queue holds standing. */
int zrx_nic_device_open(struct zrx_nic_device **device, const char *interface,
			struct zrx_error *error)
{
	(void)device;
	(void)interface;
	(void)error;
	return -ENODEV;
}

void zrx_nic_device_close(struct zrx_nic_device *device)
{
	(void)device;
}

int zrx_demand_read(struct zrx_nic_device *device, uint32_t buffer_bytes,
		    struct zrx_nic_demand *demand)
{
	(void)device;
	(void)buffer_bytes;
	(void)demand;
	return -ENODEV;
}

int32_t zrx_nic_numa_node(const char *interface)
{
	(void)interface;
	return sim.seed & 64 ? 0 : -1;
}

uint32_t sim_nic_napi_id(uint32_t queue)
{
	return 100 + queue;
}

int zrx_nic_napi_ids(const char *interface, const uint32_t *queues, uint32_t count,
		     uint32_t *napi_ids)
{
	(void)interface;
	for (uint32_t i = 0; i < count; i++)
		napi_ids[i] = sim_nic_napi_id(queues[i]);
	return 0;
}

int zrx_nic_interrupts(const char *interface, const uint32_t *queues, uint32_t count,
		       uint32_t *irqs)
{
	(void)interface;
	(void)queues;
	for (uint32_t i = 0; i < count; i++)
		irqs[i] = 0;
	return 0;
}

int zrx_nic_restore(const char *interface, struct zrx_error *error)
{
	(void)interface;
	(void)error;
	return 0;
}
