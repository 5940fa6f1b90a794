/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "fork.h"
#include "nic/nic.h"
#include "probe/probe.h"
#include "options.h"
#include "receiver.h"
#include "refill.h"
#include "ifq.h"

static int query(struct zrx_ring *ring, uint32_t operation, void *data, uint32_t size)
{
	struct zrx_uapi_query_hdr header = {
		.query_data = (uint64_t)(uintptr_t)data,
		.query_op = operation,
		.size = size,
	};
	int result = zrx_sys_ring_register(&ring->uring, ZRX_UAPI_REGISTER_QUERY, &header, 0);

	return result < 0 ? result : header.result;
}

uint32_t zrx_ifq_features(struct zrx_ring *ring)
{
	struct zrx_uapi_query_zcrx zcrx = {0};
	struct zrx_uapi_query_zcrx_event event = {0};
	uint32_t features;

	if (query(ring, ZRX_UAPI_QUERY_ZCRX, &zcrx, sizeof(zcrx)))
		return 0; /* before 6.18: none of these */
	features = zrx_probe_zcrx_features(&zcrx);
	if (zcrx.features & ZRX_UAPI_FEATURE_EVENT &&
	    !query(ring, ZRX_UAPI_QUERY_ZCRX_EVENT, &event, sizeof(event)) &&
	    event.event_flags & ZRX_UAPI_EVENT_FLAG_STATS &&
	    event.stats_size >= sizeof(struct zrx_uapi_zcrx_stats))
		features |= ZRX_FEATURE_EVENTS;
	return features;
}

/* ---- the refill ring's memory ---- */

/*
 * A page for the ring's header, whose layout the kernel tells only afterwards; the entries; the
 * statistics.
 */
static void lay_out(struct zrx_ifq *queue, uint32_t entries)
{
	size_t page = zrx_sys_page_bytes();
	size_t used = page + entries * sizeof(struct zrx_uapi_rqe);

	queue->entries = entries;
	queue->stats_offset = (used + 63) & ~(size_t)63;
	used = queue->stats_offset + sizeof(struct zrx_uapi_zcrx_stats);
	queue->region_bytes = (used + page - 1) / page * page;
}

static int map_region(struct zrx_ifq *queue, struct zrx_error *error)
{
	int result = 0;

	queue->region = zrx_sys_map(queue->region_bytes, 0, &result);
	if (queue->region)
		result = zrx_sys_advise(queue->region, queue->region_bytes, MADV_DONTFORK);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_RING, NULL,
				     "cannot map the refill ring");
	return 0;
}

/* A region that the kernel allocated is mapped through the ring's descriptor. */
static int map_kernel_region(struct zrx_ifq *queue, struct zrx_ring *ring,
			     const struct zrx_uapi_region_desc *region, struct zrx_error *error)
{
	int result = 0;

	queue->region = zrx_sys_map_fd(ring->uring.ring_fd, queue->region_bytes,
				       region->mmap_offset, 1, &result);
	if (queue->region)
		result = zrx_sys_advise(queue->region, queue->region_bytes, MADV_DONTFORK);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_RING,
				     "open without ZRX_REFILL_RING_KERNEL",
				     "cannot map the kernel's refill ring");
	return 0;
}

void zrx_ifq_forget(struct zrx_ifq *queue)
{
	if (queue->region)
		zrx_sys_unmap(queue->region, queue->region_bytes);
	queue->region = NULL;
}

static void attach(struct zrx_ifq *queue, struct zrx_refill *refill,
		   const struct zrx_uapi_offsets *offsets, uint64_t token, uint64_t end)
{
	uint8_t *base = queue->region;

	refill->head = (_Atomic uint32_t *)(void *)(base + offsets->head);
	refill->tail = (_Atomic uint32_t *)(void *)(base + offsets->tail);
	refill->entries = (struct zrx_uapi_rqe *)(void *)(base + offsets->rqes);
	refill->entry_count = queue->entries;
	refill->parts.token = token;
	refill->parts.end = end;
	if (queue->event_types)
		queue->stats =
			(const struct zrx_uapi_zcrx_stats *)(const void *)(base +
									   queue->stats_offset);
}

/* ---- registration ---- */

struct registration {
	struct zrx_uapi_ifq_reg ifq;
	struct zrx_uapi_area_reg area;
	struct zrx_uapi_region_desc region;
	struct zrx_uapi_event_desc events;
};

static void describe(struct registration *registration, const struct zrx_ifq *queue,
		     const struct zrx_area *area)
{
	memset(registration, 0, sizeof(*registration));
	registration->area.len = area->bytes;
	if (area->kind == ZRX_AREA_DMABUF) {
		registration->area.flags = ZRX_UAPI_AREA_DMABUF;
		registration->area.dmabuf_fd = (uint32_t)area->dmabuf_fd;
	} else {
		registration->area.addr = (uint64_t)(uintptr_t)area->base;
	}
	registration->region.size = queue->region_bytes;
	if (queue->region) {
		registration->region.user_addr = (uint64_t)(uintptr_t)queue->region;
		registration->region.flags = ZRX_UAPI_MEM_REGION_TYPE_USER;
	}
	registration->ifq.rq_entries = queue->entries;
	registration->ifq.area_ptr = (uint64_t)(uintptr_t)&registration->area;
	registration->ifq.region_ptr = (uint64_t)(uintptr_t)&registration->region;
	if (queue->event_types) {
		registration->events.user_data = ZRX_RING_NOTICE;
		registration->events.type_mask = queue->event_types;
		registration->events.flags = ZRX_UAPI_EVENT_FLAG_STATS;
		registration->events.stats_offset = queue->stats_offset;
		registration->ifq.event_desc = (uint64_t)(uintptr_t)&registration->events;
	}
}

static int attempt(struct registration *registration, struct zrx_ring *ring,
		   const struct zrx_ifq *queue, const struct zrx_area *area, uint32_t ifindex,
		   uint32_t rxq, uint32_t rx_buf_len, int nodev)
{
	describe(registration, queue, area);
	registration->ifq.rx_buf_len = rx_buf_len;
	if (nodev) {
		registration->ifq.flags = ZRX_UAPI_REG_NODEV;
	} else {
		registration->ifq.if_idx = ifindex;
		registration->ifq.if_rxq = rxq;
	}
	return zrx_sys_ring_register(&ring->uring, ZRX_UAPI_REGISTER_ZCRX_IFQ, &registration->ifq,
				     1);
}

/* Buffers above a page, if they are asked for and to be had; a page otherwise. */
static uint32_t wanted_rx_buf_len(const struct zrx_ifq *queue, const struct zrx_options *options,
				  int nodev)
{
	if (nodev || !(queue->features & ZRX_FEATURE_RX_BUF_LEN) ||
	    options->buffer_bytes <= zrx_sys_page_bytes())
		return 0;
	return options->buffer_bytes;
}

static int explain(int result, const struct zrx_receiver *receiver, int nodev, uint32_t rxq,
		   uint32_t rx_buf_len, struct zrx_error *error)
{
	struct zrx_error reason = ZRX_ERROR_INIT;

	if (nodev)
		zrx_probe_zcrx_refusal(-result, 1, &reason);
	else
		zrx_nic_explain(receiver->options.interface, rxq, -result, rx_buf_len, &reason);
	if (error)
		zrx_error_copy(error, &reason);
	return reason.code;
}

static int register_queue(struct zrx_ifq *queue, struct zrx_ring *ring, struct zrx_refill *refill,
			  struct zrx_receiver *receiver, int nodev, uint32_t ifindex, uint32_t rxq,
			  struct zrx_error *error)
{
	struct registration registration;
	uint32_t rx_buf_len = wanted_rx_buf_len(queue, &receiver->options, nodev);
	int result = attempt(&registration, ring, queue, receiver->area, ifindex, rxq, rx_buf_len,
			     nodev);

	if (rx_buf_len && (result == -EOPNOTSUPP || result == -ERANGE || result == -EINVAL)) {
		rx_buf_len = 0; /* the driver, or the memory, cannot: pages always work */
		result =
			attempt(&registration, ring, queue, receiver->area, ifindex, rxq, 0, nodev);
	}
	if (result)
		return explain(result, receiver, nodev, rxq, rx_buf_len, error);
	queue->registered = 1;
	if (!queue->region)
		result = map_kernel_region(queue, ring, &registration.region, error);
	if (result)
		return result;
	queue->id = registration.ifq.zcrx_id;
	queue->rx_buf_len = rx_buf_len ? rx_buf_len : (uint32_t)zrx_sys_page_bytes();
	attach(queue, refill, &registration.ifq.offsets, registration.area.rq_area_token,
	       receiver->area->bytes - receiver->area->bytes % queue->rx_buf_len);
	return 0;
}

/* Where the best engine is asked for, one that cannot grow is better than one that copies. */
static int check_can_grow(const struct zrx_ifq *queue, const struct zrx_receiver *receiver,
			  struct zrx_error *error)
{
	struct zrx_area *area = receiver->area;

	if (area->max_bytes == area->bytes || queue->features & ZRX_FEATURE_ADD_AREA)
		return 0;
	if (receiver->options.engine != ZRX_ENGINE_AUTO)
		return zrx_error_set(
			error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
			"boot Linux 7.3 or newer, or set area_max_bytes to 0 and area_bytes to "
			"what is needed",
			"area_max_bytes: on this kernel the area of a zcrx engine cannot grow");
	area->max_bytes = area->bytes;
	return 0;
}

static int check_can_share(const struct zrx_ifq *queue, const struct zrx_receiver *receiver,
			   struct zrx_error *error)
{
	if (receiver->sharing.parts == 1 || queue->features & ZRX_FEATURE_SHARED_QUEUE)
		return 0;
	return zrx_error_set(error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
			     "boot Linux 6.19 or newer, or open the group without "
			     "ZRX_GROUP_SHARED_QUEUE, with a queue for each receiver",
			     "on this kernel several receivers cannot share a queue");
}

int zrx_ifq_register(struct zrx_ifq *queue, struct zrx_ring *ring, struct zrx_refill *refill,
		     struct zrx_receiver *receiver, int nodev, struct zrx_error *error)
{
	uint32_t ifindex = 0, rxq = receiver->options.queue;
	int result = 0;

	queue->features = zrx_ifq_features(ring);
	if (nodev && !(queue->features & ZRX_FEATURE_NODEV))
		return zrx_error_set(error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
				     "boot Linux 7.1 or newer, or use engine multishot",
				     "this kernel has no zcrx without a device");
	result = check_can_grow(queue, receiver, error);
	if (!result)
		result = check_can_share(queue, receiver, error);
	if (result)
		return result;
	if (queue->features & ZRX_FEATURE_EVENTS)
		queue->event_types = 1u << ZRX_UAPI_EVENT_ALLOC_FAIL;
	lay_out(queue,
		zrx_options_refill_entries(&receiver->options, zrx_area_chunks_most(receiver->area),
					   ZRX_UAPI_RQ_MAX_ENTRIES));
	if (!(receiver->options.flags & ZRX_REFILL_RING_KERNEL))
		result = map_region(queue, error);
	if (!result && !nodev)
		result = zrx_nic_acquire(&queue->nic, &receiver->options, &ifindex, &rxq, error);
	receiver->info.queue = rxq;
	if (!result)
		result = register_queue(queue, ring, refill, receiver, nodev, ifindex, rxq, error);
	if (!result && !nodev)
		result = zrx_nic_bound(queue->nic, error);
	return result;
}

/* ---- control ---- */

static int control(const struct zrx_ifq *queue, struct zrx_ring *ring, struct zrx_uapi_ctrl *ctrl)
{
	ctrl->zcrx_id = queue->id;
	return zrx_sys_ring_register(&ring->uring, ZRX_UAPI_REGISTER_ZCRX_CTRL, ctrl, 0);
}

int zrx_ifq_import(struct zrx_ifq *queue, struct zrx_ring *ring, const struct zrx_ifq *from,
		   struct zrx_ring *from_ring, struct zrx_error *error)
{
	struct zrx_uapi_ctrl ctrl = {.op = ZRX_UAPI_CTRL_EXPORT};
	struct zrx_uapi_ifq_reg registration = {.flags = ZRX_UAPI_REG_IMPORT};
	int result;

	zrx_fork_hold(); /* a child that has the descriptor would keep the queue bound */
	result = control(from, from_ring, &ctrl);
	if (!result) {
		registration.if_idx = ctrl.u.export.zcrx_fd;
		result = zrx_sys_ring_register(&ring->uring, ZRX_UAPI_REGISTER_ZCRX_IFQ,
					       &registration, 1);
		zrx_sys_close((int)ctrl.u.export.zcrx_fd);
	}
	zrx_fork_allow();
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_QUEUE,
				     "raise the limit of open files (ulimit -n), or open the group "
				     "without ZRX_GROUP_SHARED_QUEUE",
				     "the queue of the first receiver cannot be shared");
	*queue = *from;
	queue->id = registration.zcrx_id;
	/* The kernel tells the ring that registered it, and that one alone. */
	queue->event_types = 0;
	queue->stats = NULL;
	return 0;
}

int zrx_ifq_flush(const struct zrx_ifq *queue, struct zrx_ring *ring)
{
	struct zrx_uapi_ctrl ctrl = {.op = ZRX_UAPI_CTRL_FLUSH_RQ};

	return control(queue, ring, &ctrl);
}

int zrx_ifq_rearm_event(const struct zrx_ifq *queue, struct zrx_ring *ring, uint32_t type)
{
	struct zrx_uapi_ctrl ctrl = {.op = ZRX_UAPI_CTRL_ARM_EVENT, .u.arm_event.event_type = type};

	return control(queue, ring, &ctrl);
}

int zrx_ifq_extend(const struct zrx_ifq *queue, struct zrx_ring *ring, struct zrx_parts *parts,
		   const struct zrx_area *area, uint64_t bytes)
{
	uint64_t start = zrx_parts_end(parts);
	struct zrx_uapi_area_reg registration = {
		.addr = (uint64_t)(uintptr_t)(area->base + start),
		.len = bytes - start,
	};
	struct zrx_uapi_ctrl ctrl = {
		.op = ZRX_UAPI_CTRL_ADD_AREA,
		.u.add_area.area_ptr = (uint64_t)(uintptr_t)&registration,
	};
	int result = zrx_parts_room(parts);

	if (!result)
		result = control(queue, ring, &ctrl);
	if (!result) /* the token is there also if it failed */
		zrx_parts_add(parts, bytes, registration.rq_area_token);
	return result;
}
