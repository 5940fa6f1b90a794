/* SPDX-License-Identifier: MIT */
/* The base of zcrx.Group: its life, and the sockets that it is given. */
#include <errno.h>
#include <stdlib.h>

#include "zpy.h"

static PyObject *group_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct zpy_group *self = (struct zpy_group *)allocate(type, 0);

	(void)args;
	(void)keywords;
	if (!self)
		return NULL;
	pthread_mutex_init(&self->lock, NULL); /* plain ones cannot fail */
	pthread_cond_init(&self->left, NULL);
	atomic_init(&self->gate, 0);
	self->forks = atomic_load(&zpy.forks);
	self->listeners = PyList_New(0);
	if (!self->listeners) {
		Py_DECREF(self);
		return NULL;
	}
	return (PyObject *)self;
}

/* ---- open ---- */

/* What may fail is done before the core's receivers are anybody's. */
static int make_receivers(struct zpy_receiver **receivers, struct zpy_area **areas, uint32_t count,
			  PyObject *factory)
{
	for (uint32_t i = 0; i < count; i++) {
		PyObject *made = PyObject_CallObject(factory, NULL);

		receivers[i] = (struct zpy_receiver *)made;
		if (!made || !(areas[i] = zpy_area_new(-1)))
			return -1;
	}
	return 0;
}

static void drop_receivers(struct zpy_receiver **receivers, uint32_t count)
{
	for (uint32_t i = 0; receivers && i < count; i++)
		Py_XDECREF((PyObject *)receivers[i]);
	free(receivers);
}

static int join_receivers(struct zpy_group *self, struct zrx_group *core, PyObject *factory)
{
	uint32_t count = zrx_group_count(core);
	struct zpy_receiver **receivers = calloc(count, sizeof(struct zpy_receiver *));
	struct zpy_area **areas = calloc(count, sizeof(struct zpy_area *));

	if (!receivers || !areas) {
		free(receivers);
		free(areas);
		PyErr_NoMemory();
		return -1;
	}
	if (make_receivers(receivers, areas, count, factory) < 0) {
		for (uint32_t i = 0; i < count; i++)
			zpy_area_put(areas[i]);
		free(areas);
		drop_receivers(receivers, count);
		return -1;
	}
	for (uint32_t i = 0; i < count; i++)
		zpy_receiver_join(receivers[i], self, zrx_group_receiver(core, i), areas[i]);
	free(areas);
	self->count = count;
	self->receivers = receivers;
	return 0;
}

static int open_core(struct zpy_group *self, const struct zrx_group_options *options,
		     PyObject *factory)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_group *core;
	int result;

	Py_BEGIN_ALLOW_THREADS
	result = zrx_group_open(&core, options, &error);
	Py_END_ALLOW_THREADS
	if (result < 0) {
		zpy_raise(&error);
		return -1;
	}
	self->forks = atomic_load(&zpy.forks);
	if (join_receivers(self, core, factory) < 0) {
		Py_BEGIN_ALLOW_THREADS
		zrx_group_close(core);
		Py_END_ALLOW_THREADS
		return -1;
	}
	atomic_store_explicit(&self->core, core, memory_order_release);
	return 0;
}

PyObject *zpy_group_open(PyObject *object, struct zrx_group_options *options,
			 struct zrx_options *receiver, PyObject *factory)
{
	struct zpy_group *self = (struct zpy_group *)object;
	uint32_t gate = 0;
	int result = -1;

	/* Its own bit keeps a second open out. */
	if (!PyObject_TypeCheck(object, zpy.group) ||
	    !atomic_compare_exchange_strong(&self->gate, &gate, ZPY_GATE_OWNER)) {
		PyErr_SetString(PyExc_TypeError, "not a new Group");
		return NULL;
	}
	if (self->receivers) {
		PyErr_SetString(PyExc_TypeError, "the Group is open");
	} else {
		options->receiver = receiver;
		result = open_core(self, options, factory);
		options->receiver = NULL;
	}
	gate = atomic_fetch_and(&self->gate, ~ZPY_GATE_OWNER);
	if (gate & ZPY_GATE_CLOSED)
		zpy_group_tell_left(self);
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* ---- close ---- */

static void drop_waiting(struct zpy_group *self)
{
	struct zpy_stream *stream;

	do {
		ZPY_LOCK(self);
		stream = (struct zpy_stream *)Py_XNewRef((PyObject *)self->waiting);
		ZPY_UNLOCK();
		if (stream)
			zpy_group_forget(self, stream);
		Py_XDECREF((PyObject *)stream);
	} while (stream);
}

/* Returns what the core's close does. The gates must be closed. */
static int close_core(struct zpy_group *self)
{
	struct zrx_group *core = self->core;
	int result = 0;

	atomic_store_explicit(&self->core, NULL, memory_order_release);
	for (uint32_t i = 0; i < self->count; i++)
		zpy_receiver_detach(self->receivers[i]);
	/* In a forked child the rings are the parent's. */
	if (core && self->forks == atomic_load(&zpy.forks)) {
		Py_BEGIN_ALLOW_THREADS
		result = zrx_group_close(core);
		Py_END_ALLOW_THREADS
	}
	for (uint32_t i = 0; i < self->count; i++)
		zpy_receiver_drop_streams(self->receivers[i]);
	drop_waiting(self);
	if (PyList_SetSlice(self->listeners, 0, PY_SSIZE_T_MAX, NULL) < 0)
		PyErr_Clear(); /* they go with the group */
	return result;
}

static PyObject *group_close(PyObject *object, PyObject *unused)
{
	struct zpy_group *self = (struct zpy_group *)object;
	int entered = zpy_group_enter_last(self), result;

	(void)unused;
	if (entered < 0)
		return NULL;
	if (!entered)
		Py_RETURN_FALSE;
	result = close_core(self);
	if (result >= 0)
		return PyBool_FromLong(result == ZRX_CLOSE_DEFERRED);
	zpy_raise_new(result, ZRX_STAGE_QUEUE,
		      "the kernel has not let go of a queue of the NIC: the memory of its area is "
		      "leaked",
		      "zcrx nic restore puts the NIC back, once the queue is free");
	return NULL;
}

static PyObject *group_exit(PyObject *self, PyObject *exception)
{
	PyObject *deferred = group_close(self, NULL);

	/* What the block raised is not hidden by what close has to say. */
	if (!deferred && zpy_is_raised(exception)) {
		PyErr_Clear();
		Py_RETURN_NONE;
	}
	if (!deferred)
		return NULL;
	Py_DECREF(deferred);
	Py_RETURN_NONE;
}

static PyObject *group_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return Py_NewRef(self);
}

static void group_finalize(PyObject *object)
{
	struct zpy_group *self = (struct zpy_group *)object;
	PyObject *type, *value, *traceback;

	if (!self->core)
		return;
	PyErr_Fetch(&type, &value, &traceback);
	if (self->forks == atomic_load(&zpy.forks) &&
	    PyErr_ResourceWarning(object, 1, "unclosed group: close it, or use a with block") < 0)
		PyErr_WriteUnraisable(object);
	/* Nobody refers to it or to its receivers, so no call runs. */
	if (zpy_group_enter_last(self) > 0)
		close_core(self);
	PyErr_Restore(type, value, traceback);
}

static int group_traverse(PyObject *object, visitproc visit, void *arg)
{
	struct zpy_group *self = (struct zpy_group *)object;

	Py_VISIT(Py_TYPE(object));
	for (uint32_t i = 0; i < self->count; i++)
		Py_VISIT(self->receivers[i]);
	for (struct zpy_stream *stream = self->waiting; stream; stream = stream->next)
		Py_VISIT(stream);
	Py_VISIT(self->listeners);
	return 0;
}

/* It was closed by its finalizer: what is dropped here is only memory. */
static int group_clear(PyObject *object)
{
	struct zpy_group *self = (struct zpy_group *)object;
	struct zpy_receiver **receivers = self->receivers;
	uint32_t count = self->count;

	self->count = 0;
	self->receivers = NULL;
	drop_receivers(receivers, count);
	return 0;
}

static void group_dealloc(PyObject *object)
{
	struct zpy_group *self = (struct zpy_group *)object;
	PyTypeObject *type = Py_TYPE(object);
	freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);

	/* As for receivers: zcrx.Group is a Python class, whose dealloc has run the finalizer. */
	PyObject_GC_UnTrack(object);
	if (self->weakrefs)
		PyObject_ClearWeakRefs(object);
	group_clear(object);
	Py_XDECREF(self->listeners);
	pthread_cond_destroy(&self->left);
	pthread_mutex_destroy(&self->lock);
	free_object(object);
	Py_DECREF(type);
}

/* ---- sockets ---- */

void zpy_group_forget(struct zpy_group *self, struct zpy_stream *stream)
{
	ZPY_LOCK(self);
	zpy_stream_unlink(&self->waiting, stream);
	ZPY_UNLOCK();
	atomic_store_explicit(&stream->receiver, NULL, memory_order_relaxed);
	Py_DECREF(stream); /* not under the lock: it may run the tag's destructor */
}

/* The stream is kept until its receiver has it: that may be before zrx_group_add returns. */
static void keep(struct zpy_group *self, struct zpy_stream *stream)
{
	Py_INCREF((PyObject *)stream);
	ZPY_LOCK(self);
	zpy_stream_link(&self->waiting, stream);
	ZPY_UNLOCK();
}

static int hand_over(struct zpy_group *self, struct zpy_stream *stream,
		     struct zrx_stream_options *options)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	if (!zpy_group_enter(self))
		return -1;
	keep(self, stream);
	Py_BEGIN_ALLOW_THREADS /* on a NIC it may ask the driver for the queues */
	result = zrx_group_add(self->core, stream->fd, options, &error);
	Py_END_ALLOW_THREADS
	if (result < 0)
		zpy_group_forget(self, stream);
	zpy_group_leave(self);
	if (result < 0)
		zpy_raise(&error);
	return result;
}

static PyObject *group_add(PyObject *object, PyObject *args)
{
	struct zpy_group *self = (struct zpy_group *)object;
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	unsigned long long limit, window;
	struct zpy_stream *stream;
	PyObject *tag;
	int fd;

	if (!PyArg_ParseTuple(args, "iKKO", &fd, &limit, &window, &tag))
		return NULL;
	stream = zpy_stream_new(self, fd, limit, tag);
	if (!stream)
		return NULL;
	options.limit_bytes = limit;
	options.window_bytes = window;
	options.tag = (uintptr_t)stream;
	if (hand_over(self, stream, &options) < 0)
		Py_CLEAR(stream);
	return (PyObject *)stream;
}

static void drop_listener(struct zpy_group *self, struct zpy_stream *listener)
{
	Py_ssize_t index = PySequence_Index(self->listeners, (PyObject *)listener);

	if (index < 0 || PySequence_DelItem(self->listeners, index) < 0)
		PyErr_Clear(); /* it goes with the group */
}

static int listen_on(struct zpy_group *self, struct zpy_stream *listener,
		     struct zrx_stream_options *options)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	if (!zpy_group_enter(self))
		return -1;
	/* Kept until the group is closed: events may come with its tag as long. */
	if (PyList_Append(self->listeners, (PyObject *)listener) < 0) {
		zpy_group_leave(self);
		return -1;
	}
	Py_BEGIN_ALLOW_THREADS
	result = zrx_group_listen(self->core, listener->fd, options, &error);
	Py_END_ALLOW_THREADS
	if (result < 0)
		drop_listener(self, listener);
	zpy_group_leave(self);
	if (result < 0)
		zpy_raise(&error);
	return result;
}

static PyObject *group_listen(PyObject *object, PyObject *args)
{
	struct zpy_group *self = (struct zpy_group *)object;
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	unsigned long long limit, window;
	struct zpy_stream *listener;
	PyObject *tag;
	int fd, result;

	if (!PyArg_ParseTuple(args, "iKKO", &fd, &limit, &window, &tag))
		return NULL;
	listener = zpy_stream_new(NULL, fd, limit, tag);
	if (!listener)
		return NULL;
	options.limit_bytes = limit;
	options.window_bytes = window;
	options.tag = (uintptr_t)listener | ZPY_TAG_LISTENER;
	result = listen_on(self, listener, &options);
	Py_DECREF(listener);
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* ---- facts ---- */

PyObject *zpy_group_stats(PyObject *object, struct zrx_group_stats *stats)
{
	struct zpy_group *self = (struct zpy_group *)object;
	int result;

	if (!PyObject_TypeCheck(object, zpy.group)) {
		PyErr_SetString(PyExc_TypeError, "not a zcrx.Group");
		return NULL;
	}
	if (!zpy_group_enter(self))
		return NULL;
	Py_BEGIN_ALLOW_THREADS /* a thread may be opening or closing a receiver */
	result = zrx_group_stats(self->core, stats);
	Py_END_ALLOW_THREADS
	zpy_group_leave(self);
	if (result < 0) {
		zpy_raise_new(result, ZRX_STAGE_NONE, "the core refused to tell", "");
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyObject *get_receivers(PyObject *object, void *closure)
{
	struct zpy_group *self = (struct zpy_group *)object;
	PyObject *tuple = PyTuple_New(self->count);

	(void)closure;
	for (uint32_t i = 0; tuple && i < self->count; i++)
		if (PyTuple_SetItem(tuple, i, Py_NewRef((PyObject *)self->receivers[i])) < 0)
			Py_CLEAR(tuple);
	return tuple;
}

static PyObject *get_closed(PyObject *object, void *closure)
{
	struct zpy_group *self = (struct zpy_group *)object;

	(void)closure;
	return PyBool_FromLong(!atomic_load_explicit(&self->core, memory_order_relaxed));
}

static Py_ssize_t group_length(PyObject *object)
{
	return (Py_ssize_t)((struct zpy_group *)object)->count;
}

static PyMethodDef group_methods[] = {
	{"_add", group_add, METH_VARARGS, "_add($self, fd, limit, window, tag, /)\n--\n\n"},
	{"_listen", group_listen, METH_VARARGS,
	 "_listen($self, fd, limit, window, tag, /)\n--\n\n"},
	{"close", group_close, METH_NOARGS,
	 "close($self, /)\n--\n\n"
	 "Stop listening, and close each receiver that its thread has not closed. Any thread.\n\n"
	 "Receives that wait return, calls that run are waited for; later ones raise ClosedError.\n"
	 "Buffers that are out stay valid. Sockets that were not added yet are let go of: those "
	 "that\n"
	 "were accepted are closed. A second close does nothing.\n\n"
	 "Returns True if rings have to be kept until the last of their buffers is released: see\n"
	 "Receiver.close. Raises BusyError if the kernel does not let go of a queue (the group is\n"
	 "closed all the same, and the memory of that area leaked), or from a destructor that a "
	 "call\n"
	 "on one of its receivers runs (the group is not closed)."},
	{"__enter__", group_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
	{"__exit__", group_exit, METH_VARARGS, "__exit__($self, /, *exception)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef group_getset[] = {
	{"closed", get_closed, NULL, "Whether close() was called.", NULL},
	{"receivers", get_receivers, NULL, "Its receivers, closed ones too, as a tuple.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef group_members[] = {
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct zpy_group, weakrefs), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot group_slots[] = {
	{Py_tp_doc, "The part of zcrx.Group that is written in C."},
	{Py_tp_new, group_new},
	{Py_tp_dealloc, group_dealloc},
	{Py_tp_finalize, group_finalize},
	{Py_tp_traverse, group_traverse},
	{Py_tp_clear, group_clear},
	{Py_tp_methods, group_methods},
	{Py_tp_getset, group_getset},
	{Py_tp_members, group_members},
	{Py_sq_length, group_length},
	{0, NULL},
};

PyType_Spec zpy_group_spec = {
	.name = "zcrx._zcrx.Group",
	.basicsize = sizeof(struct zpy_group),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = group_slots,
};
