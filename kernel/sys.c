/* SPDX-License-Identifier: MIT */
/* The seam of kernel/sys.h, on Linux: libc and liburing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"
#include "uapi.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define RECEIVE_LOCK 2 /* SOCK_RCVBUF_LOCK of linux/socket.h */

void *zrx_sys_alloc(size_t size)
{
	return calloc(1, size);
}

void zrx_sys_free(void *memory)
{
	free(memory);
}

static void *mapped(void *address, int *error)
{
	if (address != MAP_FAILED)
		return address;
	*error = -errno;
	return NULL;
}

void *zrx_sys_map(size_t size, int flags, int *error)
{
	if (!(flags & (MAP_SHARED | MAP_PRIVATE)))
		flags |= MAP_PRIVATE;
	return mapped(mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0),
		      error);
}

void *zrx_sys_map_fd(int fd, size_t size, uint64_t offset, int writable, int *error)
{
	int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;

	return mapped(mmap(NULL, size, protection, MAP_SHARED, fd, (off_t)offset), error);
}

void zrx_sys_unmap(void *address, size_t size)
{
	munmap(address, size);
}

void *zrx_sys_reserve(size_t size, int *error)
{
	return mapped(
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
		error);
}

int zrx_sys_commit(void *address, size_t size)
{
	return mprotect(address, size, PROT_READ | PROT_WRITE) ? -errno : 0;
}

void zrx_sys_withdraw(void *address, size_t size)
{
	madvise(address, size, MADV_DONTNEED);
	mprotect(address, size, PROT_NONE);
}

int zrx_sys_advise(void *address, size_t size, int advice)
{
	return madvise(address, size, advice) ? -errno : 0;
}

int zrx_sys_thp_enabled(void)
{
	char text[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	return length > 0 && !strstr(text, "[never]");
}

size_t zrx_sys_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int zrx_sys_ring_open(struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
	int result = io_uring_queue_init_params(entries, ring, params);

	if (result < 0)
		return result;
	/* A forked child that touched the rings would complete its parent's requests. */
	result = io_uring_ring_dontfork(ring);
	if (result < 0)
		io_uring_queue_exit(ring);
	return result;
}

void zrx_sys_ring_close(struct io_uring *ring)
{
	io_uring_queue_exit(ring);
}

int zrx_sys_ring_register(struct io_uring *ring, unsigned opcode, void *argument, unsigned count)
{
	return io_uring_register((unsigned)ring->ring_fd, opcode, argument, count);
}

int zrx_sys_ring_enter(struct io_uring *ring, unsigned wait_for,
		       const struct __kernel_timespec *timeout)
{
	struct __kernel_timespec copy;
	struct io_uring_cqe *cqe;

	if (!wait_for)
		return io_uring_submit_and_get_events(ring);
	if (!timeout)
		return io_uring_submit_and_wait(ring, wait_for);
	copy = *timeout;
	return io_uring_submit_and_wait_timeout(ring, &cqe, wait_for, &copy, NULL);
}

int zrx_sys_ring_gather(struct io_uring *ring, uint32_t gather_us,
			const struct __kernel_timespec *timeout)
{
	struct zrx_uapi_getevents_arg argument = {
		.min_wait_usec = gather_us,
		.ts = (uint64_t)(uintptr_t)timeout,
	};

	if (!(ring->features & ZRX_UAPI_FEAT_MIN_TIMEOUT))
		return zrx_sys_ring_enter(ring, 1, timeout);
	return io_uring_enter2((unsigned)ring->ring_fd, 0, 2,
			       IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (void *)&argument,
			       sizeof(argument));
}

int zrx_sys_epoll_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int zrx_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(epoll, operation, fd, &event) ? -errno : 0;
}

/* glibc has the call since 2.35, musl has not; the number is the same on every architecture. */
#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441
#endif

/* Whole milliseconds, rounded up: waking early would turn a short timeout into a spin. */
static int milliseconds(int64_t timeout_ns)
{
	int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);

	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int zrx_sys_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns)
{
	struct __kernel_timespec timeout = {.tv_sec = timeout_ns / 1000000000,
					    .tv_nsec = timeout_ns % 1000000000};
	int count;

	if (timeout_ns <= 0)
		count = epoll_wait(epoll, events, capacity, timeout_ns ? -1 : 0);
	else
		count = (int)syscall(__NR_epoll_pwait2, epoll, events, capacity, &timeout, NULL,
				     (size_t)0);
	/* Before 5.11; or a container's filter that is older than the call. */
	if (count < 0 && (errno == ENOSYS || errno == EPERM))
		count = epoll_wait(epoll, events, capacity, milliseconds(timeout_ns));
	return count < 0 ? -errno : count;
}

int zrx_sys_timer_open(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void zrx_sys_timer_set(int fd, uint64_t at_ns)
{
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u),
					     .tv_nsec = (long)(at_ns % 1000000000u)}};

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
}

int zrx_sys_eventfd_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void zrx_sys_eventfd_signal(int fd)
{
	int saved = errno; /* also called from signal handlers and destructors */
	uint64_t one = 1;

	/* EAGAIN means that the counter is full: then it is readable, which is all that is wanted.
	 */
	if (write(fd, &one, sizeof(one)) < 0)
		errno = saved;
}

void zrx_sys_eventfd_drain(int fd)
{
	int saved = errno;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		errno = saved;
}

int zrx_sys_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

void zrx_sys_close(int fd)
{
	close(fd);
}

int zrx_sys_accept(int fd)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	return connection < 0 ? -errno : connection;
}

int zrx_sys_set_blocking(int fd, int blocking)
{
	int flags = fcntl(fd, F_GETFL), was = !(flags & O_NONBLOCK);

	if (flags < 0)
		return -errno;
	if (was == !!blocking)
		return was;
	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) ? -errno : was;
}

int zrx_sys_socket_option(int fd, int level, int name, void *value, uint32_t *length)
{
	return getsockopt(fd, level, name, value, length) ? -errno : 0;
}

/* Which of a socket's buffers somebody has set; -errno before 5.14. */
static int buffer_locks(int fd)
{
	int locks = 0;
	socklen_t length = sizeof(locks);

	return getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &length) ? -errno : locks;
}

int zrx_sys_receive_buffer(int fd, int *fixed)
{
	int bytes = 0, locks = buffer_locks(fd);
	socklen_t length = sizeof(bytes);

	*fixed = locks > 0 && locks & RECEIVE_LOCK;
	return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) ? -errno : bytes;
}

int zrx_sys_receive_buffer_fix(int fd, uint32_t bytes)
{
	int half = (int)(bytes / 2), fixed;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)))
		return -errno;
	return zrx_sys_receive_buffer(fd, &fixed);
}

int zrx_sys_receive_buffer_loosen(int fd)
{
	int locks = buffer_locks(fd);

	if (locks < 0)
		return locks;
	locks &= ~RECEIVE_LOCK;
	return setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, sizeof(locks)) ? -errno : 0;
}

int64_t zrx_sys_recv(int fd, void *memory, size_t length)
{
	ssize_t result = recv(fd, memory, length, MSG_DONTWAIT);

	return result < 0 ? -errno : result;
}

int zrx_sys_socket_polls(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN | POLLRDHUP};
	int result = poll(&polled, 1, 0);

	return result < 0 ? -errno : result;
}

int zrx_sys_socket_pending(int fd)
{
	int bytes;

	return ioctl(fd, FIONREAD, &bytes) ? -errno : bytes;
}

uint64_t zrx_sys_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void zrx_sys_yield(void)
{
	sched_yield();
}

/* Of more processors than a cpu_set_t has room for, those are used that it has room for. */
int zrx_sys_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

int zrx_sys_may_run_on(uint32_t processor)
{
	cpu_set_t set;

	return processor < CPU_SETSIZE && !sched_getaffinity(0, sizeof(set), &set) &&
	       CPU_ISSET(processor, &set);
}

int zrx_sys_pin(uint32_t processor)
{
	cpu_set_t set;

	if (processor >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* By number: libnuma is the only other way, and this is all that is needed of it. */
#define PREFER_NODE 1 /* MPOL_PREFERRED */

int zrx_sys_prefer_node(void *address, size_t size, uint32_t node)
{
	unsigned long nodes[16] = {0};
	const size_t bits = 8 * sizeof(nodes[0]);

	if (node >= 8 * sizeof(nodes))
		return -EINVAL;
	nodes[node / bits] = 1ul << node % bits;
	return syscall(__NR_mbind, address, size, PREFER_NODE, nodes, 8 * sizeof(nodes) + 1, 0)
		       ? -errno
		       : 0;
}
