/* SPDX-License-Identifier: MIT */
/* Epoll instances, level-triggered. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "sim.h"

#define SETS        3
#define WATCHED_MAX 64

struct watched {
	int fd; /* -1: free */
	uint32_t events;
	uint64_t data;
};

struct set {
	uint32_t open;
	struct watched watched[WATCHED_MAX];
};

static struct set sets[SETS];

static void clear(struct set *set)
{
	set->open = 0;
	for (int i = 0; i < WATCHED_MAX; i++)
		set->watched[i].fd = -1;
}

void sim_epoll_begin(void)
{
	for (int i = 0; i < SETS; i++)
		clear(&sets[i]);
}

static struct watched *find(struct set *set, int fd)
{
	for (int i = 0; i < WATCHED_MAX; i++) {
		if (set->watched[i].fd == fd)
			return &set->watched[i];
	}
	return NULL;
}

/*
 * A descriptor that goes takes its entry along only when it was the file's last, as that of a timer
 * is; sockets are all duplicates. Nobody waits any more where a group stops listening.
 */
void sim_epoll_forget(int fd)
{
	enum sim_fd_kind kind = sim_fd_kind(fd);

	for (int i = 0; i < SETS; i++) {
		struct watched *watched = find(&sets[i], fd);

		if (watched && kind != SIM_FD_TIMER && kind != SIM_FD_LISTENER)
			sim_fail("descriptor %d is closed while epoll still watches its file", fd);
		if (watched)
			watched->fd = -1;
	}
	if (kind == SIM_FD_EPOLL)
		clear(sim_fd_object(fd, SIM_FD_EPOLL));
}

static uint32_t ready(const struct watched *watched)
{
	return sim_fd_poll(watched->fd) & (watched->events | EPOLLHUP | EPOLLERR);
}

int sim_epoll_readable(const void *object)
{
	const struct set *set = object;

	for (int i = 0; i < WATCHED_MAX; i++) {
		if (set->watched[i].fd >= 0 && ready(&set->watched[i]))
			return 1;
	}
	return 0;
}

int zrx_sys_epoll_open(void)
{
	if (sim_chance(sim.kernel.short_memory))
		return -EMFILE;
	for (int i = 0; i < SETS; i++) {
		if (sets[i].open++)
			continue;
		return sim_fd_new(SIM_FD_EPOLL, &sets[i]);
	}
	sim_fail("more than %d epoll instances", SETS);
}

int zrx_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
	struct set *set = sim_fd_object(epoll, SIM_FD_EPOLL);
	struct watched *watched;

	if (!set || sim_fd_kind(fd) == SIM_FD_FREE)
		sim_fail("epoll_ctl on descriptors %d and %d", epoll, fd);
	watched = find(set, fd);
	if (operation == EPOLL_CTL_DEL) {
		if (!watched)
			return -ENOENT;
		watched->fd = -1;
		return 0;
	}
	if (watched)
		return -EEXIST;
	if (sim_chance(sim.kernel.short_memory))
		return -ENOMEM;
	watched = find(set, -1);
	if (!watched)
		sim_fail("more than %d descriptors are watched", WATCHED_MAX);
	*watched = (struct watched){.fd = fd, .events = events, .data = data};
	return 0;
}

static int take_ready(struct set *set, struct epoll_event *events, int capacity)
{
	uint32_t start = sim_below(WATCHED_MAX);
	int count = 0;

	for (uint32_t i = 0; i < WATCHED_MAX && count < capacity; i++) {
		struct watched *watched = &set->watched[(start + i) % WATCHED_MAX];
		uint32_t mask = watched->fd >= 0 ? ready(watched) : 0;

		if (!mask || (count && sim_chance(10)))
			continue;
		events[count++] = (struct epoll_event){.events = mask, .data.u64 = watched->data};
	}
	return count;
}

int zrx_sys_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns)
{
	uint64_t deadline = sim.now_ns + (uint64_t)timeout_ns, next;
	struct set *set = sim_fd_object(epoll, SIM_FD_EPOLL);

	if (!set)
		sim_fail("epoll_wait on descriptor %d", epoll);
	sim_turn();
	sim_step();
	sim_world_maybe();
	for (;;) {
		int count = take_ready(set, events, capacity);

		if (count || !timeout_ns)
			return count;
		if (sim_chance(sim.kernel.interrupted))
			return -EINTR;
		if (timeout_ns > 0 && (sim_chance(5) || sim.now_ns >= deadline))
			break;
		if (sim_world_step())
			continue;
		if (timeout_ns > 0)
			break;
		next = sim_timer_next(0);
		if (next > sim.now_ns)
			sim.now_ns = next;
		/* Looked at last: a real thread may have signalled, and be done, since. */
		else if (!sim_epoll_readable(set))
			sim_world_quiet();
	}
	sim.now_ns = deadline;
	sim_progressed();
	return 0;
}
