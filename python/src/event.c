/* SPDX-License-Identifier: MIT */
/* Event: what happened to a stream. */
#include <string.h>

#include "zpy.h"

struct zpy_event {
	PyObject_HEAD PyObject *stream;
	PyObject *kind;
	PyObject *buffer; /* None unless kind is "data" */
	int32_t error;
	uint16_t flags;
};

PyObject *zpy_event_new(const struct zrx_event *raw, struct zpy_area *area)
{
	PyObject *stream = (PyObject *)(uintptr_t)raw->tag;
	PyObject *buffer;
	struct zpy_event *self;

	buffer = raw->kind == ZRX_EVENT_DATA ? zpy_buffer_new(&raw->buffer, area)
					     : Py_NewRef(Py_None);
	self = buffer ? PyObject_GC_New(struct zpy_event, zpy.event) : NULL;
	if (!self) {
		Py_XDECREF(buffer);
		return NULL;
	}
	self->stream = Py_NewRef(stream ? stream : Py_None);
	self->kind = Py_NewRef(zpy.kinds[raw->kind]);
	self->buffer = buffer;
	self->error = raw->error;
	self->flags = raw->flags;
	PyObject_GC_Track(self);
	return (PyObject *)self;
}

static int event_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct zpy_event *)self)->stream);
	return 0;
}

static int event_clear(PyObject *self)
{
	Py_CLEAR(((struct zpy_event *)self)->stream);
	return 0;
}

static void event_dealloc(PyObject *object)
{
	struct zpy_event *self = (struct zpy_event *)object;
	PyTypeObject *type = Py_TYPE(object);

	PyObject_GC_UnTrack(object);
	Py_CLEAR(self->stream);
	Py_DECREF(self->kind);
	Py_DECREF(self->buffer);
	PyObject_GC_Del(object);
	Py_DECREF(type);
}

static PyObject *get_end(PyObject *object, void *closure)
{
	struct zpy_event *self = (struct zpy_event *)object;

	(void)closure;
	if (self->kind != zpy.kinds[ZRX_EVENT_END])
		Py_RETURN_NONE;
	return PyUnicode_FromString(self->flags & ZRX_END_LIMIT     ? "limit"
				    : self->flags & ZRX_END_REMOVED ? "removed"
								    : "peer");
}

static PyObject *get_error(PyObject *object, void *closure)
{
	struct zpy_event *self = (struct zpy_event *)object;

	(void)closure;
	if (self->kind != zpy.kinds[ZRX_EVENT_ERROR])
		Py_RETURN_NONE;
	/* OSError picks the subclass that fits the errno. */
	return PyObject_CallFunction(PyExc_OSError, "is", -self->error, strerror(-self->error));
}

static PyObject *event_repr(PyObject *object)
{
	struct zpy_event *self = (struct zpy_event *)object;

	return PyUnicode_FromFormat("<zcrx.Event %U of %R>", self->kind, self->stream);
}

static PyMemberDef event_members[] = {
	{"stream", T_OBJECT_EX, offsetof(struct zpy_event, stream), READONLY, "Whose event it is."},
	{"kind", T_OBJECT_EX, offsetof(struct zpy_event, kind), READONLY,
	 "\"data\", \"end\" or \"error\"."},
	{"buffer", T_OBJECT_EX, offsetof(struct zpy_event, buffer), READONLY,
	 "The stream's next bytes; None unless kind is \"data\"."},
	{NULL, 0, 0, 0, NULL},
};

static PyGetSetDef event_getset[] = {
	{"end", get_end, NULL,
	 "How the stream ended: \"peer\" (the other side closed), \"limit\", \"removed\"; else "
	 "None.",
	 NULL},
	{"error", get_error, NULL,
	 "An OSError (ConnectionResetError, ...) if kind is \"error\"; else None.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot event_slots[] = {
	{Py_tp_doc, "What happened to a stream: data came, it ended, or it failed."},
	{Py_tp_dealloc, event_dealloc},
	{Py_tp_traverse, event_traverse},
	{Py_tp_clear, event_clear},
	{Py_tp_repr, event_repr},
	{Py_tp_members, event_members},
	{Py_tp_getset, event_getset},
	{0, NULL},
};

PyType_Spec zpy_event_spec = {
	.name = "zcrx.Event",
	.basicsize = sizeof(struct zpy_event),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = event_slots,
};
