/* SPDX-License-Identifier: MIT */
/*
 * Who is inside a receiver. The core wants add, receive and close one at a time, and nothing
 * running when close does; Python promises its users an exception, not a crash.
 */
#include <errno.h>
#include <sched.h>

#include "zpy.h"

static int is_open(const struct zpy_receiver *self, uint32_t gate)
{
	return !(gate & ZPY_GATE_CLOSED) &&
	       atomic_load_explicit(&self->core, memory_order_acquire) &&
	       self->forks == atomic_load_explicit(&zpy.forks, memory_order_relaxed);
}

static void raise_not_open(const struct zpy_receiver *self, uint32_t gate)
{
	if (gate & ZPY_GATE_CLOSED || !atomic_load_explicit(&self->core, memory_order_acquire))
		zpy_raise_new(-EBADF, ZRX_STAGE_NONE, "the receiver is closed", "");
	else
		zpy_raise_new(-ECHILD, ZRX_STAGE_THREAD, "the receiver was opened before a fork",
			      "open one in the child; start processes by spawn or forkserver");
}

struct zrx_receiver *zpy_enter(PyObject *object)
{
	struct zpy_receiver *self;
	uint32_t gate;

	if (!PyObject_TypeCheck(object, zpy.receiver)) {
		PyErr_SetString(PyExc_TypeError, "not a zcrx.Receiver");
		return NULL;
	}
	self = (struct zpy_receiver *)object;
	gate = atomic_fetch_add_explicit(&self->gate, 1, memory_order_acq_rel);
	if (is_open(self, gate))
		return self->core;
	zpy_leave(object); /* first: raising runs Python code, which may close the receiver */
	raise_not_open(self, gate);
	return NULL;
}

/* Release pairs with the acquire in wait_until_left, and in whoever closes the group. */
void zpy_leave(PyObject *object)
{
	struct zpy_receiver *self = (struct zpy_receiver *)object;
	uint32_t before = atomic_fetch_sub_explicit(&self->gate, 1, memory_order_acq_rel);

	if (self->group && before & ZPY_GATE_CLOSED)
		zpy_group_tell_left(self->group);
}

struct zrx_receiver *zpy_enter_owner(struct zpy_receiver *self)
{
	uint32_t gate = atomic_load_explicit(&self->gate, memory_order_acquire);

	do {
		if (!is_open(self, gate)) {
			raise_not_open(self, gate);
			return NULL;
		}
		if (gate & ZPY_GATE_OWNER) {
			zpy_raise_new(-EPERM, ZRX_STAGE_THREAD,
				      "another thread is in a call on this receiver",
				      "a receiver is used by one thread; open one for each");
			return NULL;
		}
	} while (!atomic_compare_exchange_weak_explicit(&self->gate, &gate, gate | ZPY_GATE_OWNER,
							memory_order_acq_rel,
							memory_order_acquire));
	if (self->group)
		atomic_store_explicit(&self->inside, PyThread_get_thread_ident(),
				      memory_order_relaxed);
	return self->core;
}

void zpy_leave_owner(struct zpy_receiver *self)
{
	uint32_t before =
		atomic_fetch_and_explicit(&self->gate, ~ZPY_GATE_OWNER, memory_order_acq_rel);

	if (self->group && before & ZPY_GATE_CLOSED)
		zpy_group_tell_left(self->group);
}

/* The calls of other threads that may be running (stats, info, wake) are short and wait for
 * nothing. */
static void wait_until_left(struct zpy_receiver *self)
{
	Py_BEGIN_ALLOW_THREADS
	while (atomic_load_explicit(&self->gate, memory_order_acquire) != ZPY_GATE_CLOSED)
		sched_yield();
	Py_END_ALLOW_THREADS
}

int zpy_enter_last(struct zpy_receiver *self)
{
	uint32_t gate = atomic_load_explicit(&self->gate, memory_order_acquire);

	do {
		if (gate & ZPY_GATE_CLOSED)
			return 0;
		if (gate & ZPY_GATE_OWNER) {
			zpy_raise_new(
				-EBUSY, ZRX_STAGE_THREAD, "a call on this receiver is running",
				"wake() it, and close the receiver where it is received from");
			return -1;
		}
	} while (!atomic_compare_exchange_weak_explicit(&self->gate, &gate, gate | ZPY_GATE_CLOSED,
							memory_order_acq_rel,
							memory_order_acquire));
	if (gate)
		wait_until_left(self);
	return 1;
}
