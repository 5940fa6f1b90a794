/* SPDX-License-Identifier: MIT */
/*
 * A stream of numbered words over TCP, received by io_uring zero-copy receive with nothing between
 * this file and the kernel: shows that the rig itself works, whatever the library does.
 *
 *   zcrx_stream send ADDRESS PORT BYTES
 *   zcrx_stream receive INTERFACE QUEUE PORT BYTES [RX_BUF_LEN]
 *
 * receive binds the queue, says "ready", takes one connection (and says "receiving") to its end,
 * checks every word, and prints one JSON object. Exit status 0: all the bytes came, and they were
 * right.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../../../kernel/uapi.h"

#define AREA_BYTES   (32u << 20)
#define RQ_ENTRIES   16384u
#define REGION_BYTES (1u << 20)
#define CQ_ENTRIES   4096u
#define SEND_BYTES   (1u << 20)
#define WORD         sizeof(uint64_t)

static void die(const char *what)
{
	fprintf(stderr, "zcrx_stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map_memory(size_t bytes, int fd, off_t offset)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/* The word at a position of the stream: neighbours differ in all bytes. */
static uint64_t word_at(uint64_t position)
{
	return (position / WORD + 1) * 0x9e3779b97f4a7c15ull;
}

/* ---- the ring ---- */

struct ring {
	int fd;
	uint32_t *sq_tail;
	uint32_t *sq_array;
	uint32_t *cq_head;
	uint32_t *cq_tail;
	uint32_t sq_mask;
	uint32_t cq_mask;
	struct io_uring_sqe *sqes;
	unsigned char *cqes; /* of 32 bytes each */
};

static void ring_open(struct ring *ring)
{
	struct io_uring_params p = {.cq_entries = CQ_ENTRIES};

	p.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER |
		  IORING_SETUP_DEFER_TASKRUN;
	ring->fd = (int)syscall(__NR_io_uring_setup, 8, &p);
	if (ring->fd < 0)
		die("io_uring_setup");
	size_t bytes = p.cq_off.cqes + (size_t)p.cq_entries * 32;
	size_t sq_bytes = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	unsigned char *base =
		map_memory(bytes > sq_bytes ? bytes : sq_bytes, ring->fd, IORING_OFF_SQ_RING);

	ring->sq_tail = (uint32_t *)(base + p.sq_off.tail);
	ring->sq_array = (uint32_t *)(base + p.sq_off.array);
	ring->cq_head = (uint32_t *)(base + p.cq_off.head);
	ring->cq_tail = (uint32_t *)(base + p.cq_off.tail);
	ring->sq_mask = p.sq_entries - 1;
	ring->cq_mask = p.cq_entries - 1;
	ring->cqes = base + p.cq_off.cqes;
	ring->sqes =
		map_memory(p.sq_entries * sizeof(struct io_uring_sqe), ring->fd, IORING_OFF_SQES);
}

static void ring_enter(const struct ring *ring, unsigned int submit, unsigned int wait)
{
	while (syscall(__NR_io_uring_enter, ring->fd, submit, wait, IORING_ENTER_GETEVENTS, NULL,
		       0) < 0)
		if (errno != EINTR)
			die("io_uring_enter");
}

static void ring_arm(struct ring *ring, int fd, uint32_t zcrx_id)
{
	uint32_t tail = *ring->sq_tail, index = tail & ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = ZRX_UAPI_OP_RECV_ZC;
	sqe->fd = fd;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->file_index = zcrx_id; /* the kernel's zcrx_ifq_idx shares this field */
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	ring_enter(ring, 1, 0);
}

/* ---- the interface queue, its area and its refill ring ---- */

struct ifq {
	unsigned char *area;
	uint32_t *rq_head;
	uint32_t *rq_tail;
	struct zrx_uapi_rqe *rqes;
	const struct zrx_uapi_zcrx_stats *stats; /* NULL before 7.2 */
	uint64_t token;
	uint32_t id;
	uint32_t rx_buf_len;
};

static void ifq_register(struct ifq *ifq, const struct ring *ring, const char *interface,
			 uint32_t queue, uint32_t rx_buf_len)
{
	unsigned char *region = map_memory(REGION_BYTES, -1, 0);
	struct zrx_uapi_area_reg area = {.len = AREA_BYTES};
	struct zrx_uapi_region_desc desc = {.user_addr = (uintptr_t)region, .size = REGION_BYTES};
	struct zrx_uapi_event_desc events = {.flags = ZRX_UAPI_EVENT_FLAG_STATS};
	struct zrx_uapi_ifq_reg reg = {
		.rq_entries = RQ_ENTRIES, .rx_buf_len = rx_buf_len, .if_rxq = queue};

	ifq->area = mmap(
		NULL, AREA_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | (rx_buf_len ? MAP_HUGETLB : 0), -1, 0);
	if (ifq->area == MAP_FAILED)
		die("area");
	area.addr = (uintptr_t)ifq->area;
	desc.flags = ZRX_UAPI_MEM_REGION_TYPE_USER;
	events.stats_offset = REGION_BYTES - sizeof(struct zrx_uapi_zcrx_stats);
	reg.if_idx = if_nametoindex(interface);
	reg.area_ptr = (uintptr_t)&area;
	reg.region_ptr = (uintptr_t)&desc;
	reg.event_desc = (uintptr_t)&events;
	ifq->stats = (void *)(region + events.stats_offset);
	if (syscall(__NR_io_uring_register, ring->fd, ZRX_UAPI_REGISTER_ZCRX_IFQ, &reg, 1) < 0) {
		int refused = errno;

		reg.event_desc = 0; /* as kernels before 7.2 want it */
		ifq->stats = NULL;
		if (refused != EINVAL || syscall(__NR_io_uring_register, ring->fd,
						 ZRX_UAPI_REGISTER_ZCRX_IFQ, &reg, 1) < 0)
			die("register the queue");
	}
	ifq->rq_head = (uint32_t *)(region + reg.offsets.head);
	ifq->rq_tail = (uint32_t *)(region + reg.offsets.tail);
	ifq->rqes = (struct zrx_uapi_rqe *)(region + reg.offsets.rqes);
	ifq->token = area.rq_area_token;
	ifq->id = reg.zcrx_id;
	ifq->rx_buf_len = reg.rx_buf_len;
}

/* Give one delivered piece back. The ring cannot fill: it has more entries than the area has pieces
 * in flight. */
static void ifq_refill(struct ifq *ifq, uint64_t offset, uint32_t length)
{
	uint32_t tail = *ifq->rq_tail;
	struct zrx_uapi_rqe *rqe = &ifq->rqes[tail & (RQ_ENTRIES - 1)];

	while (tail - __atomic_load_n(ifq->rq_head, __ATOMIC_ACQUIRE) >= RQ_ENTRIES)
		usleep(100);
	rqe->off = offset | ifq->token;
	rqe->len = length;
	rqe->pad = 0;
	__atomic_store_n(ifq->rq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* Where chunks are short, ask the kernel to take the refill ring's now (6.19; older ones refuse,
 * and do so by themselves). */
static void ifq_flush(const struct ifq *ifq, const struct ring *ring)
{
	struct zrx_uapi_ctrl ctrl = {.zcrx_id = ifq->id, .op = ZRX_UAPI_CTRL_FLUSH_RQ};

	syscall(__NR_io_uring_register, ring->fd, ZRX_UAPI_REGISTER_ZCRX_CTRL, &ctrl, 0);
}

/* ---- receiving ---- */

struct progress {
	uint64_t bytes;
	uint64_t wrong; /* bytes that are not what was sent */
	uint64_t cqes;
	uint64_t rearms;
	bool ended;
};

static void verify(struct progress *progress, const unsigned char *data, uint32_t length)
{
	for (uint32_t i = 0; i < length;) {
		uint64_t position = progress->bytes + i, word = word_at(position), got = word;
		uint32_t skip = position % WORD, take = WORD - skip;

		if (take > length - i)
			take = length - i;
		if (take == WORD)
			memcpy(&got, data + i, WORD); /* of a constant length: one load */
		else
			memcpy((unsigned char *)&got + skip, data + i, take);
		if (got != word)
			progress->wrong += take;
		i += take;
	}
	progress->bytes += length;
}

static void take_completion(struct ring *ring, struct ifq *ifq, int fd, const unsigned char *raw,
			    struct progress *progress)
{
	const struct io_uring_cqe *cqe = (const void *)raw;
	const struct zrx_uapi_zcrx_cqe *where = (const void *)(raw + sizeof(*cqe));
	uint64_t offset = where->off & ~ZRX_UAPI_AREA_MASK;

	progress->cqes++;
	if (cqe->res > 0) {
		verify(progress, ifq->area + offset, (uint32_t)cqe->res);
		ifq_refill(ifq, offset, (uint32_t)cqe->res);
	} else if (cqe->res == 0) {
		progress->ended = true;
		return;
	} else if (cqe->res != -ENOSPC && cqe->res != -ENOMEM) {
		errno = -cqe->res;
		die("receive");
	}
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	progress->rearms++;
	ifq_flush(ifq, ring);
	ring_arm(ring, fd, ifq->id);
}

static void take_stream(struct ring *ring, struct ifq *ifq, int fd, struct progress *progress)
{
	ring_arm(ring, fd, ifq->id);
	while (!progress->ended) {
		ring_enter(ring, 0, 1);
		uint32_t head = *ring->cq_head;

		while (head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) &&
		       !progress->ended) {
			const unsigned char *raw = ring->cqes + (size_t)(head & ring->cq_mask) * 32;

			take_completion(ring, ifq, fd, raw, progress);
			head++;
			__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
		}
	}
}

static int listen_on(const char *port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6,
				       .sin6_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		die("listen");
	return fd;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int receive(char **argv, int argc)
{
	uint64_t expected = strtoull(argv[3], NULL, 0);
	struct ring ring;
	struct ifq ifq;
	struct progress progress = {0};
	int listener = listen_on(argv[2]);

	ring_open(&ring);
	ifq_register(&ifq, &ring, argv[0], (uint32_t)atoi(argv[1]),
		     argc > 4 ? (uint32_t)atoi(argv[4]) : 0);
	puts("ready");
	fflush(stdout);
	int fd = accept(listener, NULL, NULL);
	double start = seconds();

	if (fd < 0)
		die("accept");
	puts("receiving");
	fflush(stdout);
	take_stream(&ring, &ifq, fd, &progress);
	double took = seconds() - start;

	printf("{\"bytes\": %llu, \"wrong\": %llu, \"seconds\": %.3f, \"mb_per_s\": %.1f, "
	       "\"cqes\": %llu, "
	       "\"rearms\": %llu, \"rx_buf_len\": %u, ",
	       (unsigned long long)progress.bytes, (unsigned long long)progress.wrong, took,
	       (double)progress.bytes / 1e6 / took, (unsigned long long)progress.cqes,
	       (unsigned long long)progress.rearms, ifq.rx_buf_len);
	if (ifq.stats)
		printf("\"copy_count\": %llu, \"copy_bytes\": %llu}\n",
		       (unsigned long long)ifq.stats->copy_count,
		       (unsigned long long)ifq.stats->copy_bytes);
	else
		printf("\"copy_count\": null, \"copy_bytes\": null}\n");
	return progress.bytes == expected && !progress.wrong ? 0 : 1;
}

/* ---- sending ---- */

static int send_stream(char **argv)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6,
				       .sin6_port = htons((uint16_t)atoi(argv[1]))};
	uint64_t left = strtoull(argv[2], NULL, 0), position = 0;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	uint64_t *data = map_memory(SEND_BYTES, -1, 0);

	if (inet_pton(AF_INET6, argv[0], &address.sin6_addr) != 1)
		die("address");
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	while (left) {
		size_t bytes = left < SEND_BYTES ? left : SEND_BYTES, sent = 0;

		for (size_t i = 0; i * WORD < bytes; i++)
			data[i] = word_at(position + i * WORD);
		while (sent < bytes) {
			ssize_t n = send(fd, (char *)data + sent, bytes - sent, 0);

			if (n < 0)
				die("send");
			sent += (size_t)n;
		}
		position += bytes;
		left -= bytes;
	}
	return close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "send"))
		return send_stream(argv + 2);
	if ((argc == 6 || argc == 7) && !strcmp(argv[1], "receive"))
		return receive(argv + 2, argc - 2);
	fprintf(stderr, "usage: zcrx_stream send ADDRESS PORT BYTES | receive INTERFACE QUEUE PORT "
			"BYTES [RX_BUF_LEN]\n");
	return 2;
}
