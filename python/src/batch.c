/* SPDX-License-Identifier: MIT */
/*
 * Batch: the events of one receive. It owns their buffers until an event is taken out of it; from
 * then on that event's buffer is on its own. What it still owns can be used and released as a
 * whole, with no Python object for each buffer.
 */
#include "zpy.h"

struct zpy_batch *zpy_batch_new(uint32_t capacity, struct zpy_area *area)
{
	struct zpy_batch *self = PyObject_GC_New(struct zpy_batch, zpy.batch);

	if (!self)
		return NULL;
	self->area = zpy_area_get(area);
	self->events = zpy_area_new_events(area, capacity);
	self->bytes = 0;
	self->count = 0;
	self->capacity = capacity;
	self->references = 0;
	atomic_init(&self->state, 0);
	if (!self->events) {
		Py_DECREF(self);
		PyErr_NoMemory();
		return NULL;
	}
	PyObject_GC_Track(self);
	return self;
}

/* ---- taking events out ---- */

static int refuse_pinned(uint64_t state)
{
	if (!(state >> 32))
		return 0;
	PyErr_Format(PyExc_BufferError, "%u view(s) of the batch are alive",
		     (unsigned int)(state >> 32));
	return -1;
}

enum claim { CLAIM_ONE, CLAIM_DATA, CLAIM_ALL };

/* The end of what is claimed from an event on. CLAIM_DATA: up to the first that is not data. */
static uint32_t end_of_claim(const struct zpy_batch *self, uint32_t first, enum claim what)
{
	uint32_t end = first;

	if (what == CLAIM_ONE)
		return first + 1;
	if (what == CLAIM_ALL)
		return self->count;
	while (end < self->count && self->events[end].kind == ZRX_EVENT_DATA)
		end++;
	return end;
}

/*
 * Claim events from the next one on. Returns how many, from *first; 0 if there are none left; -1
 * with an exception set while views of the batch are alive.
 */
static int64_t claim(struct zpy_batch *self, enum claim what, uint32_t *first)
{
	uint64_t state = atomic_load_explicit(&self->state, memory_order_acquire);
	uint64_t next;

	do {
		*first = (uint32_t)state;
		if (*first == self->count)
			return 0;
		if (refuse_pinned(state) < 0)
			return -1;
		next = end_of_claim(self, *first, what);
	} while (!atomic_compare_exchange_weak_explicit(
		&self->state, &state, next, memory_order_acq_rel, memory_order_acquire));
	return (int64_t)(next - *first);
}

static PyObject *batch_next(PyObject *object)
{
	struct zpy_batch *self = (struct zpy_batch *)object;
	uint32_t index;

	if (claim(self, CLAIM_ONE, &index) <= 0)
		return NULL;
	return zpy_event_new(&self->events[index], self->area);
}

static PyObject *batch_take(PyObject *object, PyObject *unused)
{
	struct zpy_batch *self = (struct zpy_batch *)object;
	uint32_t first = 0, end;
	int64_t count = claim(self, CLAIM_DATA, &first);
	PyObject *list;

	(void)unused;
	if (count < 0)
		return NULL;
	end = first + (uint32_t)count;
	list = PyList_New((Py_ssize_t)count);
	for (Py_ssize_t i = 0; list && i < count; i++) {
		struct zrx_event *event = &self->events[first++];
		PyObject *buffer = zpy_buffer_new(&event->buffer, self->area);

		if (!buffer || PyList_SetItem(list, i, buffer) < 0)
			Py_CLEAR(list);
	}
	if (!list)
		zpy_area_release_events(self->area, &self->events[first], end - first);
	return list;
}

/* ---- release ---- */

static int release(struct zpy_batch *self)
{
	uint32_t first;
	int64_t count = claim(self, CLAIM_ALL, &first);
	int result;

	if (count <= 0)
		return (int)count;
	zpy_drop_descriptors(&self->events[first], (uint32_t)count);
	result = zpy_area_release_events(self->area, &self->events[first], (uint32_t)count);
	if (result < 0)
		zpy_raise_new(result, ZRX_STAGE_NONE, "the core refused the release", "");
	return result;
}

static PyObject *batch_release(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (release((struct zpy_batch *)self) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* As for a buffer: views that are alive do not hide what the block raised. */
static PyObject *batch_exit(PyObject *object, PyObject *exception)
{
	struct zpy_batch *self = (struct zpy_batch *)object;

	if (zpy_is_raised(exception) &&
	    atomic_load_explicit(&self->state, memory_order_relaxed) >> 32)
		Py_RETURN_NONE;
	return batch_release(object, NULL);
}

static PyObject *batch_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return Py_NewRef(self);
}

/* Whether an event is the first of those neighbours that share a reference to their stream. */
static int is_first_of(const struct zpy_batch *self, uint32_t index)
{
	return !index || self->events[index].tag != self->events[index - 1].tag;
}

static int batch_traverse(PyObject *object, visitproc visit, void *arg)
{
	struct zpy_batch *self = (struct zpy_batch *)object;

	Py_VISIT(Py_TYPE(object));
	for (uint32_t i = 0; i < self->count; i++)
		if (is_first_of(self, i))
			Py_VISIT((PyObject *)(uintptr_t)self->events[i].tag);
	return 0;
}

static int batch_clear(PyObject *object)
{
	struct zpy_batch *self = (struct zpy_batch *)object;

	self->references = 0;
	/* From the last on: whether an event is the first of its neighbours is told by those
	 * before. */
	for (uint32_t i = self->count; i-- > 0;) {
		PyObject *stream = (PyObject *)(uintptr_t)self->events[i].tag;
		int has_reference = is_first_of(self, i);

		self->events[i].tag = 0;
		if (has_reference)
			Py_XDECREF(stream);
	}
	return 0;
}

static void batch_dealloc(PyObject *object)
{
	struct zpy_batch *self = (struct zpy_batch *)object;
	PyTypeObject *type = Py_TYPE(object);
	uint32_t next = zpy_batch_next(self);

	PyObject_GC_UnTrack(object);
	if (next < self->count) {
		zpy_drop_descriptors(&self->events[next], self->count - next);
		zpy_area_release_events(self->area, &self->events[next], self->count - next);
	}
	for (uint32_t i = 0; self->references; i++) {
		if (!is_first_of(self, i))
			continue;
		self->references--;
		Py_DECREF((PyObject *)(uintptr_t)self->events[i].tag);
	}
	if (self->events)
		zpy_area_free_events(self->area, self->events, self->capacity);
	zpy_area_put(self->area);
	PyObject_GC_Del(object);
	Py_DECREF(type);
}

/* ---- facts ---- */

static Py_ssize_t batch_length(PyObject *object)
{
	struct zpy_batch *self = (struct zpy_batch *)object;

	return (Py_ssize_t)(self->count - zpy_batch_next(self));
}

static PyObject *get_bytes(PyObject *object, void *closure)
{
	struct zpy_batch *self = (struct zpy_batch *)object;
	uint64_t bytes = self->bytes;

	(void)closure;
	for (uint32_t i = 0, next = zpy_batch_next(self); i < next; i++)
		bytes -= self->events[i].buffer.length;
	return PyLong_FromUnsignedLongLong(bytes);
}

static PyObject *get_streams(PyObject *object, void *closure)
{
	struct zpy_batch *self = (struct zpy_batch *)object;
	PyObject *list = PyList_New(0);

	(void)closure;
	for (uint32_t i = zpy_batch_next(self); list && i < self->count; i++) {
		PyObject *stream = (PyObject *)(uintptr_t)self->events[i].tag;

		if (PyList_Append(list, stream ? stream : Py_None) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *get_last(PyObject *object, void *closure)
{
	struct zpy_batch *self = (struct zpy_batch *)object;

	(void)closure;
	for (uint32_t i = zpy_batch_next(self); i < self->count; i++)
		if (zpy_is_last(&self->events[i]))
			Py_RETURN_TRUE;
	Py_RETURN_FALSE;
}

static PyObject *batch_repr(PyObject *object)
{
	return PyUnicode_FromFormat("<zcrx.Batch of %zd events>", batch_length(object));
}

static PyMethodDef batch_methods[] = {
	{"take", batch_take, METH_NOARGS,
	 "take($self, /)\n--\n\n"
	 "Take the buffers up to the first event that is not data, as a list."},
	{"release", batch_release, METH_NOARGS,
	 "release($self, /)\n--\n\n"
	 "Release all buffers that were not taken, at once. No view of the batch may be alive.\n\n"
	 "Sockets of accepted connections that were not taken are closed, too; their streams go "
	 "on."},
	{"write_to", zpy_batch_write_to, METH_O,
	 "write_to($self, file, /)\n--\n\n"
	 "Write all bytes that were not taken to a file or socket, by writev from where they "
	 "are.\n\n"
	 "file  a descriptor, or an object with fileno(). One with flush() is flushed first, so "
	 "that\n"
	 "      what was written to it before comes before\n\n"
	 "Waits while the descriptor is not ready. Returns how many bytes that was. The batch "
	 "keeps\n"
	 "its buffers."},
	{"__enter__", batch_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
	{"__exit__", batch_exit, METH_VARARGS, "__exit__($self, /, *exception)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef batch_getset[] = {
	{"bytes", get_bytes, NULL, "Sum of the lengths of the buffers that were not taken.", NULL},
	{"streams", get_streams, NULL, "The stream of each event that was not taken.", NULL},
	{"has_ends", get_last, NULL, "Whether a stream ended or failed in this batch.", NULL},
	{"lengths", zpy_batch_lengths, NULL,
	 "Length of each event's buffer, as a memoryview of uint32; 0 where there is none.", NULL},
	{"offsets", zpy_batch_offsets, NULL,
	 "Offset in the area of each event's buffer, as a memoryview of uint64.", NULL},
	{"iovecs", zpy_batch_iovecs, NULL,
	 "The data buffers as an array of struct iovec: a memoryview of uint64, rows of address "
	 "and\n"
	 "length. Nothing can be taken or released while it is alive.",
	 NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot batch_slots[] = {
	{Py_tp_doc,
	 "The events of one receive.\n\n"
	 "Iterating takes events out, one by one: from then on the event's buffer is released on\n"
	 "its own. What is left in the batch can be used as a whole (write_to, iovecs, lengths,\n"
	 "offsets) and is released as a whole: by release(), at the end of a with block, or with\n"
	 "the last reference."},
	{Py_tp_dealloc, batch_dealloc},
	{Py_tp_traverse, batch_traverse},
	{Py_tp_clear, batch_clear},
	{Py_tp_repr, batch_repr},
	{Py_tp_iter, PyObject_SelfIter},
	{Py_tp_iternext, batch_next},
	{Py_tp_methods, batch_methods},
	{Py_tp_getset, batch_getset},
	{Py_mp_length, batch_length},
	{0, NULL},
};

PyType_Spec zpy_batch_spec = {
	.name = "zcrx.Batch",
	.basicsize = sizeof(struct zpy_batch),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = batch_slots,
};
