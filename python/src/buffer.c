/* SPDX-License-Identifier: MIT */
/*
 * Buffer: received bytes, read-only, until it is released. It refers to no other object: the core
 * keeps the area's memory until the last buffer of it is released.
 */
#include "zpy.h"

#define RELEASED (-1)

/*
 * What a dropped Buffer leaves to the next one. Under the GIL; without one the allocator does as
 * well. Not under the address sanitizer, which is to see what is used after it was dropped.
 */
#if !defined(Py_GIL_DISABLED) && !defined(__SANITIZE_ADDRESS__)
#define SPARES 256
static struct zpy_buffer *spares[SPARES];
static int spare_count;
#endif

struct zpy_buffer {
	PyObject_HEAD struct zrx_buffer raw;
	PyObject *weakrefs;
	struct zpy_area *area;
	_Atomic int64_t exports; /* views that are alive, or RELEASED */
};

static struct zpy_buffer *allocate(void)
{
#ifdef SPARES
	if (spare_count)
		return (struct zpy_buffer *)PyObject_Init((PyObject *)spares[--spare_count],
							  zpy.buffer);
#endif
	return PyObject_New(struct zpy_buffer, zpy.buffer);
}

static void deallocate(struct zpy_buffer *self)
{
#ifdef SPARES
	if (spare_count < SPARES) {
		spares[spare_count++] = self;
		return;
	}
#endif
	PyObject_Free(self);
}

/*
 * Set the count of views if it is as expected; else tell what it is. The GIL, where there is one,
 * orders all who come here, and a locked instruction would cost as much as the rest of the call.
 */
static int change_exports(struct zpy_buffer *self, int64_t *expected, int64_t desired)
{
#ifdef Py_GIL_DISABLED
	return atomic_compare_exchange_strong_explicit(&self->exports, expected, desired,
						       memory_order_acq_rel, memory_order_acquire);
#else
	int64_t now = atomic_load_explicit(&self->exports, memory_order_relaxed);

	if (now != *expected) {
		*expected = now;
		return 0;
	}
	atomic_store_explicit(&self->exports, desired, memory_order_relaxed);
	return 1;
#endif
}

PyObject *zpy_buffer_new(const struct zrx_buffer *raw, struct zpy_area *area)
{
	struct zpy_buffer *self = allocate();

	if (!self) {
		zpy_area_release(area, raw);
		return NULL;
	}
	self->raw = *raw;
	self->weakrefs = NULL;
	self->area = zpy_area_get(area);
	atomic_init(&self->exports, 0);
	return (PyObject *)self;
}

static void buffer_dealloc(PyObject *object)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;
	PyTypeObject *type = Py_TYPE(object);

	if (self->weakrefs)
		PyObject_ClearWeakRefs(object);
	if (atomic_load_explicit(&self->exports, memory_order_relaxed) != RELEASED)
		zpy_area_release(self->area, &self->raw);
	zpy_area_put(self->area);
	deallocate(self);
	Py_DECREF(type);
}

/* ---- views ---- */

/*
 * None of a dma-buf, even where the core could map it: who reads device memory must tell its
 * exporter (DMA_BUF_IOCTL_SYNC), and the buffer protocol has no place for that.
 */
static int refuse_view(struct zpy_buffer *self, int flags)
{
	if (flags & PyBUF_WRITABLE)
		PyErr_SetString(PyExc_BufferError, "received bytes are read-only");
	else if (self->area->dmabuf_fd >= 0)
		PyErr_SetString(PyExc_BufferError,
				"a dma-buf has no CPU view: use offset and length within fd");
	else
		return 0;
	return -1;
}

/* What PyBuffer_FillInfo does, less its checks, which are done. */
static void fill_view(Py_buffer *view, PyObject *object, int flags)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;

	view->buf = (void *)self->raw.data;
	view->len = self->raw.length;
	view->itemsize = 1;
	view->readonly = 1;
	view->ndim = 1;
	view->format = flags & PyBUF_FORMAT ? (char *)"B" : NULL;
	view->shape = flags & PyBUF_ND ? &view->len : NULL;
	view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &view->itemsize : NULL;
	view->suboffsets = NULL;
	view->internal = NULL;
	view->obj = Py_NewRef(object);
}

static int buffer_get(PyObject *object, Py_buffer *view, int flags)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;
	int64_t exports = atomic_load_explicit(&self->exports, memory_order_relaxed);

	view->obj = NULL;
	if (refuse_view(self, flags) < 0)
		return -1;
	do {
		if (exports == RELEASED) {
			PyErr_SetString(PyExc_ValueError, "the buffer was released");
			return -1;
		}
	} while (!change_exports(self, &exports, exports + 1));
	fill_view(view, object, flags);
	return 0;
}

static void buffer_put(PyObject *object, Py_buffer *view)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;
	int64_t exports = atomic_load_explicit(&self->exports, memory_order_relaxed);

	(void)view;
	while (!change_exports(self, &exports, exports - 1))
		;
}

/* ---- release ---- */

/* Returns 0 if the buffer was released now, else how many views are alive, or RELEASED. */
static int64_t mark_released(struct zpy_buffer *self)
{
	int64_t exports = 0;

	change_exports(self, &exports, RELEASED);
	return exports;
}

static PyObject *give_back(struct zpy_buffer *self)
{
	int result;

	result = zpy_area_release(self->area, &self->raw);
	if (result < 0) {
		zpy_raise_new(result, ZRX_STAGE_NONE, "the core refused the release", "");
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyObject *refuse_alive(int64_t exports)
{
	return PyErr_Format(PyExc_BufferError,
			    "cannot release: %lld view(s) of the buffer are alive",
			    (long long)exports);
}

static PyObject *buffer_release(PyObject *object, PyObject *unused)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;
	int64_t exports = mark_released(self);

	(void)unused;
	if (!exports)
		return give_back(self);
	if (exports != RELEASED)
		return refuse_alive(exports);
	PyErr_SetString(PyExc_ValueError, "the buffer was released already");
	return NULL;
}

static PyObject *buffer_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return Py_NewRef(self);
}

/* When the block raised, its traceback often holds a view: the exception matters more than that. */
static PyObject *buffer_exit(PyObject *object, PyObject *exception)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;
	int64_t exports = mark_released(self);

	if (!exports)
		return give_back(self);
	if (exports != RELEASED && !zpy_is_raised(exception))
		return refuse_alive(exports);
	Py_RETURN_NONE;
}

/* ---- facts ---- */

static Py_ssize_t buffer_length(PyObject *self)
{
	return ((struct zpy_buffer *)self)->raw.length;
}

static PyObject *get_offset(PyObject *self, void *closure)
{
	(void)closure;
	return PyLong_FromUnsignedLongLong(((struct zpy_buffer *)self)->raw.offset);
}

static PyObject *get_length(PyObject *self, void *closure)
{
	(void)closure;
	return PyLong_FromSsize_t(buffer_length(self));
}

static PyObject *get_address(PyObject *self, void *closure)
{
	struct zpy_buffer *buffer = (struct zpy_buffer *)self;

	(void)closure;
	if (buffer->area->dmabuf_fd >= 0)
		Py_RETURN_NONE;
	return PyLong_FromVoidPtr((void *)buffer->raw.data);
}

static PyObject *get_fd(PyObject *self, void *closure)
{
	int fd = ((struct zpy_buffer *)self)->area->dmabuf_fd;

	(void)closure;
	if (fd < 0)
		Py_RETURN_NONE;
	return PyLong_FromLong(fd);
}

static PyObject *get_released(PyObject *self, void *closure)
{
	(void)closure;
	return PyBool_FromLong(atomic_load(&((struct zpy_buffer *)self)->exports) == RELEASED);
}

static PyObject *buffer_repr(PyObject *object)
{
	struct zpy_buffer *self = (struct zpy_buffer *)object;

	return PyUnicode_FromFormat("<zcrx.Buffer of %u bytes%s>", self->raw.length,
				    atomic_load(&self->exports) == RELEASED ? ", released" : "");
}

static PyMethodDef buffer_methods[] = {
	{"release", buffer_release, METH_NOARGS,
	 "release($self, /)\n--\n\n"
	 "Give the memory back. No view of it may be alive (BufferError). Any thread."},
	{"__enter__", buffer_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
	{"__exit__", buffer_exit, METH_VARARGS, "__exit__($self, /, *exception)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef buffer_getset[] = {
	{"length", get_length, NULL, "Bytes.", NULL},
	{"offset", get_offset, NULL, "Bytes from the start of the area.", NULL},
	{"address", get_address, NULL, "Where the bytes are; None for a dma-buf.", NULL},
	{"fd", get_fd, NULL, "The dma-buf that holds the bytes, as given to Receiver; else None.",
	 NULL},
	{"released", get_released, NULL, "Whether the memory was given back.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef buffer_members[] = {
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct zpy_buffer, weakrefs), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot buffer_slots[] = {
	{Py_tp_doc,
	 "Received bytes: a read-only view of memory that the kernel or the NIC filled.\n\n"
	 "Use it wherever a bytes-like object is taken: memoryview, numpy.frombuffer,\n"
	 "pyarrow.py_buffer, hashlib, struct, os.write. The bytes stay valid and unchanged until\n"
	 "release(), the end of a with block, or the last reference, whatever happens to the\n"
	 "socket or the receiver."},
	{Py_tp_dealloc, buffer_dealloc},
	{Py_tp_repr, buffer_repr},
	{Py_tp_methods, buffer_methods},
	{Py_tp_getset, buffer_getset},
	{Py_tp_members, buffer_members},
	{Py_bf_getbuffer, buffer_get},
	{Py_bf_releasebuffer, buffer_put},
	{Py_mp_length, buffer_length},
	{0, NULL},
};

PyType_Spec zpy_buffer_spec = {
	.name = "zcrx.Buffer",
	.basicsize = sizeof(struct zpy_buffer),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = buffer_slots,
};
