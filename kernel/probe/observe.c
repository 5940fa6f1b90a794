/* SPDX-License-Identifier: MIT */
/* What the probe can see: system calls, trials on rings of its own, and /proc. Changes nothing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe/probe.h"
#include "sys.h"

#define PROBE_CAP_NET_ADMIN 12
#define PROBE_CAP_IPC_LOCK  14
/* The initial user namespace has this inode on every Linux (PROC_USER_INIT_INO). */
#define PROBE_INITIAL_USERNS 0xEFFFFFFDu

static ssize_t probe_slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	length = read(fd, text, size - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length;
}

/* The number after "name:" at the start of a line, as in /proc/self/status; absent if there is
 * none. */
static int64_t probe_field(const char *text, const char *name, int base)
{
	size_t length = strlen(name);

	while (text) {
		if (!strncmp(text, name, length) && text[length] == ':')
			return (int64_t)strtoull(text + length + 1, NULL, base);
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return ZRX_PROBE_ABSENT;
}

void zrx_probe_observe_process(struct zrx_probe_process *process)
{
	struct rlimit memlock = {0};
	struct stat userns;
	char text[4096];
	int64_t capabilities;

	memset(process, 0, sizeof(*process));
	process->uring_disabled = ZRX_PROBE_ABSENT;
	if (probe_slurp("/proc/sys/kernel/io_uring_disabled", text, sizeof(text)) > 0)
		process->uring_disabled = atoi(text);
	probe_slurp("/proc/thread-self/status", text, sizeof(text));
	process->seccomp = (int32_t)probe_field(text, "Seccomp", 10);
	process->no_new_privs = (int32_t)probe_field(text, "NoNewPrivs", 10);
	capabilities = probe_field(text, "CapEff", 16);
	if (capabilities != ZRX_PROBE_ABSENT) {
		process->cap_net_admin = (capabilities >> PROBE_CAP_NET_ADMIN) & 1;
		process->cap_ipc_lock = (capabilities >> PROBE_CAP_IPC_LOCK) & 1;
	}
	process->initial_userns =
		!stat("/proc/self/ns/user", &userns) && userns.st_ino == PROBE_INITIAL_USERNS;
	getrlimit(RLIMIT_MEMLOCK, &memlock);
	process->memlock_bytes = memlock.rlim_cur == RLIM_INFINITY ? UINT64_MAX : memlock.rlim_cur;
}

static void probe_observe_memory(struct zrx_probe_facts *facts)
{
	char text[4096];

	if (probe_slurp("/proc/meminfo", text, sizeof(text)) > 0) {
		int64_t pages = probe_field(text, "HugePages_Free", 10);
		int64_t kib = probe_field(text, "Hugepagesize", 10);

		facts->hugepages_free = pages > 0 ? (uint64_t)pages : 0;
		facts->hugepage_bytes = kib > 0 ? (uint64_t)kib << 10 : 0;
	}
	facts->thp = probe_slurp("/sys/kernel/mm/transparent_hugepage/enabled", text,
				 sizeof(text)) > 0 &&
		     !strstr(text, "[never]");
}

static int probe_ring(struct io_uring *ring, unsigned flags)
{
	struct io_uring_params params = {.flags = flags};

	return io_uring_queue_init_params(8, ring, &params);
}

static int probe_setup_flags(unsigned flags)
{
	struct io_uring ring;
	int result = probe_ring(&ring, flags);

	if (!result)
		io_uring_queue_exit(&ring);
	return result;
}

/*
 * Registration of an argument that cannot be read. A kernel that knows the operation looks at the
 * caller's rights first and at the argument next; one that does not says EINVAL at once.
 */
static int probe_zcrx_registration(unsigned flags)
{
	struct io_uring ring;
	int result = probe_ring(&ring, flags);

	if (result)
		return result;
	result =
		io_uring_register((unsigned)ring.ring_fd, ZRX_UAPI_REGISTER_ZCRX_IFQ, (void *)1, 1);
	io_uring_queue_exit(&ring);
	return result;
}

static int probe_query(int fd, uint32_t operation, void *answer, uint32_t size)
{
	struct zrx_uapi_query_hdr query = {
		.query_data = (uint64_t)(uintptr_t)answer,
		.query_op = operation,
		.size = size,
	};
	int result = io_uring_register((unsigned)fd, ZRX_UAPI_REGISTER_QUERY, &query, 0);

	return result ? result : query.result;
}

static int probe_busy_poll(struct io_uring *ring)
{
	struct zrx_uapi_napi napi = {.busy_poll_us = 1};

	return !io_uring_register((unsigned)ring->ring_fd, ZRX_UAPI_REGISTER_NAPI, &napi, 1);
}

static void probe_queries(struct io_uring *ring, struct zrx_probe_facts *facts)
{
	facts->query_zcrx =
		probe_query(ring->ring_fd, ZRX_UAPI_QUERY_ZCRX, &facts->zcrx, sizeof(facts->zcrx));
	facts->query_event = probe_query(ring->ring_fd, ZRX_UAPI_QUERY_ZCRX_EVENT, &facts->event,
					 sizeof(facts->event));
}

/* One byte through a socket pair by a multishot receive; memory: one page, ring and buffer. */
static int probe_receive(struct io_uring *ring, struct io_uring_buf_ring *buffers, char *buffer)
{
	struct __kernel_timespec timeout = {.tv_sec = 1};
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	int pair[2], result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	io_uring_buf_ring_add(buffers, buffer, 64, 0, io_uring_buf_ring_mask(8), 0);
	io_uring_buf_ring_advance(buffers, 1);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	if (write(pair[1], "x", 1) != 1)
		result = -errno;
	else
		result = io_uring_submit(ring);
	if (result >= 0)
		result = io_uring_wait_cqe_timeout(ring, &cqe, &timeout);
	if (!result) {
		result = cqe->res < 0 ? cqe->res : cqe->flags & IORING_CQE_F_MORE ? 0 : -EINVAL;
		io_uring_cqe_seen(ring, cqe);
	}
	close(pair[0]);
	close(pair[1]);
	return result;
}

static int probe_register_buffers(struct io_uring *ring, void *memory, uint16_t flags)
{
	struct io_uring_buf_reg registration = {
		.ring_addr = (uint64_t)(uintptr_t)memory,
		.ring_entries = 8,
	};

	/* Older headers call the field of the flags "pad". */
	memcpy((char *)&registration + offsetof(struct io_uring_buf_reg, bgid) + sizeof(uint16_t),
	       &flags, sizeof(flags));
	return io_uring_register((unsigned)ring->ring_fd, ZRX_UAPI_REGISTER_PBUF_RING,
				 &registration, 1);
}

static void probe_buffers(struct io_uring *ring, struct zrx_probe_facts *facts)
{
	size_t page = facts->page_bytes;
	char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		facts->buffer_ring = facts->incremental = facts->multishot = -errno;
		return;
	}
	facts->incremental = probe_register_buffers(ring, memory, ZRX_UAPI_PBUF_RING_INC);
	if (!facts->incremental)
		io_uring_unregister_buf_ring(ring, 0);
	facts->buffer_ring = probe_register_buffers(ring, memory, 0);
	facts->multishot = facts->buffer_ring;
	if (!facts->buffer_ring) {
		facts->multishot =
			probe_receive(ring, (struct io_uring_buf_ring *)memory, memory + page / 2);
		io_uring_unregister_buf_ring(ring, 0);
	}
	munmap(memory, page);
}

void zrx_probe_observe(struct zrx_probe_facts *facts)
{
	const unsigned defer = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	struct utsname name;
	struct io_uring ring;

	memset(facts, 0, sizeof(*facts));
	if (!uname(&name))
		snprintf(facts->release, sizeof(facts->release), "%s", name.release);
	facts->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	zrx_probe_observe_process(&facts->process);
	probe_observe_memory(facts);

	facts->uring = probe_ring(&ring, 0);
	if (facts->uring) {
		facts->defer_taskrun = facts->cqe32 = facts->zcrx_registration = facts->uring;
		facts->buffer_ring = facts->incremental = facts->multishot = facts->uring;
		facts->query_zcrx = facts->query_event = facts->uring;
		return;
	}
	probe_queries(&ring, facts);
	probe_buffers(&ring, facts);
	facts->busy_poll = probe_busy_poll(&ring);
	io_uring_queue_exit(&ring);
	facts->defer_taskrun = probe_setup_flags(defer);
	facts->cqe32 = probe_setup_flags(defer | IORING_SETUP_CQE32);
	facts->zcrx_registration = probe_zcrx_registration(defer | IORING_SETUP_CQE32);
}
