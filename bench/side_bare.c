/* SPDX-License-Identifier: MIT */
/*
 * Bare liburing: multishot receive into a provided-buffer ring, each buffer given back at once. No
 * streams, no lifetimes, no accounting: what the engine multishot is measured against.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "side.h"

#define ENTRIES 4096

struct bare {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory;
	uint32_t entries;
};

static int open_ring(struct bare *bare)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = ENTRIES,
	};

	return io_uring_queue_init_params(64, &bare->ring, &params);
}

static int open_buffers(struct bare *bare, const struct bench_job *job)
{
	struct io_uring_buf_reg registration = {.bgid = 0};
	size_t ring_bytes;

	bare->entries = 1;
	while (bare->entries < job->posted)
		bare->entries *= 2;
	ring_bytes = bare->entries * sizeof(struct io_uring_buf);
	bare->buffers = aligned_alloc(4096, ring_bytes < 4096 ? 4096 : ring_bytes);
	bare->memory = mmap(NULL, (size_t)job->posted * job->buffer_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!bare->buffers || bare->memory == MAP_FAILED)
		return -ENOMEM;
	madvise(bare->memory, (size_t)job->posted * job->buffer_bytes, MADV_HUGEPAGE);
	registration.ring_addr = (uint64_t)(uintptr_t)bare->buffers;
	registration.ring_entries = bare->entries;
	if (io_uring_register_buf_ring(&bare->ring, &registration, 0))
		return -EINVAL;
	io_uring_buf_ring_init(bare->buffers);
	for (uint32_t i = 0; i < job->posted; i++)
		io_uring_buf_ring_add(bare->buffers, bare->memory + (size_t)i * job->buffer_bytes,
				      job->buffer_bytes, (uint16_t)i,
				      io_uring_buf_ring_mask(bare->entries), (int)i);
	io_uring_buf_ring_advance(bare->buffers, (int)job->posted);
	return 0;
}

static void arm(struct bare *bare, const struct bench_job *job, uint32_t stream)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bare->ring);

	if (!sqe) {
		io_uring_submit(&bare->ring);
		sqe = io_uring_get_sqe(&bare->ring);
	}
	io_uring_prep_recv_multishot(sqe, job->sockets[stream], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	sqe->user_data = stream;
}

static uint64_t complete(struct bare *bare, struct bench_job *job, const struct io_uring_cqe *cqe,
			 int *added)
{
	uint64_t length = 0;

	if (cqe->res > 0) {
		uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		uint8_t *memory = bare->memory + (size_t)id * job->buffer_bytes;

		length = (uint64_t)cqe->res;
		job->buffers++;
		io_uring_buf_ring_add(bare->buffers, memory, job->buffer_bytes, id,
				      io_uring_buf_ring_mask(bare->entries), (*added)++);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm(bare, job, (uint32_t)cqe->user_data);
	return length;
}

static int receive(struct bench_job *job)
{
	struct bare *bare = job->state;
	uint64_t got = 0;

	for (uint32_t i = 0; i < job->streams; i++)
		arm(bare, job, i);
	while (got < job->bytes) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;
		int added = 0;
		int result = io_uring_submit_and_wait(&bare->ring, 1);

		if (result < 0)
			return result;
		io_uring_for_each_cqe(&bare->ring, head, cqe)
		{
			if (cqe->res <= 0 && cqe->res != -ENOBUFS)
				return cqe->res ? cqe->res : -EPIPE;
			got += complete(bare, job, cqe, &added);
			seen++;
		}
		io_uring_buf_ring_advance(bare->buffers, added);
		io_uring_cq_advance(&bare->ring, seen);
	}
	return 0;
}

static int open_side(struct bench_job *job)
{
	struct bare *bare = calloc(1, sizeof(*bare));
	int result;

	if (!bare)
		return -ENOMEM;
	if (!job->buffer_bytes)
		job->buffer_bytes = BENCH_BUFFER;
	job->state = bare;
	result = open_ring(bare);
	return result ? result : open_buffers(bare, job);
}

static void close_side(struct bench_job *job)
{
	struct bare *bare = job->state;

	io_uring_queue_exit(&bare->ring);
	munmap(bare->memory, (size_t)job->posted * job->buffer_bytes);
	free(bare->buffers);
	free(bare);
}

const struct bench_side bench_side_bare = {"bare", "bare liburing multishot", open_side, receive,
					   close_side};
