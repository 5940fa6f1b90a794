/* SPDX-License-Identifier: MIT */
/* One epoll instance, level-triggered. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "sim.h"

#define WATCHED_MAX 64

struct watched {
	int fd; /* -1: free */
	uint32_t events;
	uint64_t data;
};

static struct watched set[WATCHED_MAX];

void sim_epoll_begin(void)
{
	for (int i = 0; i < WATCHED_MAX; i++)
		set[i].fd = -1;
}

static struct watched *find(int fd)
{
	for (int i = 0; i < WATCHED_MAX; i++) {
		if (set[i].fd == fd)
			return &set[i];
	}
	return NULL;
}

/* A descriptor that goes takes its entry along only when it was the file's last; ours are all
 * duplicates. */
void sim_epoll_forget(int fd)
{
	struct watched *watched = find(fd);

	if (watched && fd >= 0)
		sim_fail("descriptor %d is closed while epoll still watches its file", fd);
	if (sim_fd_kind(fd) == SIM_FD_EPOLL)
		sim_epoll_begin();
}

static uint32_t ready(const struct watched *watched)
{
	return sim_fd_poll(watched->fd) & (watched->events | EPOLLHUP | EPOLLERR);
}

int sim_epoll_readable(void)
{
	for (int i = 0; i < WATCHED_MAX; i++) {
		if (set[i].fd >= 0 && ready(&set[i]))
			return 1;
	}
	return 0;
}

int zrx_sys_epoll_open(void)
{
	return sim_chance(sim.kernel.short_memory) ? -EMFILE : sim_fd_new(SIM_FD_EPOLL, set);
}

int zrx_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
	struct watched *watched = find(fd);

	if (sim_fd_kind(epoll) != SIM_FD_EPOLL || sim_fd_kind(fd) == SIM_FD_FREE)
		sim_fail("epoll_ctl on descriptors %d and %d", epoll, fd);
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
	watched = find(-1);
	*watched = (struct watched){.fd = fd, .events = events, .data = data};
	return 0;
}

static int take_ready(struct epoll_event *events, int capacity)
{
	uint32_t start = sim_below(WATCHED_MAX);
	int count = 0;

	for (uint32_t i = 0; i < WATCHED_MAX && count < capacity; i++) {
		struct watched *watched = &set[(start + i) % WATCHED_MAX];
		uint32_t mask = watched->fd >= 0 ? ready(watched) : 0;

		if (!mask || (count && sim_chance(10)))
			continue;
		events[count++] = (struct epoll_event){.events = mask, .data.u64 = watched->data};
	}
	return count;
}

int zrx_sys_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns)
{
	uint64_t deadline = sim.now_ns + (uint64_t)timeout_ns;

	if (sim_fd_kind(epoll) != SIM_FD_EPOLL)
		sim_fail("epoll_wait on descriptor %d", epoll);
	sim_turn();
	sim_step();
	sim_world_maybe();
	for (;;) {
		int count = take_ready(events, capacity);

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
		/* Looked at last: a real thread may have signalled, and be done, since. */
		if (!sim_epoll_readable())
			sim_world_quiet();
	}
	sim.now_ns = deadline;
	sim_progressed();
	return 0;
}
