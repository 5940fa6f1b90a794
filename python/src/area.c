/* SPDX-License-Identifier: MIT */
/* What a receiver shares with its batches and buffers, which may outlive it. */
#include <stdlib.h>

#include "zpy.h"

struct zpy_area *zpy_area_new(int dmabuf_fd)
{
	struct zpy_area *area = malloc(sizeof(*area));

	if (!area) {
		PyErr_NoMemory();
		return NULL;
	}
	atomic_init(&area->references, 1);
	atomic_init(&area->closed, 0);
	atomic_init(&area->spare, NULL);
	area->dmabuf_fd = dmabuf_fd;
	return area;
}

void zpy_area_free(struct zpy_area *area)
{
	free(atomic_load_explicit(&area->spare, memory_order_relaxed));
	free(area);
}

/* ---- arrays of events: the last one that was given back is taken first ---- */

struct zrx_event *zpy_area_new_events(struct zpy_area *area, uint32_t capacity)
{
	struct zrx_event *events = NULL;

	if (area && capacity == ZPY_SPARE_EVENTS)
		events = atomic_exchange_explicit(&area->spare, NULL, memory_order_acquire);
	return events ? events : malloc(capacity * sizeof(*events));
}

void zpy_area_free_events(struct zpy_area *area, struct zrx_event *events, uint32_t capacity)
{
	if (area && capacity == ZPY_SPARE_EVENTS)
		events = atomic_exchange_explicit(&area->spare, events, memory_order_acq_rel);
	free(events);
}

int zpy_area_release_late(const struct zrx_buffer *buffer)
{
	int result;

	Py_BEGIN_ALLOW_THREADS
	result = zrx_buffer_release(buffer, 1);
	Py_END_ALLOW_THREADS
	return result;
}

int zpy_area_release_events(struct zpy_area *area, const struct zrx_event *events, uint32_t count)
{
	int result;

	if (!zpy_area_may_wait(area))
		return zrx_event_release(events, count);
	Py_BEGIN_ALLOW_THREADS
	result = zrx_event_release(events, count);
	Py_END_ALLOW_THREADS
	return result;
}
