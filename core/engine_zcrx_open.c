/* SPDX-License-Identifier: MIT */
/* Opening and closing the engines zcrx and zcrx-nodev: area, ring, queue, and what undoes them. */
#include <errno.h>
#include <stdio.h>

#include "engine_zcrx.h"
#include "error.h"
#include "nic/nic.h"
#include "refill.h"
#include "shared_queue.h"
#include "sizing.h"

static void zcrx_describe(struct zrx_receiver *receiver, const struct zrx_zcrx *state)
{
	struct zrx_info *info = &receiver->info;

	info->engine = receiver->engine->id;
	info->zero_copy = !state->nodev;
	info->features |= state->queue.features;
	info->area_kind = receiver->area->kind;
	info->area_bytes = receiver->area->bytes;
	info->buffer_bytes = state->queue.rx_buf_len;
	info->refill_entries = state->queue.entries;
	if (!state->nodev)
		snprintf(info->interface, sizeof(info->interface), "%s",
			 receiver->options.interface);
}

/*
 * Rings first: closing the last takes the area off the queue; then the NIC may be put back. Returns
 * 0, or -EBUSY if the queue is still bound.
 */
static int close_queue(struct zrx_zcrx *state, struct zrx_receiver *receiver)
{
	zrx_ring_close(&state->ring, receiver);
	if (state->shared && !zrx_shared_queue_is_last(&state->shared->rings))
		return 0;
	if (state->shared)
		zrx_refill_shared_close(&state->shared->ring);
	zrx_ifq_forget(&state->queue);
	return zrx_nic_release(state->queue.nic, state->queue.registered);
}

/* The kernel did register the area, and does not let it go: the caller may not have it back. */
static int open_undone(struct zrx_zcrx *state, struct zrx_receiver *receiver, int result,
		       struct zrx_error *error)
{
	if (!close_queue(state, receiver))
		return result;
	zrx_area_lose(receiver->area);
	return zrx_error_set(
		error, -EBUSY, ZRX_STAGE_QUEUE,
		"keep area_memory, if it was given, mapped and unused; zcrx nic restore",
		"%s: queue %u stays bound after a failed open: the NIC may still write "
		"into the area",
		receiver->options.interface, receiver->info.queue);
}

/* Part the area of a queue, or this receiver's part of it. Returns how many bytes of it are for
 * views. */
static uint64_t open_budget(struct zrx_zcrx *state, const struct zrx_receiver *receiver)
{
	uint32_t shift = receiver->area->chunk_shift;

	zrx_budget_open(&state->budget, 1u << shift, 1u << shift > zrx_sys_page_bytes(),
			zrx_area_chunks(receiver->area) / receiver->sharing.parts,
			(uint32_t)(receiver->info.demand_bytes >> shift) / receiver->sharing.parts);
	return (uint64_t)zrx_budget_views(&state->budget) << shift;
}

static void open_windows(struct zrx_zcrx *state, struct zrx_receiver *receiver)
{
	zrx_windows_open(receiver, state->nodev ? receiver->area->bytes / receiver->sharing.parts
						: open_budget(state, receiver));
}

/* What hangs on the area, and the state; the one goes with the area, the other is the caller's to
 * free. */
static int allocate(struct zrx_zcrx **out, struct zrx_receiver *receiver, int nodev,
		    struct zrx_error *error)
{
	struct zrx_zcrx *state = zrx_sys_alloc(sizeof(*state));
	struct zrx_area *area = receiver->area;
	const struct zrx_sharing *sharing = &receiver->sharing;
	int shares = sharing->parts > 1 && !sharing->first;

	*out = state;
	area->refill = zrx_sys_alloc(sizeof(*area->refill));
	area->shared = shares ? zrx_sys_alloc(sizeof(*area->shared)) : NULL;
	if (!state || !area->refill || (shares && !area->shared))
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, NULL, "out of memory");
	if (shares)
		area->refill->shared = &area->shared->ring;
	state->nodev = (uint8_t)nodev;
	state->counted = nodev && sharing->parts == 1;
	state->retry_ns = state->backlog_ns = ZRX_ZCRX_FIRST_NS;
	state->arms = state->arms_left = UINT32_MAX;
	return 0;
}

static int open_queue(struct zrx_zcrx *state, struct zrx_receiver *receiver,
		      struct zrx_error *error)
{
	int result = zrx_ring_open(&state->ring, receiver, ZRX_ZCRX_WIDE, error);

	if (result)
		return result;
	result = zrx_ifq_register(&state->queue, &state->ring, receiver->area->refill, receiver,
				  state->nodev, error);
	if (!result) {
		receiver->area->chunk_shift = (uint32_t)__builtin_ctz(state->queue.rx_buf_len);
		result = zrx_area_hold(receiver->area, error);
	}
	return result ? open_undone(state, receiver, result, error) : 0;
}

/* That of the first receiver, for one more. */
static int open_shared(struct zrx_zcrx *state, struct zrx_receiver *receiver,
		       struct zrx_error *error)
{
	const struct zrx_receiver *first = receiver->sharing.first;
	struct zrx_zcrx *with = first->state;
	int result;

	receiver->options = first->options;
	receiver->info.queue = first->info.queue;
	receiver->info.demand_bytes = first->info.demand_bytes;
	zrx_refill_share(receiver->area->refill, first->area->refill, &with->shared->ring);
	result = zrx_ring_open(&state->ring, receiver, ZRX_ZCRX_WIDE, error);
	if (result)
		return result;
	result = zrx_ifq_import(&state->queue, &state->ring, &with->queue, &with->ring, error);
	if (!result)
		result = zrx_area_hold(receiver->area, error);
	if (result)
		zrx_ring_close(&state->ring, receiver);
	return result;
}

static int open_area(struct zrx_receiver *receiver, int nodev, struct zrx_error *error)
{
	int32_t node;

	if (receiver->sharing.first)
		return zrx_area_borrow(&receiver->area, receiver->sharing.first->area, error);
	node = nodev ? -1 : zrx_nic_numa_node(receiver->options.interface);
	return zrx_area_open_near(&receiver->area, &receiver->options,
				  (uint32_t)zrx_sys_page_bytes(), node, error);
}

static void join_shared(struct zrx_zcrx *state, const struct zrx_receiver *receiver)
{
	const struct zrx_receiver *first = receiver->sharing.first;

	if (receiver->sharing.parts == 1)
		return;
	state->shared = first ? first->area->shared : receiver->area->shared;
	/* Relaxed: nobody closes one before all are open. */
	atomic_fetch_add_explicit(&state->shared->rings, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&state->shared->leading, 1, memory_order_relaxed);
}

static int open_either(struct zrx_receiver *receiver, int nodev, struct zrx_error *error)
{
	struct zrx_zcrx *state;
	int result = open_area(receiver, nodev, error);

	if (result)
		return result;
	result = allocate(&state, receiver, nodev, error);
	if (!result)
		result = receiver->sharing.first ? open_shared(state, receiver, error)
						 : open_queue(state, receiver, error);
	if (result) {
		zrx_sys_free(state);
		zrx_area_abandon(receiver->area);
		return result;
	}
	join_shared(state, receiver);
	open_windows(state, receiver);
	state->spent = zrx_refill_taken(zrx_zcrx_refill(receiver));
	receiver->state = state;
	zcrx_describe(receiver, state);
	return 0;
}

int zrx_zcrx_open(struct zrx_receiver *receiver, struct zrx_error *error)
{
	const struct zrx_options given = receiver->options;
	int result = 0;

	if (!receiver->sharing.first)
		result = zrx_sizing_apply(&receiver->options, &receiver->info.demand_bytes, error);
	if (!result)
		result = open_either(receiver, 0, error);
	if (result) { /* another engine may be tried */
		receiver->options = given;
		receiver->info.demand_bytes = 0;
	}
	return result;
}

int zrx_zcrx_nodev_open(struct zrx_receiver *receiver, struct zrx_error *error)
{
	return open_either(receiver, 1, error);
}

int zrx_zcrx_start(struct zrx_receiver *receiver)
{
	struct zrx_zcrx *state = receiver->state;

	return zrx_ring_start(&state->ring);
}

int zrx_zcrx_stop(struct zrx_receiver *receiver)
{
	struct zrx_zcrx *state = receiver->state;
	int result = zrx_ring_stop(&state->ring);

	if (result || state->nodev)
		return result;
	/*
	 * Kernels before 7.2 give what is out back to the driver before they stop the queue, and
	 * the NIC writes over it. Who has no events is not known to stop the queue first.
	 */
	return !(state->queue.features & ZRX_FEATURE_EVENTS);
}

void zrx_zcrx_retire(struct zrx_receiver *receiver)
{
	struct zrx_zcrx *state = receiver->state;

	state->retired = 1;
	if (state->shared && !zrx_shared_queue_is_last(&state->shared->leading))
		return; /* the NIC leads to the others */
	if (!state->nodev)
		zrx_nic_retire(state->queue.nic);
}

int zrx_zcrx_close(struct zrx_receiver *receiver)
{
	struct zrx_zcrx *state = receiver->state;
	int result;

	if (state->shared && !state->retired)
		zrx_zcrx_retire(receiver);
	result = close_queue(state, receiver);
	zrx_sys_free(state);
	return result;
}
