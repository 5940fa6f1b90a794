/* SPDX-License-Identifier: MIT */
/* The table of descriptors, and eventfds. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "others.h"
#include "sim.h"
#include "tcp_model.h"
#include "uring.h"

#define FIRST_FD 1000
#define FDS_MAX  256

struct descriptor {
	enum sim_fd_kind kind;
	void *object;
	_Atomic uint64_t count; /* of an eventfd; of a timer: when it goes off, 0: never */
};

static struct descriptor table[FDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the last release may be any thread's */

void sim_fds_begin(void)
{
	memset(table, 0, sizeof(table));
}

static struct descriptor *lookup(int fd)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + FDS_MAX || table[fd - FIRST_FD].kind == SIM_FD_FREE)
		return NULL;
	return &table[fd - FIRST_FD];
}

int sim_fd_new(enum sim_fd_kind kind, void *object)
{
	int fd = -EMFILE;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < FDS_MAX; i++) {
		if (table[i].kind == SIM_FD_FREE) {
			table[i].kind = kind;
			table[i].object = object;
			table[i].count = 0;
			fd = FIRST_FD + i;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	if (fd >= 0 && kind == SIM_FD_SOCKET)
		((struct sim_socket *)object)->descriptors++;
	return fd;
}

enum sim_fd_kind sim_fd_kind(int fd)
{
	struct descriptor *descriptor = lookup(fd);

	return descriptor ? descriptor->kind : SIM_FD_FREE;
}

void *sim_fd_object(int fd, enum sim_fd_kind kind)
{
	struct descriptor *descriptor = lookup(fd);

	return descriptor && descriptor->kind == kind ? descriptor->object : NULL;
}

void sim_fd_check_empty(void)
{
	for (int i = 0; i < FDS_MAX; i++) {
		if (table[i].kind != SIM_FD_FREE)
			sim_fail("descriptor %d (kind %d) was not closed", FIRST_FD + i,
				 table[i].kind);
	}
}

uint32_t sim_fd_poll(int fd)
{
	switch (sim_fd_kind(fd)) {
	case SIM_FD_EVENT:
	case SIM_FD_TIMER:
		return sim_event_readable(fd) ? POLLIN : 0;
	case SIM_FD_SOCKET:
		return sim_socket_poll(sim_fd_object(fd, SIM_FD_SOCKET));
	case SIM_FD_RING:
		return sim_uring_readable() ? POLLIN : 0;
	case SIM_FD_EPOLL:
		return sim_epoll_readable(sim_fd_object(fd, SIM_FD_EPOLL)) ? POLLIN : 0;
	case SIM_FD_LISTENER:
		return sim_listener_poll(sim_fd_object(fd, SIM_FD_LISTENER));
	default:
		sim_fail("poll of descriptor %d, which is not open", fd);
	}
}

int sim_fd_wakes_sleeper(int fd)
{
	return (sim_fd_kind(fd) != SIM_FD_RING || sim_uring_wakes_pollers()) && sim_fd_poll(fd);
}

int zrx_sys_dup(int fd)
{
	struct descriptor *descriptor = lookup(fd);
	int lacking;

	if (!descriptor)
		return -EBADF;
	lacking = sim_chance(sim.kernel.short_memory);
	if (descriptor->kind == SIM_FD_SOCKET)
		sim_world_duplicated(fd, lacking);
	return lacking ? -EMFILE : sim_fd_new(descriptor->kind, descriptor->object);
}

void zrx_sys_close(int fd)
{
	struct descriptor *descriptor = lookup(fd);

	if (!descriptor)
		sim_fail("descriptor %d is closed, and not open", fd);
	sim_epoll_forget(fd);
	if (descriptor->kind == SIM_FD_SOCKET)
		((struct sim_socket *)descriptor->object)->descriptors--;
	pthread_mutex_lock(&lock);
	descriptor->kind = SIM_FD_FREE;
	pthread_mutex_unlock(&lock);
}

/* ---- timers ---- */

int zrx_sys_timer_open(void)
{
	return sim_chance(sim.kernel.short_memory) ? -EMFILE : sim_fd_new(SIM_FD_TIMER, NULL);
}

void zrx_sys_timer_set(int fd, uint64_t at_ns)
{
	if (sim_fd_kind(fd) != SIM_FD_TIMER)
		sim_fail("setting descriptor %d, which is no timer", fd);
	lookup(fd)->count = at_ns;
}

uint64_t sim_timer_at(int fd)
{
	return lookup(fd)->count;
}

uint64_t sim_timer_next(uint64_t other)
{
	for (int i = 0; i < FDS_MAX; i++) {
		uint64_t at = table[i].kind == SIM_FD_TIMER ? table[i].count : 0;

		/* One that is due is seen: its thread has not come back for it. */
		if (at > sim.now_ns && (!other || at < other))
			other = at;
	}
	return other;
}

/* ---- eventfds ---- */

int sim_event_readable(int fd)
{
	struct descriptor *descriptor = lookup(fd);

	if (descriptor && descriptor->kind == SIM_FD_TIMER)
		return descriptor->count && descriptor->count <= sim.now_ns;
	if (!descriptor || descriptor->kind != SIM_FD_EVENT)
		sim_fail("descriptor %d is no eventfd", fd);
	return atomic_load(&descriptor->count) != 0;
}

void sim_event_add(int fd)
{
	if (sim_fd_kind(fd) != SIM_FD_EVENT)
		sim_fail("signalling descriptor %d, which is no eventfd", fd);
	atomic_fetch_add(&lookup(fd)->count, 1);
}

int zrx_sys_eventfd_open(void)
{
	return sim_chance(sim.kernel.short_memory) ? -EMFILE : sim_fd_new(SIM_FD_EVENT, NULL);
}

void zrx_sys_eventfd_signal(int fd)
{
	sim_world_signalled(fd);
	sim_event_add(fd);
	/* If the ring polls it. A real thread leaves that to the owner. */
	if (!sim.threads || !others_running())
		sim_uring_work();
}

void zrx_sys_eventfd_drain(int fd)
{
	if (!sim_event_readable(fd))
		return;
	atomic_store(&lookup(fd)->count, 0);
	sim_world_maybe();
}
