/* SPDX-License-Identifier: MIT */
#include "engine.h"
#include "grow.h"
#include "receiver.h"
#include "sys.h"

#define STEP_PART     2u          /* of the area: what it grows by */
#define STEP_LEAST    (16u << 20) /* or by this, but at most to twice its size */
#define STEP_HUGE     (2u << 20)  /* larger steps end where a huge page does */
#define PUT_OFF_FIRST 100000000u  /* ns */
#define PUT_OFF_LAST  10000000000u

static uint64_t growth_grain(const struct zrx_area *area, uint64_t step)
{
	uint64_t grain = area->grain, chunk = 1ull << area->chunk_shift;

	if (grain < STEP_HUGE && step >= STEP_HUGE)
		grain = STEP_HUGE;
	return grain > chunk ? grain : chunk;
}

uint64_t zrx_growth_next(const struct zrx_area *area)
{
	uint64_t most = area->max_bytes - area->max_bytes % (1ull << area->chunk_shift);
	uint64_t step = area->bytes / STEP_PART, grain, next;

	if (area->bytes >= most)
		return area->bytes;
	if (step < STEP_LEAST)
		step = STEP_LEAST;
	if (step > area->bytes)
		step = area->bytes;
	grain = growth_grain(area, step);
	next = area->bytes + step;
	next -= next % grain;
	if (next <= area->bytes)
		next += grain;
	return next < most ? next : most;
}

/* It failed. */
static void growth_put_off(struct zrx_growth *growth)
{
	growth->delay_ns = growth->delay_ns ? growth->delay_ns * 2 : PUT_OFF_FIRST;
	if (growth->delay_ns > PUT_OFF_LAST)
		growth->delay_ns = PUT_OFF_LAST;
	growth->retry_at = zrx_sys_now_ns() + growth->delay_ns;
	growth->wanted = 1;
}

static int growth_extend(struct zrx_receiver *receiver, uint64_t bytes)
{
	int result = zrx_area_take(receiver->area, bytes);

	if (result)
		return result;
	result = receiver->engine->extend(receiver, bytes);
	if (result)
		zrx_area_give_up(receiver->area, bytes);
	return result;
}

int zrx_grow(struct zrx_receiver *receiver)
{
	struct zrx_growth *growth = &receiver->growth;
	uint64_t bytes = zrx_growth_next(receiver->area);

	if (bytes == receiver->area->bytes)
		return 0;
	if (growth->retry_at && zrx_sys_now_ns() < growth->retry_at) {
		growth->wanted = 1;
		return 0;
	}
	if (growth_extend(receiver, bytes)) {
		growth_put_off(growth);
		return 0;
	}
	receiver->area->bytes = bytes;
	zrx_store(&receiver->counters.area_bytes, bytes);
	*growth = (struct zrx_growth){0};
	zrx_windows_refresh(receiver);
	return 1;
}

int64_t zrx_growth_patience(const struct zrx_receiver *receiver, int64_t timeout_ns)
{
	uint64_t now, left;

	if (!receiver->growth.wanted || !timeout_ns)
		return timeout_ns;
	now = zrx_sys_now_ns();
	left = receiver->growth.retry_at > now ? receiver->growth.retry_at - now : 0;
	return timeout_ns < 0 || (uint64_t)timeout_ns > left ? (int64_t)left : timeout_ns;
}
