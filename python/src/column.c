/* SPDX-License-Identifier: MIT */
/*
 * Arrays over a batch, for memoryview and numpy: one field of its events where it is, by a stride
 * of one event; or an array of struct iovec.
 */
#include <stdlib.h>
#include <sys/uio.h>

#include "zpy.h"

struct zpy_column {
	PyObject_HEAD struct zpy_batch *batch;
	void *memory; /* owned, or NULL where the batch's own is shown */
	const char *first;
	const char *format;
	Py_ssize_t item_bytes;
	int dimensions;
	Py_ssize_t shape[2];
	Py_ssize_t strides[2];
};

static struct zpy_column *column_new(struct zpy_batch *batch)
{
	struct zpy_column *self = PyObject_GC_New(struct zpy_column, zpy.column);

	if (!self)
		return NULL;
	self->batch = (struct zpy_batch *)Py_NewRef((PyObject *)batch);
	self->memory = NULL;
	PyObject_GC_Track(self);
	return self;
}

static int column_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct zpy_column *)self)->batch);
	return 0;
}

static void column_dealloc(PyObject *object)
{
	struct zpy_column *self = (struct zpy_column *)object;
	PyTypeObject *type = Py_TYPE(object);

	PyObject_GC_UnTrack(object);
	if (self->memory)
		zpy_batch_unpin(self->batch);
	free(self->memory);
	Py_DECREF(self->batch);
	PyObject_GC_Del(object);
	Py_DECREF(type);
}

static int column_get(PyObject *object, Py_buffer *view, int flags)
{
	struct zpy_column *self = (struct zpy_column *)object;

	view->obj = NULL;
	if (flags & PyBUF_WRITABLE || (flags & PyBUF_STRIDES) != PyBUF_STRIDES) {
		PyErr_SetString(PyExc_BufferError,
				"the array is read-only, and needs a view that takes strides");
		return -1;
	}
	view->buf = (void *)self->first;
	view->len = self->item_bytes * self->shape[0];
	if (self->dimensions > 1)
		view->len *= self->shape[1];
	view->readonly = 1;
	view->itemsize = self->item_bytes;
	view->format = flags & PyBUF_FORMAT ? (char *)self->format : NULL;
	view->ndim = self->dimensions;
	view->shape = self->shape;
	view->strides = self->strides;
	view->suboffsets = NULL;
	view->internal = NULL;
	view->obj = Py_NewRef(object);
	return 0;
}

static PyObject *as_memoryview(struct zpy_column *column)
{
	PyObject *view = PyMemoryView_FromObject((PyObject *)column);

	Py_DECREF(column);
	return view;
}

static PyObject *field(PyObject *object, size_t where, const char *format, Py_ssize_t item_bytes)
{
	struct zpy_batch *batch = (struct zpy_batch *)object;
	struct zpy_column *self = column_new(batch);
	uint32_t next = zpy_batch_next(batch);

	if (!self)
		return NULL;
	self->first = (const char *)(batch->events + next) + where;
	self->format = format;
	self->item_bytes = item_bytes;
	self->dimensions = 1;
	self->shape[0] = (Py_ssize_t)(batch->count - next);
	self->strides[0] = sizeof(struct zrx_event);
	return as_memoryview(self);
}

PyObject *zpy_batch_lengths(PyObject *self, void *closure)
{
	(void)closure;
	return field(self, offsetof(struct zrx_event, buffer.length), "I", sizeof(uint32_t));
}

PyObject *zpy_batch_offsets(PyObject *self, void *closure)
{
	(void)closure;
	return field(self, offsetof(struct zrx_event, buffer.offset), "Q", sizeof(uint64_t));
}

/* ---- iovecs ---- */

static Py_ssize_t fill_iovecs(struct zpy_batch *batch, uint32_t next, struct iovec *iovecs)
{
	Py_ssize_t count = 0;

	for (; next < batch->count; next++) {
		const struct zrx_event *event = &batch->events[next];

		if (event->kind == ZRX_EVENT_DATA)
			iovecs[count++] = (struct iovec){
				.iov_base = (void *)event->buffer.data,
				.iov_len = event->buffer.length,
			};
	}
	return count;
}

PyObject *zpy_batch_iovecs(PyObject *object, void *closure)
{
	struct zpy_batch *batch = (struct zpy_batch *)object;
	struct zpy_column *self;

	(void)closure;
	if (batch->area->dmabuf_fd >= 0) {
		PyErr_SetString(PyExc_BufferError,
				"a dma-buf has no addresses: use offsets and lengths");
		return NULL;
	}
	self = column_new(batch);
	if (!self)
		return NULL;
	self->memory = malloc((batch->count + 1) * sizeof(struct iovec));
	if (!self->memory) {
		Py_DECREF(self);
		return PyErr_NoMemory();
	}
	zpy_batch_pin(batch); /* before looking at what is left: from here on nothing is taken */
	self->first = self->memory;
	self->format = "Q";
	self->item_bytes = sizeof(uint64_t);
	self->dimensions = 2;
	self->shape[0] = fill_iovecs(batch, zpy_batch_next(batch), self->memory);
	self->shape[1] = 2;
	self->strides[0] = sizeof(struct iovec);
	self->strides[1] = sizeof(uint64_t);
	return as_memoryview(self);
}

static PyType_Slot column_slots[] = {
	{Py_tp_doc, "What a memoryview of a batch's arrays is a view of."},
	{Py_tp_dealloc, column_dealloc},
	{Py_tp_traverse, column_traverse},
	{Py_bf_getbuffer, column_get},
	{0, NULL},
};

PyType_Spec zpy_column_spec = {
	.name = "zcrx._zcrx.Column",
	.basicsize = sizeof(struct zpy_column),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = column_slots,
};
