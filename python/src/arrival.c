/* SPDX-License-Identifier: MIT */
/* What a group brings to a receiver: sockets that were handed over, connections it accepted. */
#include <errno.h>
#include <unistd.h>

#include "zpy.h"

void zpy_drop_descriptors(const struct zrx_event *events, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (zpy_has_descriptor(&events[i]))
			close(events[i].error);
}

/* ---- sockets that were handed over: the tag is the stream, which the group has kept ---- */

static void move_here(struct zpy_receiver *self, const struct zrx_event *event)
{
	struct zpy_stream *stream = (struct zpy_stream *)(uintptr_t)event->tag;

	stream->handle = event->stream;
	Py_INCREF((PyObject *)stream);
	zpy_group_forget(self->group, stream);
	atomic_store_explicit(&stream->receiver, self, memory_order_relaxed);
	zpy_receiver_remember(self, stream);
}

/* ---- connections that were accepted: the tag is the listening socket's ---- */

static struct zpy_stream *listener_of(const struct zrx_event *event)
{
	return (struct zpy_stream *)(uintptr_t)(event->tag & ~(uint64_t)ZPY_TAG_LISTENER);
}

/* Returns a reference for the receiver; NULL, with no exception set, if there is no memory. */
static struct zpy_stream *new_stream(struct zpy_receiver *self, const struct zrx_event *event)
{
	struct zpy_stream *listener = listener_of(event);
	PyObject *tag = zpy_stream_tag(listener);
	struct zpy_stream *stream = zpy_stream_new(self, event->error, listener->limit_bytes, tag);

	Py_DECREF(tag);
	if (!stream) {
		PyErr_Clear();
		return NULL;
	}
	stream->handle = event->stream;
	if (zpy_handles_put(&self->handles, stream) == 0)
		return stream;
	Py_DECREF(stream);
	return NULL;
}

/* There is no memory for it: it is let go of, as the core does with what it cannot add. */
static void refuse(struct zpy_receiver *self, struct zrx_event *event)
{
	zrx_receiver_remove(self->core, event->stream);
	close(event->error);
	event->kind = ZRX_EVENT_ERROR;
	event->flags = ZRX_ADDED_ACCEPTED;
	event->error = -ENOMEM;
	event->stream = 0;
	event->tag = (uintptr_t)listener_of(event);
}

static void welcome(struct zpy_receiver *self, struct zrx_event *event)
{
	struct zpy_stream *stream = new_stream(self, event);

	if (!stream) {
		refuse(self, event);
		return;
	}
	event->tag = (uintptr_t)stream;
	zpy_receiver_remember(self, stream);
}

/* Returns 0 if nobody is to see the event: it is of a stream that was refused. */
static int recognise(struct zpy_receiver *self, struct zrx_event *event)
{
	struct zpy_stream *stream;

	if (!event->stream) { /* refused by the core, or the listening socket failed */
		event->tag = (uintptr_t)listener_of(event);
		return 1;
	}
	stream = zpy_handles_get(&self->handles, event->stream);
	if (!stream) {
		zrx_event_release(event, 1);
		return 0;
	}
	event->tag = (uintptr_t)stream;
	if (zpy_is_last(event))
		zpy_handles_remove(&self->handles, event->stream);
	return 1;
}

uint32_t zpy_arrive(struct zpy_receiver *self, struct zrx_event *events, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct zrx_event *event = &events[i];
		int is_listeners = event->tag & ZPY_TAG_LISTENER;

		if (is_listeners && event->kind != ZRX_EVENT_ADDED && !recognise(self, event))
			continue;
		if (event->kind == ZRX_EVENT_ADDED && is_listeners)
			welcome(self, event);
		else if (event->kind == ZRX_EVENT_ADDED)
			move_here(self, event);
		if (kept != i)
			events[kept] = *event;
		kept++;
	}
	return kept;
}
