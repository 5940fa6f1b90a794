/* SPDX-License-Identifier: MIT */
/*
 * Who is inside a group. The core wants no call on the group or on a receiver of it while the group
 * is closed; a close here sees to that, and waits for the calls that run.
 */
#include <errno.h>

#include "zpy.h"

static int is_ours(const struct zpy_group *self)
{
	return self->forks == atomic_load_explicit(&zpy.forks, memory_order_relaxed);
}

/* Release pairs with the acquire in wait_until_left. */
void zpy_group_leave(struct zpy_group *self)
{
	uint32_t before = atomic_fetch_sub_explicit(&self->gate, 1, memory_order_acq_rel);

	if (before & ZPY_GATE_CLOSED)
		zpy_group_tell_left(self);
}

int zpy_group_try_enter(struct zpy_group *self)
{
	uint32_t before = atomic_fetch_add_explicit(&self->gate, 1, memory_order_acq_rel);

	if (!(before & ZPY_GATE_CLOSED) && atomic_load_explicit(&self->core, memory_order_acquire))
		return 1;
	zpy_group_leave(self);
	return 0;
}

struct zrx_group *zpy_group_enter(struct zpy_group *self)
{
	if (!is_ours(self)) {
		zpy_raise_new(-ECHILD, ZRX_STAGE_THREAD, "the group was opened before a fork",
			      "open one in the child; start processes by spawn or forkserver");
		return NULL;
	}
	if (zpy_group_try_enter(self))
		return self->core;
	zpy_raise_new(-EBADF, ZRX_STAGE_NONE, "the group is closed", "");
	return NULL;
}

void zpy_group_tell_left(struct zpy_group *self)
{
	/* In a forked child nobody waits, and another thread may have had the lock. */
	if (!is_ours(self))
		return;
	pthread_mutex_lock(&self->lock);
	pthread_cond_broadcast(&self->left);
	pthread_mutex_unlock(&self->lock);
}

/* The GIL is not held: who leaves may need it. */
static void wait_until_left(struct zpy_group *self, const _Atomic uint32_t *gate)
{
	pthread_mutex_lock(&self->lock);
	while (atomic_load_explicit(gate, memory_order_acquire) != ZPY_GATE_CLOSED)
		pthread_cond_wait(&self->left, &self->lock);
	pthread_mutex_unlock(&self->lock);
}

/* Whether this thread closes the group from within a call on a receiver: by a destructor. */
static int is_inside(const struct zpy_group *self)
{
	unsigned long me = PyThread_get_thread_ident();

	for (uint32_t i = 0; i < self->count; i++) {
		const struct zpy_receiver *receiver = self->receivers[i];

		if (atomic_load_explicit(&receiver->gate, memory_order_acquire) & ZPY_GATE_OWNER &&
		    atomic_load_explicit(&receiver->inside, memory_order_relaxed) == me)
			return 1;
	}
	return 0;
}

/* Let nobody in, and make a receive that waits return. */
static void shut(struct zpy_receiver *receiver)
{
	uint32_t before =
		atomic_fetch_or_explicit(&receiver->gate, ZPY_GATE_CLOSED, memory_order_acq_rel);

	if (before & ZPY_GATE_OWNER && !(before & ZPY_GATE_CLOSED))
		zrx_receiver_wake(receiver->core);
}

int zpy_group_enter_last(struct zpy_group *self)
{
	uint32_t before;

	if (is_inside(self)) {
		zpy_raise_new(-EBUSY, ZRX_STAGE_THREAD,
			      "the group is closed from within a call on a receiver of it",
			      "close it after that call");
		return -1;
	}
	before = atomic_fetch_or_explicit(&self->gate, ZPY_GATE_CLOSED, memory_order_acq_rel);
	if (before & ZPY_GATE_CLOSED)
		return 0;
	if (!is_ours(self)) { /* the threads that were inside are the parent's */
		for (uint32_t i = 0; i < self->count; i++)
			atomic_store(&self->receivers[i]->gate, ZPY_GATE_CLOSED);
		return 1;
	}
	Py_BEGIN_ALLOW_THREADS
	/* First the group: a receiver that is being closed by its owner is through then. */
	wait_until_left(self, &self->gate);
	for (uint32_t i = 0; i < self->count; i++)
		shut(self->receivers[i]);
	for (uint32_t i = 0; i < self->count; i++)
		wait_until_left(self, &self->receivers[i]->gate);
	Py_END_ALLOW_THREADS
	return 1;
}
