/* SPDX-License-Identifier: MIT */
/*
 * The seam: every contact of the core with the kernel. The product links kernel/sys.c; tests
 * link a simulated kernel, or one that fails on command, in its place. The rings themselves are
 * memory: a simulated kernel hands out its own in zrx_sys_ring_open and reads and writes them
 * as the real one does, so the engines' barriers are exercised too.
 *
 * All return a negative errno on failure. Same meaning as the system call behind each.
 */
#ifndef ZRX_SYS_H
#define ZRX_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <liburing.h>

/* It has no version to be asked for before 2.4; this constant came with 2.3. */
#ifndef IORING_SETUP_DEFER_TASKRUN
#error "zcrx needs liburing 2.3 or newer (pkg-config --modversion liburing tells which is installed)"
#endif

/* ---- heap and mappings ---- */
void *zrx_sys_alloc(size_t size); /* zeroed; NULL when there is none */
void zrx_sys_free(void *memory);
/*
 * Anonymous memory: flags as for mmap beyond MAP_ANONYMOUS. Errors come back as -errno in *error.
 */
void *zrx_sys_map(size_t size, int flags, int *error);
/* A region that the ring owns (refill ring in kernel memory), or a mappable fd (udmabuf). */
void *zrx_sys_map_fd(int fd, size_t size, uint64_t offset, int writable, int *error);
void zrx_sys_unmap(void *address, size_t size);
/*
 * Addresses without memory, which is committed to them later, and withdrawn again; both in whole
 * pages.
 */
void *zrx_sys_reserve(size_t size, int *error);
int zrx_sys_commit(void *address, size_t size);
void zrx_sys_withdraw(void *address, size_t size);
int zrx_sys_advise(void *address, size_t size, int advice);
int zrx_sys_thp_enabled(void); /* 1 if madvise(MADV_HUGEPAGE) can have an effect */
size_t zrx_sys_page_bytes(void);

/* ---- io_uring ---- */
int zrx_sys_ring_open(struct io_uring *ring, unsigned entries, struct io_uring_params *params);
void zrx_sys_ring_close(struct io_uring *ring); /* unmaps and closes */
int zrx_sys_ring_register(struct io_uring *ring, unsigned opcode, void *argument, unsigned count);
/*
 * Submit what is queued, run completions, and wait until `wait_for` of them are there or the time
 * is over. timeout NULL: no limit. Returns what was submitted, or -errno (-ETIME when the time is
 * over).
 */
int zrx_sys_ring_enter(struct io_uring *ring, unsigned wait_for,
		       const struct __kernel_timespec *timeout);
/*
 * Wait as that does for one completion, but for gather_us first unless a second one comes: for a
 * sleeper who knows that more follows. Submits nothing. Kernels that cannot (before 6.12) wait for
 * the first.
 */
int zrx_sys_ring_gather(struct io_uring *ring, uint32_t gather_us,
			const struct __kernel_timespec *timeout);

/* ---- epoll and eventfd ---- */
struct epoll_event;
int zrx_sys_epoll_open(void);
int zrx_sys_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data);
int zrx_sys_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns);
int zrx_sys_timer_open(void); /* readable once its time has come */
void zrx_sys_timer_set(int fd, uint64_t at_ns);
int zrx_sys_eventfd_open(void);
void zrx_sys_eventfd_signal(int fd); /* async-signal-safe */
void zrx_sys_eventfd_drain(int fd);

/* ---- sockets and descriptors ---- */
int zrx_sys_dup(int fd); /* close-on-exec */
void zrx_sys_close(int fd);
int zrx_sys_accept(int fd); /* close-on-exec; the listening socket does not block */
int zrx_sys_set_blocking(int fd, int blocking); /* returns whether it was */
int zrx_sys_socket_option(int fd, int level, int name, void *value, uint32_t *length);
/*
 * A socket's receive buffer, in bytes as getsockopt tells them: twice those that are set. All
 * return -errno on failure.
 */
int zrx_sys_receive_buffer(int fd, int *fixed); /* fixed: somebody has set it (told since 5.14) */
int zrx_sys_receive_buffer_fix(int fd, uint32_t bytes); /* beyond net.core.rmem_max where the caller
							   may; returns what it is then */
int zrx_sys_receive_buffer_loosen(int fd);              /* let the kernel size it again (5.14) */
int64_t zrx_sys_recv(int fd, void *memory, size_t length); /* never blocks */
int zrx_sys_socket_pending(int fd);                        /* bytes that could be received now */
int zrx_sys_socket_polls(int fd); /* 1: bytes, the end or an error could be received now; 0: not */

/* ---- time and processors ---- */
uint64_t zrx_sys_now_ns(void); /* CLOCK_MONOTONIC */
void zrx_sys_yield(void);
int zrx_sys_processors(void);               /* how many this process may run on */
int zrx_sys_may_run_on(uint32_t processor); /* whether that is one of them */
int zrx_sys_pin(uint32_t processor);        /* the calling thread, to that one */
/* Prefer memory of a NUMA node for pages that are not there yet. */
int zrx_sys_prefer_node(void *address, size_t size, uint32_t node);

#endif
