/* SPDX-License-Identifier: MIT */
/*
 * io_uring zero-copy receive of one connection with nothing around it: no streams, no lifetimes, no
 * second thread. What engine zcrx is measured against.
 */
#include <errno.h>
#include <liburing.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "method.h"
#include "uapi.h"

#define CQ_ENTRIES 4096u
#define RQ_ENTRIES (NIC_AREA_BYTES / 4096u)
#define HUGE_BYTES (2u << 20)

struct bare_state {
	struct io_uring ring;
	uint8_t *area;
	uint8_t *region;
	size_t region_bytes;
	uint32_t *rq_tail;
	struct zrx_uapi_rqe *rqes;
	uint64_t token;
	uint32_t id;
};

/* As the library gets its own: explicit huge pages if there are any, else memory that may become
 * huge. */
static uint8_t *map_area(void)
{
	void *area = mmap(NULL, NIC_AREA_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	uintptr_t aligned;

	if (area != MAP_FAILED)
		return area;
	area = mmap(NULL, NIC_AREA_BYTES + HUGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	aligned = ((uintptr_t)area + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
	madvise((void *)aligned, NIC_AREA_BYTES, MADV_HUGEPAGE);
	return (uint8_t *)aligned;
}

static int open_ring(struct bare_state *state)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQE32 | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};

	return io_uring_queue_init_params(8, &state->ring, &params);
}

static int register_queue(struct bare_state *state, const struct nic_job *job)
{
	struct zrx_uapi_area_reg area = {.addr = (uint64_t)(uintptr_t)state->area,
					 .len = NIC_AREA_BYTES};
	struct zrx_uapi_region_desc region = {.user_addr = (uint64_t)(uintptr_t)state->region,
					      .size = state->region_bytes,
					      .flags = ZRX_UAPI_MEM_REGION_TYPE_USER};
	struct zrx_uapi_ifq_reg ifq = {
		.if_idx = if_nametoindex(job->interface),
		.if_rxq = job->queue,
		.rq_entries = RQ_ENTRIES,
		.area_ptr = (uint64_t)(uintptr_t)&area,
		.region_ptr = (uint64_t)(uintptr_t)&region,
	};

	if (syscall(__NR_io_uring_register, state->ring.ring_fd, ZRX_UAPI_REGISTER_ZCRX_IFQ, &ifq,
		    1) < 0)
		return -errno;
	state->rq_tail = (uint32_t *)(void *)(state->region + ifq.offsets.tail);
	state->rqes = (struct zrx_uapi_rqe *)(void *)(state->region + ifq.offsets.rqes);
	state->token = area.rq_area_token;
	state->id = ifq.zcrx_id;
	return 0;
}

static int open_method(struct nic_job *job)
{
	struct bare_state *state = calloc(1, sizeof(*state));
	int result;

	if (!state)
		return -ENOMEM;
	job->state = state;
	state->area = map_area();
	state->region_bytes = 4096 + RQ_ENTRIES * sizeof(struct zrx_uapi_rqe);
	state->region = mmap(NULL, state->region_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!state->area || state->region == MAP_FAILED)
		return -ENOMEM;
	result = open_ring(state);
	return result ? result : register_queue(state, job);
}

static int start(struct nic_job *job)
{
	struct bare_state *state = job->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);

	if (!sqe)
		return -EBUSY;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = ZRX_UAPI_OP_RECV_ZC;
	sqe->fd = job->socket;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->splice_fd_in = (int32_t)state->id; /* the kernel's zcrx_ifq_idx has this place */
	return io_uring_submit(&state->ring) == 1 ? 0 : -EIO;
}

/* The refill ring has an entry for each chunk, and a chunk comes in one piece: it cannot be full.
 */
static uint32_t give_back(struct bare_state *state, uint64_t offset, uint32_t length, uint32_t tail)
{
	struct zrx_uapi_rqe *rqe = &state->rqes[tail & (RQ_ENTRIES - 1)];

	rqe->off = offset | state->token;
	rqe->len = length;
	return tail + 1;
}

/* Take every completion there is. Returns 1 if the request has to be made again, -EPIPE after the
 * end. */
static int take_completions(struct nic_job *job, struct bare_state *state)
{
	uint32_t tail = *state->rq_tail;
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	int result = 0;

	io_uring_for_each_cqe(&state->ring, head, cqe)
	{
		const struct zrx_uapi_zcrx_cqe *where = (const void *)(cqe + 1);
		uint64_t offset = where->off & ~ZRX_UAPI_AREA_MASK;

		seen++;
		if (cqe->res > 0 && cqe->flags & IORING_CQE_F_MORE) {
			nic_take(job, state->area + offset, (size_t)cqe->res);
			tail = give_back(state, offset, (uint32_t)cqe->res, tail);
		} else if (cqe->res == -ENOSPC || cqe->res == -ENOMEM) {
			result = 1;
		} else {
			result = cqe->res ? cqe->res : -EPIPE;
		}
	}
	__atomic_store_n(state->rq_tail, tail, __ATOMIC_RELEASE);
	io_uring_cq_advance(&state->ring, seen);
	return result;
}

static int receive(struct nic_job *job)
{
	struct bare_state *state = job->state;

	while (job->got < job->bytes) {
		int result = io_uring_submit_and_wait(&state->ring, 1);

		if (result >= 0)
			result = take_completions(job, state);
		if (result > 0)
			result = start(job);
		if (result < 0 && result != -EINTR && job->got < job->bytes)
			return result;
	}
	return 0;
}

static void close_method(struct nic_job *job)
{
	struct bare_state *state = job->state;

	io_uring_queue_exit(&state->ring);
	munmap(state->region, state->region_bytes);
	free(state); /* the area goes with the process: a dying ring may still use it */
}

const struct nic_method nic_method_bare = {
	"bare", "bare io_uring zero-copy receive", open_method, start, receive, close_method};
