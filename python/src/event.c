/* SPDX-License-Identifier: MIT */
/* Event: what happened to a stream. */
#include <string.h>
#include <unistd.h>

#include "zpy.h"

struct zpy_event {
	PyObject_HEAD PyObject *stream;
	PyObject *kind;
	PyObject *buffer; /* None unless kind is "data" */
	PyObject *socket; /* None unless a connection was accepted */
	int32_t error;
	uint16_t flags;
};

/* A socket.socket, which owns the descriptor; where there is none the descriptor is closed. */
static PyObject *new_socket(int fd)
{
	PyObject *module = PyImport_ImportModule("socket");
	PyObject *type = module ? PyObject_GetAttrString(module, "socket") : NULL;
	PyObject *nothing = PyTuple_New(0), *named = Py_BuildValue("{si}", "fileno", fd);
	PyObject *made = type && nothing && named ? PyObject_Call(type, nothing, named) : NULL;

	if (!made)
		close(fd);
	Py_XDECREF(named);
	Py_XDECREF(nothing);
	Py_XDECREF(type);
	Py_XDECREF(module);
	return made;
}

#define REFUSED (1u << 15) /* beside ZRX_ADDED_*: nothing was added */

static uint16_t flags_of(const struct zrx_event *raw)
{
	if (raw->kind != ZRX_EVENT_ERROR)
		return raw->flags;
	/* An error of a stream is that of the stream, however it came. */
	if (raw->stream)
		return 0;
	return raw->flags & ZRX_ADDED_LISTENER ? raw->flags : raw->flags | REFUSED;
}

PyObject *zpy_event_new(const struct zrx_event *raw, struct zpy_area *area)
{
	PyObject *stream = (PyObject *)(uintptr_t)raw->tag;
	PyObject *buffer, *socket;
	struct zpy_event *self = NULL;

	buffer = raw->kind == ZRX_EVENT_DATA ? zpy_buffer_new(&raw->buffer, area)
					     : Py_NewRef(Py_None);
	socket = zpy_has_descriptor(raw) ? new_socket(raw->error) : Py_NewRef(Py_None);
	if (buffer && socket)
		self = PyObject_GC_New(struct zpy_event, zpy.event);
	if (!self) {
		Py_XDECREF(buffer);
		Py_XDECREF(socket);
		return NULL;
	}
	self->stream = Py_NewRef(stream ? stream : Py_None);
	self->kind = Py_NewRef(zpy.kinds[raw->kind]);
	self->buffer = buffer;
	self->socket = socket;
	self->error = raw->error;
	self->flags = flags_of(raw);
	PyObject_GC_Track(self);
	return (PyObject *)self;
}

static int event_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct zpy_event *)self)->stream);
	Py_VISIT(((struct zpy_event *)self)->socket);
	return 0;
}

static int event_clear(PyObject *self)
{
	Py_CLEAR(((struct zpy_event *)self)->stream);
	Py_CLEAR(((struct zpy_event *)self)->socket);
	return 0;
}

static void event_dealloc(PyObject *object)
{
	struct zpy_event *self = (struct zpy_event *)object;
	PyTypeObject *type = Py_TYPE(object);

	PyObject_GC_UnTrack(object);
	event_clear(object);
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

static const struct {
	uint16_t bit;
	const char *word;
} added_flags[] = {
	{ZRX_ADDED_ACCEPTED, "accepted"},
	{ZRX_ADDED_COPIED, "copied"},
	{ZRX_ADDED_LISTENER, "listener"},
	{REFUSED, "refused"},
};

static PyObject *get_flags(PyObject *object, void *closure)
{
	struct zpy_event *self = (struct zpy_event *)object;
	PyObject *list = PyList_New(0), *flags;
	/* Of an end they tell how it came: end does so. */
	uint16_t bits = self->kind == zpy.kinds[ZRX_EVENT_END] ? 0 : self->flags;

	(void)closure;
	for (size_t i = 0; list && i < sizeof(added_flags) / sizeof(added_flags[0]); i++) {
		PyObject *word;

		if (!(bits & added_flags[i].bit))
			continue;
		word = PyUnicode_FromString(added_flags[i].word);
		if (!word || PyList_Append(list, word) < 0)
			Py_CLEAR(list);
		Py_XDECREF(word);
	}
	flags = list ? PyFrozenSet_New(list) : NULL;
	Py_XDECREF(list);
	return flags;
}

static PyObject *event_repr(PyObject *object)
{
	struct zpy_event *self = (struct zpy_event *)object;

	return PyUnicode_FromFormat("<zcrx.Event %U of %R>", self->kind, self->stream);
}

static PyMemberDef event_members[] = {
	{"stream", T_OBJECT_EX, offsetof(struct zpy_event, stream), READONLY, "Whose event it is."},
	{"kind", T_OBJECT_EX, offsetof(struct zpy_event, kind), READONLY,
	 "\"data\", \"end\" or \"error\"; of a group's receiver also \"added\"."},
	{"buffer", T_OBJECT_EX, offsetof(struct zpy_event, buffer), READONLY,
	 "The stream's next bytes; None unless kind is \"data\"."},
	{"socket", T_OBJECT, offsetof(struct zpy_event, socket), READONLY,
	 "The socket of a connection that a group has accepted, yours to close, if kind is "
	 "\"added\"; else\n"
	 "None. The stream has a reference of its own to the connection."},
	{NULL, 0, 0, 0, NULL},
};

static PyGetSetDef event_getset[] = {
	{"end", get_end, NULL,
	 "How the stream ended: \"peer\" (the other side closed), \"limit\", \"removed\"; else "
	 "None.",
	 NULL},
	{"error", get_error, NULL,
	 "An OSError (ConnectionResetError, ...) if kind is \"error\"; else None.", NULL},
	{"flags", get_flags, NULL,
	 "More about what a group has added, or could not; a frozenset, empty for other events:\n"
	 "\"accepted\" (it came by Group.listen), \"copied\" (it arrives at a queue that is no "
	 "receiver's of\n"
	 "the group, and is served by copies), \"refused\" (kind is \"error\": it was not added), "
	 "\"listener\"\n"
	 "(kind is \"error\": the listening socket itself has failed).",
	 NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot event_slots[] = {
	{Py_tp_doc,
	 "What happened to a stream: data came, it ended, it failed, or a group has added it."},
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
