/* SPDX-License-Identifier: MIT */
/* The base of zcrx.Receiver: its life, and the calls that concern one stream. */
#include <errno.h>

#include "zpy.h"

static PyObject *receiver_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct zpy_receiver *self = (struct zpy_receiver *)allocate(type, 0);

	(void)args;
	(void)keywords;
	if (!self)
		return NULL;
	atomic_init(&self->gate, 0);
	self->forks = atomic_load(&zpy.forks);
	return (PyObject *)self;
}

void zpy_leave_and_raise(struct zpy_receiver *self)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	zrx_receiver_error(self->core, &error);
	zpy_leave_owner(self);
	zpy_raise(&error);
}

/* ---- memory of the caller as the area ---- */

static void free_memory(void *memory, uint64_t bytes, void *context)
{
	Py_buffer *view = context;
	PyGILState_STATE state;

	(void)memory;
	(void)bytes;
	/* When the interpreter is gone its objects are not there to be given back. */
	if (!Py_IsInitialized())
		return;
	state = PyGILState_Ensure();
	PyBuffer_Release(view);
	PyMem_Free(view);
	PyGILState_Release(state);
}

static int use_memory(struct zrx_options *options, PyObject *memory)
{
	Py_buffer *view = PyMem_Malloc(sizeof(*view));

	if (!view) {
		PyErr_NoMemory();
		return -1;
	}
	if (PyObject_GetBuffer(memory, view, PyBUF_WRITABLE) < 0) {
		PyMem_Free(view);
		return -1;
	}
	options->area_kind = ZRX_AREA_CALLER;
	options->area_memory = view->buf;
	options->area_bytes = (uint64_t)view->len;
	options->area_free = free_memory;
	options->area_context = view;
	return 0;
}

/* ---- open and close ---- */

static int open_core(struct zpy_receiver *self, struct zrx_options *options, PyObject *memory)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *core;
	int result;

	if (memory != Py_None && use_memory(options, memory) < 0)
		return -1;
	Py_BEGIN_ALLOW_THREADS
	result = zrx_receiver_open(&core, options, &error);
	Py_END_ALLOW_THREADS
	if (result < 0) {
		if (memory != Py_None)
			free_memory(NULL, 0, options->area_context);
		zpy_raise(&error);
		return -1;
	}
	self->forks = atomic_load(&zpy.forks);
	atomic_store_explicit(&self->core, core, memory_order_release);
	return 0;
}

PyObject *zpy_receiver_open(PyObject *object, struct zrx_options *options, PyObject *memory)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	uint32_t gate = 0;
	int result;

	/* The owner's bit keeps a second open out, and a close. */
	if (!PyObject_TypeCheck(object, zpy.receiver) ||
	    !atomic_compare_exchange_strong(&self->gate, &gate, ZPY_GATE_OWNER)) {
		PyErr_SetString(PyExc_TypeError, "not a new Receiver");
		return NULL;
	}
	if (self->core) {
		PyErr_SetString(PyExc_TypeError, "the Receiver is open");
		result = -1;
	} else {
		self->area = zpy_area_new(options->area_kind == ZRX_AREA_DMABUF ? options->dmabuf_fd
										: -1);
		result = self->area ? open_core(self, options, memory) : -1;
		if (result < 0) {
			zpy_area_put(self->area);
			self->area = NULL;
		}
	}
	zpy_leave_owner(self);
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

void zpy_receiver_join(struct zpy_receiver *self, struct zpy_group *group,
		       struct zrx_receiver *core, struct zpy_area *area)
{
	self->area = area;
	self->group = (struct zpy_group *)Py_NewRef((PyObject *)group);
	self->forks = atomic_load(&zpy.forks);
	atomic_store_explicit(&self->core, core, memory_order_release);
}

void zpy_receiver_drop_streams(struct zpy_receiver *self)
{
	struct zpy_stream *stream;

	do {
		ZPY_LOCK(self);
		stream = (struct zpy_stream *)Py_XNewRef((PyObject *)self->streams);
		ZPY_UNLOCK();
		if (stream)
			zpy_receiver_forget(self, stream);
		Py_XDECREF((PyObject *)stream);
	} while (stream);
	zpy_handles_free(&self->handles);
}

struct zrx_receiver *zpy_receiver_detach(struct zpy_receiver *self)
{
	struct zrx_receiver *core = self->core;

	atomic_store_explicit(&self->core, NULL, memory_order_release);
	if (self->area)
		atomic_store_explicit(&self->area->closed, 1, memory_order_relaxed);
	return core;
}

/* Returns what the core's close does. The gate must be closed. */
static int close_core(struct zpy_receiver *self)
{
	struct zrx_receiver *core = zpy_receiver_detach(self);
	int result = 0;

	/* In a forked child the ring is the parent's. */
	if (core && self->forks == atomic_load(&zpy.forks)) {
		Py_BEGIN_ALLOW_THREADS
		result = zrx_receiver_close(core);
		Py_END_ALLOW_THREADS
	}
	zpy_receiver_drop_streams(self);
	return result;
}

/* Returns what the core's close does; 0 if it was closed before, or, with *raised, if it is not. */
static int close_open(struct zpy_receiver *self, int *raised)
{
	int entered = zpy_enter_last(self);

	*raised = entered < 0;
	return entered > 0 ? close_core(self) : 0;
}

/* It leaves the group, which must not be closed meanwhile; where it is, this one is, too. */
static int close_in_group(struct zpy_receiver *self, int *raised)
{
	int result;

	*raised = 0;
	if (!zpy_group_try_enter(self->group))
		return 0;
	result = close_open(self, raised);
	zpy_group_leave(self->group);
	return result;
}

static PyObject *receiver_close(PyObject *object, PyObject *unused)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	int result, raised;

	(void)unused;
	/* In a forked child the group is the parent's. */
	if (self->group && self->forks == atomic_load(&zpy.forks))
		result = close_in_group(self, &raised);
	else
		result = close_open(self, &raised);
	if (raised)
		return NULL;
	if (result >= 0)
		return PyBool_FromLong(result == ZRX_CLOSE_DEFERRED);
	zpy_raise_new(result, ZRX_STAGE_QUEUE,
		      "the kernel has not let go of the NIC's queue: the area's memory is leaked",
		      "zcrx nic restore puts the NIC back, once the queue is free");
	return NULL;
}

static PyObject *receiver_exit(PyObject *self, PyObject *exception)
{
	PyObject *deferred = receiver_close(self, NULL);

	/* What the block raised is not hidden by what close has to say. */
	if (!deferred && PyTuple_Size(exception) && PyTuple_GetItem(exception, 0) != Py_None) {
		PyErr_Clear();
		Py_RETURN_NONE;
	}
	if (!deferred)
		return NULL;
	Py_DECREF(deferred);
	Py_RETURN_NONE;
}

static PyObject *receiver_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return Py_NewRef(self);
}

static void receiver_finalize(PyObject *object)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	PyObject *type, *value, *traceback;

	/* One of a group is closed with it. */
	if (!self->core || self->group)
		return;
	PyErr_Fetch(&type, &value, &traceback);
	if (self->forks == atomic_load(&zpy.forks) &&
	    PyErr_ResourceWarning(object, 1, "unclosed receiver: close it, or use a with block") <
		    0)
		PyErr_WriteUnraisable(object);
	atomic_store(&self->gate, ZPY_GATE_CLOSED);
	close_core(self);
	PyErr_Restore(type, value, traceback);
}

static int receiver_traverse(PyObject *object, visitproc visit, void *arg)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;

	Py_VISIT(Py_TYPE(object));
	Py_VISIT(self->group);
	for (struct zpy_stream *stream = self->streams; stream; stream = stream->next)
		Py_VISIT(stream);
	return 0;
}

static void receiver_dealloc(PyObject *object)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	PyTypeObject *type = Py_TYPE(object);
	freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);

	/* What is instantiated is zcrx.Receiver, a Python class, whose dealloc has run the
	 * finalizer. */
	PyObject_GC_UnTrack(object);
	if (self->weakrefs)
		PyObject_ClearWeakRefs(object);
	zpy_receiver_drop_streams(self);
	zpy_area_put(self->area);
	Py_XDECREF((PyObject *)self->group);
	free_object(object);
	Py_DECREF(type);
}

/* ---- streams ---- */

void zpy_receiver_remember(struct zpy_receiver *self, struct zpy_stream *stream)
{
	ZPY_LOCK(self);
	zpy_stream_link(&self->streams, stream);
	ZPY_UNLOCK();
}

void zpy_receiver_forget(struct zpy_receiver *self, struct zpy_stream *stream)
{
	ZPY_LOCK(self);
	zpy_stream_unlink(&self->streams, stream);
	ZPY_UNLOCK();
	atomic_store_explicit(&stream->receiver, NULL, memory_order_relaxed);
	Py_DECREF(stream); /* not under the lock: it may run the tag's destructor */
}

static PyObject *receiver_add(PyObject *object, PyObject *args)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	unsigned long long limit, window;
	struct zpy_stream *stream;
	PyObject *tag;
	int fd, result;

	if (!PyArg_ParseTuple(args, "iKKO", &fd, &limit, &window, &tag))
		return NULL;
	stream = zpy_stream_new(self, fd, limit, tag);
	if (!stream)
		return NULL;
	options.limit_bytes = limit;
	options.window_bytes = window;
	options.tag = (uintptr_t)stream;
	if (!zpy_enter_owner(self)) {
		Py_DECREF(stream);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS /* setting a flow rule waits for the driver */
	result = zrx_receiver_add(self->core, fd, &options, &stream->handle);
	Py_END_ALLOW_THREADS
	if (result < 0) {
		zpy_leave_and_raise(self);
		Py_DECREF(stream);
		return NULL;
	}
	Py_INCREF((PyObject *)stream);
	zpy_receiver_remember(self, stream);
	zpy_leave_owner(self);
	return (PyObject *)stream;
}

/* Enter a receiver for a call on a stream of its. Returns 0, -ENOENT if the stream is over, or -1
 * with an exception set; entered only where it is 0. */
static int enter_stream(struct zpy_receiver *self, PyObject *argument)
{
	struct zpy_stream *stream = (struct zpy_stream *)argument;
	const void *receiver;

	if (!PyObject_TypeCheck(argument, zpy.stream)) {
		PyErr_SetString(PyExc_TypeError, "a zcrx.Stream is needed");
		return -1;
	}
	if (!zpy_enter_owner(self))
		return -1;
	receiver = atomic_load_explicit(&stream->receiver, memory_order_relaxed);
	if (receiver == self)
		return 0;
	zpy_leave_owner(self);
	if (!receiver)
		return -ENOENT;
	PyErr_SetString(PyExc_ValueError, "the stream belongs to another receiver");
	return -1;
}

/* Leave after a call on a stream. Returns what the call did if that was 0 or -ENOENT; else -1 with
 * an exception set. */
static int leave_stream(struct zpy_receiver *self, int result)
{
	if (result < 0 && result != -ENOENT) {
		zpy_leave_and_raise(self);
		return -1;
	}
	zpy_leave_owner(self);
	return result;
}

static PyObject *raise_ended(void)
{
	zpy_raise_new(-ENOENT, ZRX_STAGE_STREAM, "the stream has ended",
		      "look at stream.ended first, or at the events");
	return NULL;
}

static PyObject *receiver_remove(PyObject *object, PyObject *argument)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	int result = enter_stream(self, argument);

	if (!result) {
		Py_BEGIN_ALLOW_THREADS /* undoing a flow rule waits for the driver */
		result = zrx_receiver_remove(self->core, ((struct zpy_stream *)argument)->handle);
		Py_END_ALLOW_THREADS
		result = leave_stream(self, result);
	}
	return result == -1 ? NULL : PyBool_FromLong(result == 0);
}

static PyObject *pause_or_resume(PyObject *object, PyObject *argument,
				 int (*call)(struct zrx_receiver *receiver, uint64_t stream))
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	int result = enter_stream(self, argument);

	if (!result)
		result = leave_stream(self,
				      call(self->core, ((struct zpy_stream *)argument)->handle));
	if (result == -ENOENT)
		return raise_ended();
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *receiver_pause(PyObject *self, PyObject *stream)
{
	return pause_or_resume(self, stream, zrx_receiver_pause);
}

static PyObject *receiver_resume(PyObject *self, PyObject *stream)
{
	return pause_or_resume(self, stream, zrx_receiver_resume);
}

PyObject *zpy_stream_stats(PyObject *object, PyObject *argument, struct zrx_stream_stats *stats)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	int result;

	if (!PyObject_TypeCheck(object, zpy.receiver)) {
		PyErr_SetString(PyExc_TypeError, "not a zcrx.Receiver");
		return NULL;
	}
	result = enter_stream(self, argument);
	if (!result)
		result = leave_stream(
			self, zrx_stream_stats(self->core, ((struct zpy_stream *)argument)->handle,
					       stats));
	if (result == -ENOENT)
		return raise_ended();
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* What an iterator asks before it waits: without an object, and for ended streams too. */
static PyObject *receiver_at_window(PyObject *object, PyObject *argument)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;
	int result = enter_stream(self, argument);

	if (!result)
		result = leave_stream(
			self, zrx_stream_stats(self->core, ((struct zpy_stream *)argument)->handle,
					       &stats));
	return result == -1 ? NULL : PyBool_FromLong(stats.at_window);
}

/* ---- facts ---- */

static PyObject *get_closed(PyObject *object, void *closure)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;

	(void)closure;
	return PyBool_FromLong(!atomic_load_explicit(&self->core, memory_order_relaxed));
}

static PyObject *get_group(PyObject *object, void *closure)
{
	struct zpy_group *group = ((struct zpy_receiver *)object)->group;

	(void)closure;
	return Py_NewRef(group ? (PyObject *)group : Py_None);
}

static PyObject *get_streams(PyObject *object, void *closure)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	PyObject *list = PyList_New(0);
	int failed = 0;

	(void)closure;
	if (!list)
		return NULL;
	ZPY_LOCK(self);
	for (struct zpy_stream *stream = self->streams; stream && !failed; stream = stream->next)
		failed = PyList_Append(list, (PyObject *)stream) < 0;
	ZPY_UNLOCK();
	if (failed)
		Py_CLEAR(list);
	return list;
}

static PyMethodDef receiver_methods[] = {
	{"receive", (PyCFunction)(void (*)(void))zpy_receiver_receive,
	 METH_FASTCALL | METH_KEYWORDS,
	 "receive($self, /, timeout=None, *, max_events=64)\n--\n\n"
	 "Receive events.\n\n"
	 "timeout     seconds to wait; 0: not at all; None: for ever\n"
	 "max_events  1 to 65536\n\n"
	 "Returns a Batch; an empty one when the time is over or wake() was called. Other threads "
	 "run\n"
	 "while it waits. Belongs to the thread that calls it first."},
	{"_add", receiver_add, METH_VARARGS, "_add($self, fd, limit, window, tag, /)\n--\n\n"},
	{"_at_window", receiver_at_window, METH_O, "_at_window($self, stream, /)\n--\n\n"},
	{"remove", receiver_remove, METH_O,
	 "remove($self, stream, /)\n--\n\n"
	 "Remove a stream: what the kernel has delivered still comes as data, then one end "
	 "event.\n\n"
	 "Bytes that are still in the socket stay there. Returns False if it has ended already."},
	{"pause", receiver_pause, METH_O,
	 "pause($self, stream, /)\n--\n\n"
	 "Ask nothing more of the kernel for a stream until resume(): what comes stays in the "
	 "socket, and\n"
	 "TCP slows the peer down. What was delivered before still comes as data; the end and "
	 "errors are\n"
	 "told after resume(). Raises zcrx.Error if the stream has ended (ENOENT), or if it was "
	 "paused\n"
	 "before (EALREADY)."},
	{"resume", receiver_resume, METH_O,
	 "resume($self, stream, /)\n--\n\n"
	 "Let a stream go on that was paused by pause(): at once, or, if it is at its window, when "
	 "enough\n"
	 "is released. Raises zcrx.Error if the stream has ended (ENOENT), or if it is not paused\n"
	 "(EALREADY)."},
	{"close", receiver_close, METH_NOARGS,
	 "close($self, /)\n--\n\n"
	 "Close the receiver. Buffers that are out stay valid. A second close does nothing.\n\n"
	 "Returns True if the ring has to be kept until the last of them is released: on another\n"
	 "thread than the one that received, and on a NIC's queue where the kernel is before 7.2.\n"
	 "Raises BusyError if the kernel does not let go of the queue: the receiver is closed all\n"
	 "the same, and the memory of its area leaked."},
	{"__enter__", receiver_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
	{"__exit__", receiver_exit, METH_VARARGS, "__exit__($self, /, *exception)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef receiver_getset[] = {
	{"group", get_group, NULL, "The group that it is one of; None if it was opened by itself.",
	 NULL},
	{"closed", get_closed, NULL, "Whether close() was called.", NULL},
	{"streams", get_streams, NULL, "The streams that were added and have not ended, as a list.",
	 NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef receiver_members[] = {
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct zpy_receiver, weakrefs), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot receiver_slots[] = {
	{Py_tp_doc, "The part of zcrx.Receiver that is written in C."},
	{Py_tp_new, receiver_new},
	{Py_tp_dealloc, receiver_dealloc},
	{Py_tp_finalize, receiver_finalize},
	{Py_tp_traverse, receiver_traverse},
	{Py_tp_methods, receiver_methods},
	{Py_tp_getset, receiver_getset},
	{Py_tp_members, receiver_members},
	{0, NULL},
};

PyType_Spec zpy_receiver_spec = {
	.name = "zcrx._zcrx.Receiver",
	.basicsize = sizeof(struct zpy_receiver),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = receiver_slots,
};
