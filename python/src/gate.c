/* SPDX-License-Identifier: MIT */
/*
 * Who is inside a receiver. The core wants add, receive and close one at a time, and nothing
 * running when close does; Python promises its users an exception, not a crash.
 */
#include <errno.h>

#include "zpy.h"

static int refuse(const struct zpy_receiver *self, uint32_t gate)
{
	if (!self->core || gate & ZPY_GATE_CLOSED)
		zpy_raise_new(-EBADF, ZRX_STAGE_NONE, "the receiver is closed", "");
	else if (self->forks != atomic_load_explicit(&zpy.forks, memory_order_relaxed))
		zpy_raise_new(-ECHILD, ZRX_STAGE_THREAD, "the receiver was opened before a fork",
			      "open one in the child; start processes by spawn or forkserver");
	else
		return 0;
	return -1;
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
	if (refuse(self, gate) == 0)
		return self->core;
	zpy_leave(object);
	return NULL;
}

void zpy_leave(PyObject *receiver)
{
	atomic_fetch_sub_explicit(&((struct zpy_receiver *)receiver)->gate, 1, memory_order_acq_rel);
}

struct zrx_receiver *zpy_enter_owner(struct zpy_receiver *self)
{
	uint32_t gate = atomic_load_explicit(&self->gate, memory_order_acquire);

	do {
		if (refuse(self, gate) < 0)
			return NULL;
		if (gate & ZPY_GATE_OWNER) {
			zpy_raise_new(-EPERM, ZRX_STAGE_THREAD,
				      "another thread is in a call on this receiver",
				      "a receiver is used by one thread; open one for each");
			return NULL;
		}
	} while (!atomic_compare_exchange_weak_explicit(&self->gate, &gate, gate | ZPY_GATE_OWNER,
							memory_order_acq_rel, memory_order_acquire));
	return self->core;
}

void zpy_leave_owner(struct zpy_receiver *self)
{
	atomic_fetch_and_explicit(&self->gate, ~ZPY_GATE_OWNER, memory_order_acq_rel);
}
