/* SPDX-License-Identifier: MIT */
/* What the files of the extension module share. Limited API of Python 3.11. */
#ifndef ZPY_H
#define ZPY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <structmember.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "zcrx.h"

/*
 * One for the process: the module refuses subinterpreters, because the core binds rings to threads
 * and a buffer may be released after its interpreter is gone.
 */
struct zpy_module {
	PyTypeObject *buffer;
	PyTypeObject *event;
	PyTypeObject *batch;
	PyTypeObject *column;
	PyTypeObject *stream;
	PyTypeObject *receiver;
	PyTypeObject *group;
	PyObject *kinds[ZRX_EVENT_ADDED + 1]; /* "data", "end", ... by ZRX_EVENT_* */
	_Atomic uint32_t forks; /* how many forks this process is away from the first */
};
extern struct zpy_module zpy;

/* Create the types and add them to the module. Returns 0, or -1 with an exception set. */
int zpy_module_exec(PyObject *module);

/*
 * Fields of an object that several threads use. With a GIL it is the lock: nothing between the two
 * may run Python code.
 */
#ifdef Py_GIL_DISABLED
#define ZPY_LOCK(object) Py_BEGIN_CRITICAL_SECTION(object)
#define ZPY_UNLOCK()     Py_END_CRITICAL_SECTION()
#else
#define ZPY_LOCK(object) {
#define ZPY_UNLOCK()     }
#endif

/* Whether the arguments of __exit__ tell of an exception. */
static inline int zpy_is_raised(PyObject *arguments)
{
	PyObject *kind = PyTuple_Size(arguments) > 0 ? PyTuple_GetItem(arguments, 0) : NULL;

	return kind && kind != Py_None;
}

/* ---- raise.c: all return with an exception set ---- */

/* zcrx.Error or the subclass that fits. */
void zpy_raise(const struct zrx_error *error);
/* The same for an error that the skin itself found. code is a negative errno. */
void zpy_raise_new(int code, uint32_t stage, const char *message, const char *hint);

/* ---- area.c ---- */

/* What a receiver shares with its batches and buffers. Each of them holds a reference. */
struct zpy_area {
	_Atomic uint32_t references;
	_Atomic uint32_t closed; /* 1: the receiver is, and a release may wait */
	int dmabuf_fd;           /* -1: memory that the CPU reads */
	struct zrx_event
		*_Atomic spare; /* an array of ZPY_SPARE_EVENTS for the next batch, or NULL */
};

#define ZPY_SPARE_EVENTS 64 /* as many as a receive takes if nobody says otherwise */

/* Returns NULL with an exception set if there is no memory. */
struct zpy_area *zpy_area_new(int dmabuf_fd);
void zpy_area_free(struct zpy_area *area);

/* The count before. The GIL, where there is one, orders all who change it. */
static inline uint32_t zpy_area_count(struct zpy_area *area, uint32_t change)
{
#ifdef Py_GIL_DISABLED
	/* Release pairs with the acquire of whoever drops the last reference and frees. */
	return atomic_fetch_add_explicit(&area->references, change, memory_order_acq_rel);
#else
	uint32_t before = atomic_load_explicit(&area->references, memory_order_relaxed);

	atomic_store_explicit(&area->references, before + change, memory_order_relaxed);
	return before;
#endif
}

/* NULL, of a receiver that was never opened, stays NULL. */
static inline struct zpy_area *zpy_area_get(struct zpy_area *area)
{
	if (area)
		zpy_area_count(area, 1);
	return area;
}

static inline void zpy_area_put(struct zpy_area *area)
{
	if (area && zpy_area_count(area, UINT32_MAX) == 1)
		zpy_area_free(area);
}

/* An array for a batch; capacity must be the same for both. NULL if there is no memory. */
struct zrx_event *zpy_area_new_events(struct zpy_area *area, uint32_t capacity);
void zpy_area_free_events(struct zpy_area *area, struct zrx_event *events, uint32_t capacity);
/*
 * While the receiver is open a release takes nanoseconds, and dropping the GIL for it would cost
 * more. After close the last release may take the ring down, which waits for the kernel and the
 * NIC.
 */
static inline int zpy_area_may_wait(struct zpy_area *area)
{
	return atomic_load_explicit(&area->closed, memory_order_relaxed) != 0;
}

/* zrx_buffer_release and zrx_event_release; without the GIL where they may wait. */
int zpy_area_release_late(const struct zrx_buffer *buffer);
int zpy_area_release_events(struct zpy_area *area, const struct zrx_event *events, uint32_t count);

static inline int zpy_area_release(struct zpy_area *area, const struct zrx_buffer *buffer)
{
	return zpy_area_may_wait(area) ? zpy_area_release_late(buffer)
				       : zrx_buffer_release(buffer, 1);
}

/* ---- buffer.c ---- */

/* Takes the buffer over: it is released even if this fails (NULL, exception set). */
PyObject *zpy_buffer_new(const struct zrx_buffer *raw, struct zpy_area *area);

/* ---- stream.c ---- */

/*
 * A stream of a receiver. The receiver holds one reference until the last event is delivered;
 * the pointer is the tag of the core's stream. Until a group has added it, the group holds that
 * reference.
 */
struct zpy_stream {
	PyObject_HEAD uint64_t handle;
	uint64_t limit_bytes;
	PyObject *tag; /* under ZPY_LOCK */
	/* For comparison only: the receiver, or the group before; NULL once the stream is over. */
	const void *_Atomic receiver;
	struct zpy_stream *next; /* of the receiver's list, or the group's. Under its ZPY_LOCK */
	struct zpy_stream *previous;
	int fd;
};

struct zpy_stream *zpy_stream_new(const void *receiver, int fd, uint64_t limit_bytes,
				  PyObject *tag);
/* A new reference. */
PyObject *zpy_stream_tag(struct zpy_stream *stream);
/* Lists of streams, under the ZPY_LOCK of their owner. */
void zpy_stream_link(struct zpy_stream **first, struct zpy_stream *stream);
void zpy_stream_unlink(struct zpy_stream **first, struct zpy_stream *stream);

/* ---- event.c ---- */

/* Whether an event is the last of its stream, or tells that there is none. */
static inline int zpy_is_last(const struct zrx_event *event)
{
	return event->kind == ZRX_EVENT_END || event->kind == ZRX_EVENT_ERROR;
}

/* Whether an event brings a descriptor that is the caller's to close. */
static inline int zpy_has_descriptor(const struct zrx_event *event)
{
	return event->kind == ZRX_EVENT_ADDED && event->flags & ZRX_ADDED_ACCEPTED;
}

/* Takes over the event's buffer and descriptor, even if this fails. */
PyObject *zpy_event_new(const struct zrx_event *raw, struct zpy_area *area);

/* ---- batch.c ---- */

struct zpy_batch {
	/* tag: the stream, or NULL. Of neighbours with the same one the first has a reference to
	 * it. */
	PyObject_HEAD struct zrx_event *events;
	struct zpy_area *area;
	uint64_t bytes; /* of all events */
	uint32_t count;
	uint32_t capacity;
	uint32_t references; /* to streams */
	_Atomic uint64_t
		state; /* exports in the upper half, index of the next event in the lower */
};

struct zpy_batch *zpy_batch_new(uint32_t capacity, struct zpy_area *area);

static inline uint32_t zpy_batch_next(const struct zpy_batch *batch)
{
	return (uint32_t)atomic_load_explicit(&batch->state, memory_order_acquire);
}

/* Keep the buffers that the batch still owns where they are. Returns 0, never fails. */
static inline void zpy_batch_pin(struct zpy_batch *batch)
{
	atomic_fetch_add_explicit(&batch->state, (uint64_t)1 << 32, memory_order_acq_rel);
}

static inline void zpy_batch_unpin(struct zpy_batch *batch)
{
	atomic_fetch_sub_explicit(&batch->state, (uint64_t)1 << 32, memory_order_acq_rel);
}

/* ---- batch_write.c ---- */

PyObject *zpy_batch_write_to(PyObject *self, PyObject *descriptor);

/* ---- column.c: arrays over a batch ---- */

PyObject *zpy_batch_lengths(PyObject *self, void *closure);
PyObject *zpy_batch_offsets(PyObject *self, void *closure);
PyObject *zpy_batch_iovecs(PyObject *self, void *closure);

/* ---- handles.c: the streams of connections that a group accepted, by handle ---- */

struct zpy_handles {
	struct zpy_stream **slots; /* none of these is a reference */
	uint32_t capacity;         /* a power of two, or 0 */
	uint32_t count;
};

/* Returns 0, or -1 with no exception set if there is no memory. */
int zpy_handles_put(struct zpy_handles *handles, struct zpy_stream *stream);
struct zpy_stream *zpy_handles_get(const struct zpy_handles *handles, uint64_t handle);
void zpy_handles_remove(struct zpy_handles *handles, uint64_t handle);
void zpy_handles_free(struct zpy_handles *handles);

/* ---- gate.c: who is inside a receiver ---- */

#define ZPY_GATE_CLOSED (1u << 31)
#define ZPY_GATE_OWNER  (1u << 30)

struct zpy_receiver {
	PyObject_HEAD struct zrx_receiver *_Atomic core; /* NULL before open and after close */
	struct zpy_area *area;
	struct zpy_stream *streams; /* those that are not over; each a reference. Under ZPY_LOCK */
	struct zpy_group *group;    /* NULL: it was opened by itself */
	struct zpy_handles handles; /* the owner's, of a group's receiver */
	PyObject *weakrefs;
	_Atomic uint32_t gate;        /* ZPY_GATE_*, and how many calls of any thread run */
	_Atomic unsigned long inside; /* the thread that was last in an owner's call */
	uint32_t forks;               /* zpy.forks when it was opened */
};

/* For calls that any thread may make. Returns the core's handle, or NULL with an exception set. */
struct zrx_receiver *zpy_enter(PyObject *receiver);
void zpy_leave(PyObject *receiver);
/* For the owner's calls. */
struct zrx_receiver *zpy_enter_owner(struct zpy_receiver *receiver);
void zpy_leave_owner(struct zpy_receiver *receiver);
/* For close. Returns 1 once no call runs and none will; 0 if it was closed before; -1 with an
 * exception set. */
int zpy_enter_last(struct zpy_receiver *receiver);

/* ---- group.c ---- */

struct zpy_group {
	PyObject_HEAD struct zrx_group *_Atomic core; /* NULL before open and after close */
	struct zpy_receiver **receivers;              /* references; NULL before open */
	uint32_t count;                               /* of them */
	PyObject *listeners;        /* a list of streams that stand for listening sockets */
	struct zpy_stream *waiting; /* handed over, not added yet; each a reference. Under
				       ZPY_LOCK */
	PyObject *weakrefs;
	_Atomic uint32_t gate; /* ZPY_GATE_CLOSED, and how many calls run */
	uint32_t forks;        /* zpy.forks when it was opened */
	pthread_mutex_t lock;
	pthread_cond_t left; /* a gate that is closed has nobody inside, maybe */
};

/* Open the core's group. factory makes its receivers. */
PyObject *zpy_group_open(PyObject *self, struct zrx_group_options *options,
			 struct zrx_options *receiver, PyObject *factory);
/* A stream that was handed over is over, or is a receiver's now: drop the group's reference. */
void zpy_group_forget(struct zpy_group *group, struct zpy_stream *stream);
/* Fill the counters. */
PyObject *zpy_group_stats(PyObject *self, struct zrx_group_stats *stats);

/* ---- group_gate.c: who is inside a group, and its end ---- */

/* Returns the core's handle, or NULL with an exception set. */
struct zrx_group *zpy_group_enter(struct zpy_group *group);
/* Returns 1 if it is entered, 0 if it is closed. */
int zpy_group_try_enter(struct zpy_group *group);
void zpy_group_leave(struct zpy_group *group);
/* For close: no call on the group or its receivers will be let in, receives that wait return, and
 * no call runs. Returns 1; 0 if it was closed before; -1 with an exception set. */
int zpy_group_enter_last(struct zpy_group *group);
/* A gate that is closed was left. */
void zpy_group_tell_left(struct zpy_group *group);

/* ---- arrival.c ---- */

/* Tags that the core has of listening sockets: the stream that stands for it, and this bit. */
#define ZPY_TAG_LISTENER 1u

/*
 * Events of a group's receiver: give those that a group caused, and those of accepted connections,
 * their stream as the tag. Returns how many events there are then.
 */
uint32_t zpy_arrive(struct zpy_receiver *receiver, struct zrx_event *events, uint32_t count);
/* Close the descriptors of events that nobody took. */
void zpy_drop_descriptors(const struct zrx_event *events, uint32_t count);

/* ---- receive.c ---- */

PyObject *zpy_receiver_receive(PyObject *self, PyObject *const *args, Py_ssize_t count,
			       PyObject *names);

/* ---- receiver.c ---- */

/* Leave an owner's call that failed, and raise what it was about. */
void zpy_leave_and_raise(struct zpy_receiver *receiver);
/* A reference that is passed on to the receiver, until the stream's last event is delivered. */
void zpy_receiver_remember(struct zpy_receiver *receiver, struct zpy_stream *stream);
/* The stream's last event was delivered: drop the receiver's reference. */
void zpy_receiver_forget(struct zpy_receiver *receiver, struct zpy_stream *stream);
/* Make a new receiver one of a group's. Takes the area over. Never fails. */
void zpy_receiver_join(struct zpy_receiver *receiver, struct zpy_group *group,
		       struct zrx_receiver *core, struct zpy_area *area);
/* Before the core's receiver goes, and after. */
struct zrx_receiver *zpy_receiver_detach(struct zpy_receiver *receiver);
void zpy_receiver_drop_streams(struct zpy_receiver *receiver);
/* Open the core's receiver. memory: an object with a writable buffer to be the area, or None. */
PyObject *zpy_receiver_open(PyObject *self, struct zrx_options *options, PyObject *memory);
/* Fill the figures of one stream. */
PyObject *zpy_stream_stats(PyObject *self, PyObject *stream, struct zrx_stream_stats *stats);

extern PyType_Spec zpy_buffer_spec;
extern PyType_Spec zpy_event_spec;
extern PyType_Spec zpy_batch_spec;
extern PyType_Spec zpy_column_spec;
extern PyType_Spec zpy_stream_spec;
extern PyType_Spec zpy_receiver_spec;
extern PyType_Spec zpy_group_spec;

#endif
