/* SPDX-License-Identifier: MIT */
/* Receiver.receive: the hot call. */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "zpy.h"

#define DEFAULT_EVENTS ZPY_SPARE_EVENTS
#define MOST_EVENTS    65536

struct request {
	int64_t timeout_ns; /* negative: for ever */
	uint32_t capacity;
};

static int read_timeout(PyObject *object, int64_t *timeout_ns)
{
	double seconds;

	*timeout_ns = -1;
	if (object == Py_None)
		return 0;
	seconds = PyFloat_AsDouble(object);
	if (seconds == -1.0 && PyErr_Occurred())
		return -1;
	if (!(seconds >= 0)) {
		PyErr_SetString(PyExc_ValueError, "timeout: seconds, 0 or more, or None");
		return -1;
	}
	/* More than a century is for ever. */
	if (seconds < 4e9)
		*timeout_ns = (int64_t)ceil(seconds * 1e9);
	return 0;
}

static int read_capacity(PyObject *object, uint32_t *capacity)
{
	long value = PyLong_AsLong(object);

	if (value == -1 && PyErr_Occurred())
		return -1;
	if (value < 1 || value > MOST_EVENTS) {
		PyErr_Format(PyExc_ValueError, "max_events: 1 to %d", MOST_EVENTS);
		return -1;
	}
	*capacity = (uint32_t)value;
	return 0;
}

static int read_arguments(PyObject *const *args, Py_ssize_t count, PyObject *names,
			  struct request *request)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;

	request->timeout_ns = -1;
	request->capacity = DEFAULT_EVENTS;
	if (count > 1) {
		PyErr_SetString(PyExc_TypeError, "receive(timeout=None, *, max_events=64)");
		return -1;
	}
	if (count == 1 && read_timeout(args[0], &request->timeout_ns) < 0)
		return -1;
	for (Py_ssize_t i = 0; i < named; i++) {
		PyObject *name = PyTuple_GetItem(names, i);
		PyObject *value = args[count + i];
		int result;

		if (!count && PyUnicode_CompareWithASCIIString(name, "timeout") == 0)
			result = read_timeout(value, &request->timeout_ns);
		else if (PyUnicode_CompareWithASCIIString(name, "max_events") == 0)
			result = read_capacity(value, &request->capacity);
		else
			result = (PyErr_Format(PyExc_TypeError, "receive: unexpected argument %R",
					       name),
				  -1);
		if (result < 0)
			return -1;
	}
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The stream is over: whoever has kept a reference to it drops that. */
static void finish(struct zpy_receiver *self, const struct zrx_event *event)
{
	struct zpy_stream *stream = (struct zpy_stream *)(uintptr_t)event->tag;
	const void *keeper = atomic_load_explicit(&stream->receiver, memory_order_relaxed);

	/* Without a handle nothing was added: it is the group's still, or stands for a listening
	 * socket. */
	if (event->stream)
		zpy_receiver_forget(self, stream);
	else if (self->group && keeper == self->group)
		zpy_group_forget(self->group, stream);
}

/* The batch refers to the streams of its events; the receiver drops its own reference with the last
 * event. */
static void adopt(struct zpy_receiver *self, struct zpy_batch *batch, uint32_t count)
{
	uint64_t before = 0, bytes = 0;

	if (self->group)
		count = zpy_arrive(self, batch->events, count);
	for (uint32_t i = 0; i < count; i++) {
		struct zrx_event *event = &batch->events[i];

		if (event->tag != before) {
			Py_INCREF((PyObject *)(uintptr_t)event->tag);
			batch->references++;
		}
		before = event->tag;
		bytes += event->buffer.length; /* 0 where there is none */
		if (zpy_is_last(event))
			finish(self, event);
	}
	batch->bytes = bytes;
	batch->count = count;
}

/* Returns a count; -EINTR with no exception; or another negative errno with one set. */
static int receive_once(struct zpy_receiver *self, struct zpy_batch *batch, uint32_t capacity,
			int64_t timeout_ns)
{
	struct zrx_receiver *core = zpy_enter_owner(self);
	int result;

	if (!core)
		return -EBADF;
	Py_BEGIN_ALLOW_THREADS
	result = zrx_receiver_receive(core, batch->events, capacity, timeout_ns);
	Py_END_ALLOW_THREADS
	if (result < 0 && result != -EINTR) {
		zpy_leave_and_raise(self);
		return result;
	}
	if (result > 0)
		adopt(self, batch, (uint32_t)result);
	zpy_leave_owner(self);
	return result;
}

PyObject *zpy_receiver_receive(PyObject *object, PyObject *const *args, Py_ssize_t count,
			       PyObject *names)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	struct request request;
	struct zpy_batch *batch;
	int64_t deadline_ns = 0;
	int result;

	if (read_arguments(args, count, names, &request) < 0)
		return NULL;
	batch = zpy_batch_new(request.capacity, self->area);
	if (!batch)
		return NULL;
	if (request.timeout_ns > 0)
		deadline_ns = now_ns() + request.timeout_ns;
	while ((result = receive_once(self, batch, request.capacity, request.timeout_ns)) ==
	       -EINTR) {
		if (PyErr_CheckSignals() < 0)
			break;
		if (request.timeout_ns > 0) {
			request.timeout_ns = deadline_ns - now_ns();
			if (request.timeout_ns < 0)
				request.timeout_ns = 0;
		}
	}
	if (result < 0) {
		Py_DECREF(batch);
		return NULL;
	}
	return (PyObject *)batch;
}
