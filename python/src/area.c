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
	area->dmabuf_fd = dmabuf_fd;
	return area;
}

struct zpy_area *zpy_area_get(struct zpy_area *area)
{
	if (area)
		atomic_fetch_add_explicit(&area->references, 1, memory_order_relaxed);
	return area;
}

void zpy_area_put(struct zpy_area *area)
{
	/* Release pairs with the acquire of whoever drops the last reference and frees. */
	if (area && atomic_fetch_sub_explicit(&area->references, 1, memory_order_acq_rel) == 1)
		free(area);
}

/*
 * While the receiver is open a release takes nanoseconds, and dropping the GIL for it would cost
 * more. After close the last release may take the ring down, which waits for the kernel and the
 * NIC.
 */
int zpy_area_release(struct zpy_area *area, const struct zrx_buffer *buffer)
{
	int result;

	if (!atomic_load_explicit(&area->closed, memory_order_relaxed))
		return zrx_buffer_release(buffer, 1);
	Py_BEGIN_ALLOW_THREADS
	result = zrx_buffer_release(buffer, 1);
	Py_END_ALLOW_THREADS
	return result;
}

int zpy_area_release_events(struct zpy_area *area, const struct zrx_event *events, uint32_t count)
{
	int result;

	if (!atomic_load_explicit(&area->closed, memory_order_relaxed))
		return zrx_event_release(events, count);
	Py_BEGIN_ALLOW_THREADS
	result = zrx_event_release(events, count);
	Py_END_ALLOW_THREADS
	return result;
}
