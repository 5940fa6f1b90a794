/* SPDX-License-Identifier: MIT */
/*
 * Its instructions are told from the core's by the names of its functions: all that run per buffer
 * are __wrap_ or scripted_ ones.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <liburing.h>

#include "kernel.h"
#include "sys.h"
#include "uapi.h"

#define CHUNK   4096u
#define ENTRIES 4096u /* completions there is room for */

static struct {
	unsigned sq_head, sq_tail, sq_mask, sq_entries, sq_flags, sq_dropped;
	unsigned cq_head, cq_tail, cq_mask, cq_entries, cq_flags, cq_overflow;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	const struct zrx_uapi_rqe *refill;
	uint32_t *refill_head, *refill_tail;
	uint32_t refill_mask;
	uint32_t fresh, chunks; /* chunks that were never delivered begin at fresh */
	uint64_t receive;       /* the user_data of the request to receive; 0: there is none */
	uint64_t delivered, taken;
} scripted;

/* ---- set-up ---- */

static uint32_t power_of_two(uint32_t wanted)
{
	uint32_t entries = 1;

	while (entries < wanted)
		entries *= 2;
	return entries;
}

/* What liburing's inline functions read. */
static void show(struct io_uring *ring)
{
	ring->sq.khead = &scripted.sq_head;
	ring->sq.ktail = &scripted.sq_tail;
	ring->sq.kring_mask = &scripted.sq_mask;
	ring->sq.kring_entries = &scripted.sq_entries;
	ring->sq.kflags = &scripted.sq_flags;
	ring->sq.kdropped = &scripted.sq_dropped;
	ring->sq.sqes = scripted.sqes;
	ring->sq.ring_mask = scripted.sq_mask;
	ring->sq.ring_entries = scripted.sq_entries;
	ring->cq.khead = &scripted.cq_head;
	ring->cq.ktail = &scripted.cq_tail;
	ring->cq.kring_mask = &scripted.cq_mask;
	ring->cq.kring_entries = &scripted.cq_entries;
	ring->cq.kflags = &scripted.cq_flags;
	ring->cq.koverflow = &scripted.cq_overflow;
	ring->cq.cqes = scripted.cqes;
	ring->cq.ring_mask = scripted.cq_mask;
	ring->cq.ring_entries = scripted.cq_entries;
}

int __wrap_zrx_sys_ring_open(struct io_uring *ring, unsigned entries,
			     struct io_uring_params *params)
{
	if (!(params->flags & IORING_SETUP_CQE32))
		return -EINVAL;
	memset(ring, 0, sizeof(*ring));
	ring->flags = params->flags;
	ring->ring_fd = ring->enter_ring_fd = -1;
	scripted.sq_entries = power_of_two(entries);
	scripted.sq_mask = scripted.sq_entries - 1;
	scripted.cq_entries = power_of_two(params->cq_entries);
	scripted.cq_mask = scripted.cq_entries - 1;
	scripted.sqes = calloc(scripted.sq_entries, sizeof(*scripted.sqes));
	scripted.cqes = calloc(scripted.cq_entries, 2 * sizeof(*scripted.cqes));
	if (!scripted.sqes || !scripted.cqes)
		return -ENOMEM;
	show(ring);
	return 0;
}

void __wrap_zrx_sys_ring_close(struct io_uring *ring)
{
	(void)ring;
	free(scripted.sqes);
	free(scripted.cqes);
}

static int register_queue(struct zrx_uapi_ifq_reg *ifq)
{
	struct zrx_uapi_area_reg *area = (void *)(uintptr_t)ifq->area_ptr;
	const struct zrx_uapi_region_desc *region = (const void *)(uintptr_t)ifq->region_ptr;
	uint8_t *memory = (uint8_t *)(uintptr_t)region->user_addr;

	if (!memory || ifq->rx_buf_len)
		return -EINVAL;
	ifq->offsets = (struct zrx_uapi_offsets){.head = 0, .tail = 64, .rqes = CHUNK};
	ifq->zcrx_id = 1;
	area->rq_area_token = 0; /* as kernels have it */
	scripted.refill_head = (uint32_t *)(void *)memory;
	scripted.refill_tail = (uint32_t *)(void *)(memory + ifq->offsets.tail);
	scripted.refill = (const void *)(memory + ifq->offsets.rqes);
	scripted.refill_mask = ifq->rq_entries - 1;
	scripted.chunks = (uint32_t)(area->len / CHUNK);
	return 0;
}

/* What can be asked for on this kernel: flushing, as on every one that has zero-copy receive. */
static int answer(const struct zrx_uapi_query_hdr *header)
{
	struct zrx_uapi_query_zcrx *zcrx = (void *)(uintptr_t)header->query_data;

	if (header->query_op != ZRX_UAPI_QUERY_ZCRX)
		return -EOPNOTSUPP;
	zcrx->nr_ctrl_opcodes = ZRX_UAPI_CTRL_FLUSH_RQ + 1;
	return 0;
}

int __wrap_zrx_sys_ring_register(struct io_uring *ring, unsigned opcode, void *argument,
				 unsigned count)
{
	(void)ring;
	(void)count;
	switch (opcode) {
	case IORING_REGISTER_ENABLE_RINGS:
	case ZRX_UAPI_REGISTER_ZCRX_CTRL:
		return 0;
	case ZRX_UAPI_REGISTER_QUERY:
		return answer(argument);
	case ZRX_UAPI_REGISTER_ZCRX_IFQ:
		return register_queue(argument);
	default:
		return -EINVAL;
	}
}

/* ---- running ---- */

static void scripted_complete(uint64_t user_data, int32_t result, uint32_t flags, uint64_t offset)
{
	struct io_uring_cqe *cqe =
		&scripted.cqes[(size_t)(scripted.cq_tail & scripted.cq_mask) * 2];
	struct zrx_uapi_zcrx_cqe *second = (void *)(cqe + 1);

	cqe->user_data = user_data;
	cqe->res = result;
	cqe->flags = flags;
	second->off = offset;
	scripted.cq_tail++;
}

/* Requests end at once when they are cancelled, and never otherwise. */
static void scripted_request(const struct io_uring_sqe *sqe)
{
	if (sqe->opcode == ZRX_UAPI_OP_RECV_ZC) {
		scripted.receive = sqe->user_data;
	} else if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
		if (scripted.receive)
			scripted_complete(scripted.receive, -ECANCELED, 0, 0);
		scripted.receive = 0;
		scripted_complete(1, -ECANCELED, 0, 0); /* the poll of the eventfd, ZRX_RING_WAKE */
		scripted_complete(sqe->user_data, 0, 0, 0);
	}
}

/* A chunk that may be written to: offset and area as the refill ring has them. 0: there is none. */
static int scripted_chunk(uint64_t *offset)
{
	uint32_t head = *scripted.refill_head;

	if (head != __atomic_load_n(scripted.refill_tail, __ATOMIC_ACQUIRE)) {
		*offset = scripted.refill[head & scripted.refill_mask].off;
		__atomic_store_n(scripted.refill_head, head + 1, __ATOMIC_RELEASE);
		scripted.taken++;
		return 1;
	}
	if (scripted.fresh == scripted.chunks)
		return 0;
	*offset = (uint64_t)scripted.fresh++ * CHUNK;
	return 1;
}

static void scripted_deliver(void)
{
	uint64_t offset;

	for (uint32_t i = 0; i < SCRIPTED_BATCH && scripted_chunk(&offset); i++) {
		scripted_complete(scripted.receive, CHUNK, IORING_CQE_F_MORE, offset);
		scripted.delivered++;
	}
}

int __wrap_zrx_sys_ring_enter(struct io_uring *ring, unsigned wait_for,
			      const struct __kernel_timespec *timeout)
{
	unsigned submitted = ring->sq.sqe_tail - ring->sq.sqe_head;

	(void)wait_for;
	(void)timeout;
	for (; ring->sq.sqe_head != ring->sq.sqe_tail; ring->sq.sqe_head++)
		scripted_request(&ring->sq.sqes[ring->sq.sqe_head & scripted.sq_mask]);
	scripted.sq_head = scripted.sq_tail = ring->sq.sqe_tail;
	if (scripted.receive && scripted.cq_head == scripted.cq_tail)
		scripted_deliver();
	if (scripted.cq_head == scripted.cq_tail)
		return submitted ? (int)submitted : -ETIME; /* nothing would ever come */
	return (int)submitted;
}

int __wrap_zrx_sys_ring_gather(struct io_uring *ring, uint32_t gather_us,
			       const struct __kernel_timespec *timeout)
{
	(void)gather_us;
	return __wrap_zrx_sys_ring_enter(ring, 1, timeout);
}

uint64_t scripted_kernel_out(void)
{
	return scripted.delivered - scripted.taken -
	       (*scripted.refill_tail - *scripted.refill_head);
}
