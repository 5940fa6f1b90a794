/* SPDX-License-Identifier: MIT */
/* Stream: one connected socket of a receiver. */
#include "zpy.h"

struct zpy_stream *zpy_stream_new(const void *receiver, int fd, uint64_t limit_bytes, PyObject *tag)
{
	struct zpy_stream *self = PyObject_GC_New(struct zpy_stream, zpy.stream);

	if (!self)
		return NULL;
	self->handle = 0;
	self->limit_bytes = limit_bytes;
	self->tag = Py_NewRef(tag);
	atomic_init(&self->receiver, receiver);
	self->next = NULL;
	self->previous = NULL;
	self->fd = fd;
	PyObject_GC_Track(self);
	return self;
}

PyObject *zpy_stream_tag(struct zpy_stream *self)
{
	PyObject *tag;

	ZPY_LOCK(self);
	tag = Py_NewRef(self->tag ? self->tag : Py_None);
	ZPY_UNLOCK();
	return tag;
}

void zpy_stream_link(struct zpy_stream **first, struct zpy_stream *stream)
{
	stream->next = *first;
	if (stream->next)
		stream->next->previous = stream;
	*first = stream;
}

void zpy_stream_unlink(struct zpy_stream **first, struct zpy_stream *stream)
{
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		*first = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	stream->next = stream->previous = NULL;
}

static int stream_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct zpy_stream *)self)->tag);
	return 0;
}

static int stream_clear(PyObject *self)
{
	Py_CLEAR(((struct zpy_stream *)self)->tag);
	return 0;
}

static void stream_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	stream_clear(self);
	PyObject_GC_Del(self);
	Py_DECREF(type);
}

static PyObject *get_tag(PyObject *self, void *closure)
{
	(void)closure;
	return zpy_stream_tag((struct zpy_stream *)self);
}

static int set_tag(PyObject *object, PyObject *value, void *closure)
{
	struct zpy_stream *self = (struct zpy_stream *)object;
	PyObject *before;

	(void)closure;
	if (!value) {
		PyErr_SetString(PyExc_TypeError, "tag cannot be deleted");
		return -1;
	}
	ZPY_LOCK(self);
	before = self->tag;
	self->tag = Py_NewRef(value);
	ZPY_UNLOCK();
	Py_XDECREF(before); /* not under the lock: it may run Python code */
	return 0;
}

static PyObject *get_limit(PyObject *self, void *closure)
{
	uint64_t limit = ((struct zpy_stream *)self)->limit_bytes;

	(void)closure;
	if (!limit)
		Py_RETURN_NONE;
	return PyLong_FromUnsignedLongLong(limit);
}

/* Any thread asks; the owner's marks the end. */
static int is_running(PyObject *self)
{
	struct zpy_stream *stream = (struct zpy_stream *)self;

	return atomic_load_explicit(&stream->receiver, memory_order_relaxed) != NULL;
}

static PyObject *get_ended(PyObject *self, void *closure)
{
	(void)closure;
	return PyBool_FromLong(!is_running(self));
}

static PyObject *stream_repr(PyObject *object)
{
	struct zpy_stream *self = (struct zpy_stream *)object;

	return PyUnicode_FromFormat("<zcrx.Stream fd=%d%s>", self->fd,
				    is_running(object) ? "" : ", ended");
}

static PyMemberDef stream_members[] = {
	{"fd", T_INT, offsetof(struct zpy_stream, fd), READONLY,
	 "Number that the socket had when it was added."},
	{NULL, 0, 0, 0, NULL},
};

static PyGetSetDef stream_getset[] = {
	{"tag", get_tag, set_tag,
	 "What was given to Receiver.add, Group.add or Group.listen, or was set since.", NULL},
	{"limit", get_limit, NULL, "Bytes after which the stream ends, or None.", NULL},
	{"ended", get_ended, NULL, "Whether its last event was received.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stream_slots[] = {
	{Py_tp_doc, "One connected TCP socket that was added to a receiver."},
	{Py_tp_dealloc, stream_dealloc},
	{Py_tp_traverse, stream_traverse},
	{Py_tp_clear, stream_clear},
	{Py_tp_repr, stream_repr},
	{Py_tp_members, stream_members},
	{Py_tp_getset, stream_getset},
	{0, NULL},
};

PyType_Spec zpy_stream_spec = {
	.name = "zcrx.Stream",
	.basicsize = sizeof(struct zpy_stream),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = stream_slots,
};
