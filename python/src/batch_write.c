/* SPDX-License-Identifier: MIT */
/* Batch.write_to: the whole batch by writev. */
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#include "zpy.h"

#define VECTORS 256 /* of one writev; fewer than the kernel's UIO_MAXIOV */

struct cursor {
	const struct zrx_event *event;
	const struct zrx_event *end;
	size_t skip; /* bytes of the current event that are written */
};

static int fill(const struct cursor *from, struct iovec *vectors)
{
	size_t skip = from->skip;
	int count = 0;

	for (const struct zrx_event *event = from->event; event < from->end && count < VECTORS;
	     event++) {
		if (event->kind == ZRX_EVENT_DATA)
			vectors[count++] = (struct iovec){
				.iov_base = (char *)event->buffer.data + skip,
				.iov_len = event->buffer.length - skip,
			};
		skip = 0;
	}
	return count;
}

static void advance(struct cursor *cursor, size_t written)
{
	while (cursor->event < cursor->end) {
		size_t left = 0;

		if (cursor->event->kind == ZRX_EVENT_DATA)
			left = cursor->event->buffer.length - cursor->skip;
		if (written < left) {
			cursor->skip += written;
			return;
		}
		written -= left;
		cursor->skip = 0;
		cursor->event++;
	}
}

/* One writev. Returns bytes, 0 at the end, or a negative errno. */
static ssize_t step(struct cursor *cursor, int fd)
{
	struct iovec vectors[VECTORS];
	int count = fill(cursor, vectors);
	ssize_t written;

	if (!count)
		return 0;
	written = writev(fd, vectors, count);
	if (written < 0 && errno == EAGAIN) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};

		return poll(&wait, 1, -1) < 0 ? -errno : -EAGAIN;
	}
	if (written < 0)
		return -errno;
	advance(cursor, (size_t)written);
	return written;
}

static int write_all(struct cursor *cursor, int fd, uint64_t *total)
{
	for (;;) {
		ssize_t result;

		Py_BEGIN_ALLOW_THREADS
		do {
			result = step(cursor, fd);
			if (result > 0)
				*total += (uint64_t)result;
		} while (result > 0 || result == -EAGAIN);
		Py_END_ALLOW_THREADS
		if (!result)
			return 0;
		if (result != -EINTR) {
			errno = (int)-result;
			PyErr_SetFromErrno(PyExc_OSError);
			return -1;
		}
		if (PyErr_CheckSignals() < 0)
			return -1;
	}
}

/* What a buffered file has not written yet comes before what is written past it. */
static int flush(PyObject *file)
{
	PyObject *done;

	if (PyLong_Check(file) || !PyObject_HasAttrString(file, "flush"))
		return 0;
	done = PyObject_CallMethod(file, "flush", NULL);
	Py_XDECREF(done);
	return done ? 0 : -1;
}

PyObject *zpy_batch_write_to(PyObject *object, PyObject *file)
{
	struct zpy_batch *self = (struct zpy_batch *)object;
	struct cursor cursor = {.end = self->events + self->count};
	int fd = flush(file) < 0 ? -1 : PyObject_AsFileDescriptor(file);
	uint64_t total = 0;
	int result;

	if (fd < 0)
		return NULL;
	if (self->area->dmabuf_fd >= 0) {
		PyErr_SetString(PyExc_BufferError,
				"a dma-buf has no CPU view: use offsets and lengths");
		return NULL;
	}
	zpy_batch_pin(self);
	cursor.event = self->events + zpy_batch_next(self);
	result = write_all(&cursor, fd, &total);
	zpy_batch_unpin(self);
	return result < 0 ? NULL : PyLong_FromUnsignedLongLong(total);
}
