/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "facts.h"

#define REFILL_ENTRIES 64u
#define ARRIVAL_MS     2000

void fact_fails(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "facts: this kernel does otherwise: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void connect_pair(struct rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	rig->peer = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(!bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 1) &&
		       !getsockname(listener, (struct sockaddr *)&address, &length) &&
		       !connect(rig->peer, (struct sockaddr *)&address, length),
	       "no connection on loopback: %s", strerror(errno));
	rig->ours = accept(listener, NULL, NULL);
	close(listener);
}

void rig_open(struct rig *rig, uint32_t flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE | flags,
		.cq_entries = RING_ENTRIES,
	};
	int result;

	memset(rig, 0, sizeof(*rig));
	result = io_uring_queue_init_params(RING_ENTRIES, &rig->ring, &params);
	EXPECT(!result, "no ring: %s", strerror(-result));
	connect_pair(rig);
}

void rig_close(struct rig *rig)
{
	io_uring_queue_exit(&rig->ring);
	close(rig->ours);
	close(rig->peer);
}

static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(memory != MAP_FAILED, "no memory");
	return memory;
}

void rig_buffers(struct rig *rig, uint32_t count, uint32_t bytes, uint16_t flags)
{
	uint32_t entries = count ? count : 1;
	struct zrx_uapi_buf_reg registration = {.ring_entries = entries, .flags = flags};
	int result;

	rig->buffers = map(PAGE);
	rig->memory = map((size_t)entries * bytes);
	rig->buffer_count = count;
	rig->buffer_bytes = bytes;
	registration.ring_addr = (uintptr_t)rig->buffers;
	result = io_uring_register((unsigned)rig->ring.ring_fd, ZRX_UAPI_REGISTER_PBUF_RING,
				   &registration, 1);
	EXPECT(!result, "no buffer ring: %s", strerror(-result));
	for (uint32_t i = 0; i < count; i++)
		io_uring_buf_ring_add(rig->buffers, rig->memory + (size_t)i * bytes, bytes,
				      (uint16_t)i, io_uring_buf_ring_mask(entries), (int)i);
	io_uring_buf_ring_advance(rig->buffers, (int)count);
}

int rig_nodev(struct rig *rig, uint32_t chunks)
{
	struct zrx_uapi_area_reg area = {.len = (uint64_t)chunks * PAGE};
	struct zrx_uapi_region_desc region = {.size = 2 * PAGE,
					      .flags = ZRX_UAPI_MEM_REGION_TYPE_USER};
	struct zrx_uapi_ifq_reg ifq = {.rq_entries = REFILL_ENTRIES, .flags = ZRX_UAPI_REG_NODEV};
	int result;

	rig->chunks = chunks;
	rig->area = map(area.len);
	rig->region = map(region.size);
	area.addr = (uintptr_t)rig->area;
	region.user_addr = (uintptr_t)rig->region;
	ifq.area_ptr = (uintptr_t)&area;
	ifq.region_ptr = (uintptr_t)&region;
	result =
		io_uring_register((unsigned)rig->ring.ring_fd, ZRX_UAPI_REGISTER_ZCRX_IFQ, &ifq, 1);
	if (result)
		return result;
	rig->zcrx_id = ifq.zcrx_id;
	rig->token = area.rq_area_token;
	rig->refill_tail = (void *)(rig->region + ifq.offsets.tail);
	rig->refill = (void *)(rig->region + ifq.offsets.rqes);
	return 0;
}

void rig_send(struct rig *rig, uint32_t bytes)
{
	static const uint8_t zeros[1 << 16];
	int pending = 0, before = 0;

	ioctl(rig->ours, FIONREAD, &before);
	EXPECT(send(rig->peer, zeros, bytes, 0) == (ssize_t)bytes, "send: %s", strerror(errno));
	for (int patience = ARRIVAL_MS; pending < before + (int)bytes; patience--) {
		EXPECT(patience, "%u bytes do not arrive", bytes);
		usleep(1000);
		ioctl(rig->ours, FIONREAD, &pending);
	}
}

struct io_uring_sqe *rig_request(struct rig *rig, uint8_t opcode, int fd, uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);

	EXPECT(sqe, "no room for a request");
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->user_data = user_data;
	return sqe;
}

void rig_receive(struct rig *rig, uint8_t opcode, uint32_t limit)
{
	struct io_uring_sqe *sqe = rig_request(rig, opcode, rig->ours, 1);

	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->len = limit;
	if (opcode == IORING_OP_RECV)
		sqe->flags = IOSQE_BUFFER_SELECT;
	else
		sqe->splice_fd_in = (int32_t)rig->zcrx_id;
}

void rig_turn(struct rig *rig)
{
	int result = io_uring_submit_and_get_events(&rig->ring);

	EXPECT(result >= 0, "enter: %s", strerror(-result));
}

int rig_has_completion(struct rig *rig)
{
	return *rig->ring.cq.khead != io_uring_smp_load_acquire(rig->ring.cq.ktail);
}

struct io_uring_cqe rig_completion(struct rig *rig, uint64_t *off)
{
	uint32_t head = *rig->ring.cq.khead;
	uint32_t wide = !!(rig->ring.flags & IORING_SETUP_CQE32);
	const struct io_uring_cqe *cqe =
		&rig->ring.cq.cqes[(head & rig->ring.cq.ring_mask) << wide];
	struct io_uring_cqe copy = {0};

	EXPECT(rig_has_completion(rig), "a completion is missing");
	memcpy(&copy, cqe, 16);
	if (off && wide)
		memcpy(off, cqe + 1, sizeof(*off));
	io_uring_smp_store_release(rig->ring.cq.khead, head + 1);
	return copy;
}

void rig_refill(struct rig *rig, uint64_t off)
{
	uint32_t tail = *rig->refill_tail;

	rig->refill[tail & (REFILL_ENTRIES - 1)] =
		(struct zrx_uapi_rqe){.off = (off & ~ZRX_UAPI_AREA_MASK) | rig->token};
	io_uring_smp_store_release(rig->refill_tail, tail + 1);
}

int rig_flush(struct rig *rig)
{
	struct zrx_uapi_ctrl ctrl = {.zcrx_id = rig->zcrx_id, .op = ZRX_UAPI_CTRL_FLUSH_RQ};

	return io_uring_register((unsigned)rig->ring.ring_fd, ZRX_UAPI_REGISTER_ZCRX_CTRL, &ctrl,
				 0);
}
