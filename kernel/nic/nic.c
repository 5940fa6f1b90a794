/* SPDX-License-Identifier: MIT */
/* The NIC of one receiver: what the engine calls. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"
#include "nic/nic.h"
#include "nic/arrival.h"
#include "nic/claim/claim.h"
#include "nic/inspect.h"
#include "place.h"
#include "sys.h"

struct zrx_nic {
	struct zrx_nic_device *device;
	uint32_t queue;
	uint32_t napi_id; /* that polls the queue; 0: not yet seen on a socket */
	uint32_t steer;   /* ZRX_STEER_NONE too where an administrator has prepared the NIC */
	uint32_t steer_port;
	int claimed;
	pthread_mutex_t lock; /* of napi_id, and of the claim's rules */
	struct zrx_claim claim;
};

static int nic_check_prepared(struct zrx_nic *nic, const struct zrx_options *options,
			      struct zrx_error *error)
{
	struct zrx_check *checks = malloc(ZRX_NIC_CHECKS * sizeof(*checks));
	struct zrx_nic_report report = {.checks = checks};
	uint32_t queue = options->flags & ZRX_QUEUE ? options->queue : ZRX_NIC_FREE_QUEUE;
	int result;

	if (!checks)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	/* A ring that has just been closed lets its queue go a little later. */
	if (options->flags & ZRX_QUEUE)
		zrx_claim_wait_unbound(nic->device, queue, ZRX_UNBIND_OTHER_MS);
	zrx_nic_report_make(nic->device, queue, &report);
	result = zrx_nic_report_refusal(&report, error);
	nic->queue = report.queue;
	free(checks);
	return result;
}

static int nic_prepare(struct zrx_nic *nic, const struct zrx_options *options,
		       struct zrx_error *error)
{
	int result;

	if (options->nic_mode == ZRX_NIC_PREPARED) {
		nic->steer = ZRX_STEER_NONE;
		return nic_check_prepared(nic, options, error);
	}
	nic->steer = options->steer;
	nic->steer_port = options->steer_port;
	result = zrx_claim_take(&nic->claim, nic->device, NULL, options, 0, error);
	nic->claimed = !result;
	nic->queue = nic->claim.queue;
	return result;
}

int zrx_nic_acquire(struct zrx_nic **nic, const struct zrx_options *options, uint32_t *ifindex,
		    uint32_t *queue, struct zrx_error *error)
{
	struct zrx_nic *acquired = calloc(1, sizeof(*acquired));
	int result;

	if (!acquired)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	pthread_mutex_init(&acquired->lock, NULL); /* a plain one cannot fail */
	result = zrx_nic_device_open(&acquired->device, options->interface, error);
	if (!result)
		result = nic_prepare(acquired, options, error);
	if (result) {
		zrx_nic_release(acquired, 0);
		return result;
	}
	*ifindex = acquired->device->ifindex;
	*queue = acquired->queue;
	*nic = acquired;
	return 0;
}

int zrx_nic_bound(struct zrx_nic *nic, struct zrx_error *error)
{
	struct zrx_netdev_queue queue;
	int result = zrx_nic_device_queue(nic->device, nic->queue, &queue);

	if (!result && !(queue.bound & ZRX_BOUND_IO_URING))
		result = -EIO;
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_QUEUE,
				     "look at the kernel log (dmesg)",
				     "%s: queue %u was registered but does not show as bound",
				     nic->device->name, nic->queue);
	if (nic->steer != ZRX_STEER_PORT)
		return 0;
	return zrx_claim_steer_port(&nic->claim, (uint16_t)nic->steer_port, error);
}

static int nic_check_arrival(struct zrx_nic *nic, int fd, struct zrx_error *error)
{
	uint32_t napi_id = 0;
	socklen_t length = sizeof(napi_id);
	int known, result;

	/* 0: nothing has arrived yet, or its peer is on this machine. */
	if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &length) || !napi_id ||
	    napi_id == nic->napi_id)
		return 0;
	/*
	 * What comes will be led here. What came last may have come before that queue was bound,
	 * and only unread bytes can be in its memory.
	 */
	if (nic->steer == ZRX_STEER_CONNECTION && zrx_sys_socket_pending(fd) <= 0)
		return 0;
	result = zrx_nic_arrival_check(nic->device, nic->claimed ? nic->claim.directory : -1,
				       nic->queue, napi_id, &known, error);
	if (known)
		nic->napi_id = napi_id;
	return result;
}

int zrx_nic_admit(struct zrx_nic *nic, int fd, struct zrx_error *error)
{
	int result;

	pthread_mutex_lock(&nic->lock);
	result = nic_check_arrival(nic, fd, error);
	pthread_mutex_unlock(&nic->lock);
	return result;
}

int zrx_nic_steer_add(struct zrx_nic *nic, int fd, uint32_t *rule, struct zrx_error *error)
{
	struct zrx_flow flow;
	int result;

	*rule = ZRX_NIC_NO_RULE;
	if (nic->steer != ZRX_STEER_CONNECTION)
		return 0;
	result = zrx_flow_of_socket(fd, &flow);
	if (result == -ENOTCONN)
		return 0; /* reset since it was checked: no more packets, nothing to steer */
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET, "add it once it is connected",
				     "the flow of the socket cannot be told: %s",
				     strerror(-result));
	pthread_mutex_lock(&nic->lock);
	result = zrx_claim_steer(&nic->claim, &flow, rule, error);
	pthread_mutex_unlock(&nic->lock);
	return result;
}

void zrx_nic_steer_remove(struct zrx_nic *nic, uint32_t rule)
{
	if (!nic->claimed || rule == ZRX_NIC_NO_RULE)
		return;
	pthread_mutex_lock(&nic->lock);
	zrx_claim_unsteer(&nic->claim, rule);
	pthread_mutex_unlock(&nic->lock);
}

void zrx_nic_retire(struct zrx_nic *nic)
{
	if (!nic->claimed)
		return;
	pthread_mutex_lock(&nic->lock);
	zrx_claim_retire(&nic->claim);
	pthread_mutex_unlock(&nic->lock);
}

int zrx_nic_release(struct zrx_nic *nic, int registered)
{
	int result = 0;

	if (!nic)
		return 0;
	if (nic->claimed) {
		/* What cannot be undone now stays in the journal. */
		zrx_claim_drop(&nic->claim, NULL);
		result = nic->claim.still_bound ? -EBUSY : 0;
	} else if (registered) {
		result = zrx_claim_wait_unbound(nic->device, nic->queue, ZRX_UNBIND_OWN_MS);
	}
	zrx_nic_device_close(nic->device);
	pthread_mutex_destroy(&nic->lock);
	free(nic);
	return registered ? result : 0;
}

int32_t zrx_nic_numa_node(const char *interface)
{
	return zrx_place_interface(interface);
}

static uint32_t nic_napi_id(const struct zrx_netdev_queue *queues, int count, uint32_t queue)
{
	for (int i = 0; i < count; i++)
		if (queues[i].id == queue)
			return queues[i].napi_id;
	return 0;
}

/* Of each queue its NAPI id, or its interrupt. */
static int nic_read_queues(const char *interface, const uint32_t *queues, uint32_t count, int irq,
			   uint32_t *told)
{
	struct zrx_netdev_queue *found = calloc(ZRX_NETDEV_QUEUES, sizeof(*found));
	struct zrx_nic_device *device = NULL;
	int result = found ? zrx_nic_device_open(&device, interface, NULL) : -ENOMEM;

	if (!result)
		result = device->ops->queues(device, found, ZRX_NETDEV_QUEUES);
	for (uint32_t i = 0; result >= 0 && i < count; i++) {
		uint32_t napi_id = nic_napi_id(found, result, queues[i]);

		told[i] = napi_id;
		if (irq && (!napi_id || device->ops->irq(device, napi_id, &told[i])))
			told[i] = 0;
	}
	zrx_nic_device_close(device);
	free(found);
	return result < 0 ? result : 0;
}

int zrx_nic_napi_ids(const char *interface, const uint32_t *queues, uint32_t count,
		     uint32_t *napi_ids)
{
	return nic_read_queues(interface, queues, count, 0, napi_ids);
}

int zrx_nic_interrupts(const char *interface, const uint32_t *queues, uint32_t count,
		       uint32_t *irqs)
{
	return nic_read_queues(interface, queues, count, 1, irqs);
}
