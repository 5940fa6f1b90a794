/* SPDX-License-Identifier: MIT */
/* The linker leads the core's calls here (--wrap), and from here to Linux. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "inject.h"
#include "sys.h"
#include "uapi.h"

const int inject_wait_errors[] = {-EINTR, -EAGAIN, -EBUSY, -EIO};
const unsigned inject_wait_error_count = sizeof(inject_wait_errors) / sizeof(inject_wait_errors[0]);

static _Atomic uint32_t calls;
static _Atomic int64_t held;
static _Atomic int64_t mapped;
static uint32_t fail_at;
static int wait_error;
static const char *failed;
static int watches_refused;

void inject_begin(uint32_t at, int error)
{
	calls = 0;
	held = 0;
	mapped = 0;
	fail_at = at;
	wait_error = error;
	failed = NULL;
}

void inject_refuse_watches(int refuse)
{
	watches_refused = refuse;
}

const char *inject_failed(void)
{
	return failed;
}

uint32_t inject_calls(void)
{
	return calls;
}

int64_t inject_held(void)
{
	return held;
}

int64_t inject_mapped(void)
{
	return mapped;
}

static int now(const char *name)
{
	if (atomic_fetch_add(&calls, 1) + 1 != fail_at)
		return 0;
	failed = name;
	return 1;
}

static int hold_if(int condition)
{
	if (condition)
		atomic_fetch_add(&held, 1);
	return condition;
}

/* ---- memory ---- */

void *__real_zrx_sys_alloc(size_t size);
void __real_zrx_sys_free(void *memory);
void *__real_zrx_sys_map(size_t size, int flags, int *error);
void *__real_zrx_sys_map_fd(int fd, size_t size, uint64_t offset, int writable, int *error);
void __real_zrx_sys_unmap(void *address, size_t size);
int __real_zrx_sys_advise(void *address, size_t size, int advice);
void *__real_zrx_sys_reserve(size_t size, int *error);
int __real_zrx_sys_commit(void *address, size_t size);

void *__wrap_zrx_sys_alloc(size_t size)
{
	void *memory = now("alloc") ? NULL : __real_zrx_sys_alloc(size);

	hold_if(memory != NULL);
	return memory;
}

void __wrap_zrx_sys_free(void *memory)
{
	if (memory)
		atomic_fetch_sub(&held, 1);
	__real_zrx_sys_free(memory);
}

static void *map_if(void *address, size_t size)
{
	if (address)
		atomic_fetch_add(&mapped, (int64_t)size);
	return address;
}

void *__wrap_zrx_sys_map(size_t size, int flags, int *error)
{
	if (!now("map"))
		return map_if(__real_zrx_sys_map(size, flags, error), size);
	*error = -ENOMEM;
	return NULL;
}

void *__wrap_zrx_sys_map_fd(int fd, size_t size, uint64_t offset, int writable, int *error)
{
	if (!now("map_fd"))
		return map_if(__real_zrx_sys_map_fd(fd, size, offset, writable, error), size);
	*error = -ENOMEM;
	return NULL;
}

void __wrap_zrx_sys_unmap(void *address, size_t size)
{
	atomic_fetch_sub(&mapped, (int64_t)size);
	__real_zrx_sys_unmap(address, size);
}

void *__wrap_zrx_sys_reserve(size_t size, int *error)
{
	if (!now("reserve"))
		return map_if(__real_zrx_sys_reserve(size, error), size);
	*error = -ENOMEM;
	return NULL;
}

int __wrap_zrx_sys_commit(void *address, size_t size)
{
	return now("commit") ? -ENOMEM : __real_zrx_sys_commit(address, size);
}

int __wrap_zrx_sys_advise(void *address, size_t size, int advice)
{
	return now("advise") ? -ENOMEM : __real_zrx_sys_advise(address, size, advice);
}

/* ---- io_uring ---- */

int __real_zrx_sys_ring_open(struct io_uring *ring, unsigned entries,
			     struct io_uring_params *params);
void __real_zrx_sys_ring_close(struct io_uring *ring);
int __real_zrx_sys_ring_register(struct io_uring *ring, unsigned opcode, void *argument,
				 unsigned count);
int __real_zrx_sys_ring_enter(struct io_uring *ring, unsigned wait_for,
			      const struct __kernel_timespec *timeout);
int __real_zrx_sys_ring_gather(struct io_uring *ring, uint32_t gather_us,
			       const struct __kernel_timespec *timeout);

int __wrap_zrx_sys_ring_open(struct io_uring *ring, unsigned entries,
			     struct io_uring_params *params)
{
	int result = now("ring_open") ? -ENOMEM : __real_zrx_sys_ring_open(ring, entries, params);

	hold_if(!result);
	return result;
}

void __wrap_zrx_sys_ring_close(struct io_uring *ring)
{
	atomic_fetch_sub(&held, 1);
	__real_zrx_sys_ring_close(ring);
}

int __wrap_zrx_sys_ring_register(struct io_uring *ring, unsigned opcode, void *argument,
				 unsigned count)
{
	const struct zrx_uapi_ctrl *control = argument;
	int result;

	if (now("ring_register"))
		return -ENOMEM;
	result = __real_zrx_sys_ring_register(ring, opcode, argument, count);
	/* One call of them gives a descriptor. */
	hold_if(opcode == ZRX_UAPI_REGISTER_ZCRX_CTRL && control->op == ZRX_UAPI_CTRL_EXPORT &&
		!result);
	return result;
}

int __wrap_zrx_sys_ring_enter(struct io_uring *ring, unsigned wait_for,
			      const struct __kernel_timespec *timeout)
{
	return now("ring_enter") ? wait_error : __real_zrx_sys_ring_enter(ring, wait_for, timeout);
}

int __wrap_zrx_sys_ring_gather(struct io_uring *ring, uint32_t gather_us,
			       const struct __kernel_timespec *timeout)
{
	return now("ring_gather") ? wait_error
				  : __real_zrx_sys_ring_gather(ring, gather_us, timeout);
}

/* ---- descriptors ---- */

int __real_zrx_sys_epoll_open(void);
int __real_zrx_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data);
int __real_zrx_sys_epoll_wait(int epoll, struct epoll_event *events, int capacity,
			      int64_t timeout_ns);
int __real_zrx_sys_eventfd_open(void);
int __real_zrx_sys_accept(int fd);
int __real_zrx_sys_timer_open(void);
int __real_zrx_sys_set_blocking(int fd, int blocking);
int __real_zrx_sys_dup(int fd);
void __real_zrx_sys_close(int fd);

static int opened(int fd)
{
	hold_if(fd >= 0);
	return fd;
}

int __wrap_zrx_sys_epoll_open(void)
{
	return opened(now("epoll_open") ? -EMFILE : __real_zrx_sys_epoll_open());
}

int __wrap_zrx_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
	if (operation == EPOLL_CTL_ADD && watches_refused)
		return -ENOSPC;
	/* Taking out of the set cannot fail. */
	if (operation != EPOLL_CTL_DEL && now("epoll_control"))
		return -ENOMEM;
	return __real_zrx_sys_epoll_control(epoll, operation, fd, events, data);
}

int __wrap_zrx_sys_epoll_wait(int epoll, struct epoll_event *events, int capacity,
			      int64_t timeout_ns)
{
	if (now("epoll_wait"))
		return wait_error;
	return __real_zrx_sys_epoll_wait(epoll, events, capacity, timeout_ns);
}

int __wrap_zrx_sys_eventfd_open(void)
{
	return opened(now("eventfd_open") ? -EMFILE : __real_zrx_sys_eventfd_open());
}

int __wrap_zrx_sys_timer_open(void)
{
	return opened(now("timer_open") ? -EMFILE : __real_zrx_sys_timer_open());
}

int __wrap_zrx_sys_accept(int fd)
{
	return opened(now("accept") ? -EMFILE : __real_zrx_sys_accept(fd));
}

int __wrap_zrx_sys_set_blocking(int fd, int blocking)
{
	return now("set_blocking") ? -EPERM : __real_zrx_sys_set_blocking(fd, blocking);
}

int __wrap_zrx_sys_dup(int fd)
{
	return opened(now("dup") ? -EMFILE : __real_zrx_sys_dup(fd));
}

void __wrap_zrx_sys_close(int fd)
{
	atomic_fetch_sub(&held, 1);
	__real_zrx_sys_close(fd);
}

/* ---- sockets ---- */

int __real_zrx_sys_socket_option(int fd, int level, int name, void *value, uint32_t *length);
int64_t __real_zrx_sys_recv(int fd, void *memory, size_t length);
int __real_zrx_sys_socket_pending(int fd);
int __real_zrx_sys_socket_polls(int fd);
int __real_zrx_sys_receive_buffer(int fd, int *fixed);
int __real_zrx_sys_receive_buffer_fix(int fd, uint32_t bytes);
int __real_zrx_sys_receive_buffer_loosen(int fd);

int __wrap_zrx_sys_socket_option(int fd, int level, int name, void *value, uint32_t *length)
{
	return now("socket_option") ? -ENOBUFS
				    : __real_zrx_sys_socket_option(fd, level, name, value, length);
}

int64_t __wrap_zrx_sys_recv(int fd, void *memory, size_t length)
{
	return now("recv") ? -EINTR : __real_zrx_sys_recv(fd, memory, length);
}

int __wrap_zrx_sys_socket_pending(int fd)
{
	return now("socket_pending") ? -EIO : __real_zrx_sys_socket_pending(fd);
}

int __wrap_zrx_sys_socket_polls(int fd)
{
	return now("socket_polls") ? -ENOMEM : __real_zrx_sys_socket_polls(fd);
}

int __wrap_zrx_sys_receive_buffer(int fd, int *fixed)
{
	return now("receive_buffer") ? -ENOBUFS : __real_zrx_sys_receive_buffer(fd, fixed);
}

int __wrap_zrx_sys_receive_buffer_fix(int fd, uint32_t bytes)
{
	return now("receive_buffer_fix") ? -EPERM : __real_zrx_sys_receive_buffer_fix(fd, bytes);
}

int __wrap_zrx_sys_receive_buffer_loosen(int fd)
{
	return now("receive_buffer_loosen") ? -ENOPROTOOPT
					    : __real_zrx_sys_receive_buffer_loosen(fd);
}
