/* SPDX-License-Identifier: MIT */
/* Multishot receive into a provided-buffer ring, plain or consumed bit by bit. */
#include <errno.h>
#include <string.h>

#include "sim.h"
#include "tcp_model.h"
#include "uring.h"

#define LOOPS_MOST 32 /* then other requests have their turn */

static struct {
	struct io_uring_buf_ring *ring; /* NULL: none */
	uint32_t entries;
	uint32_t incremental;
	uint16_t head;
	uint16_t seen; /* entries up to here were looked at */
} buffers;

void sim_receive_begin(void)
{
	memset(&buffers, 0, sizeof(buffers));
}

int sim_receive_register(void *argument)
{
	const struct zrx_uapi_buf_reg *registration = argument;

	if (registration->flags & ~ZRX_UAPI_PBUF_RING_INC ||
	    (registration->flags && !sim.kernel.incremental))
		return -EINVAL;
	if (sim_chance(sim.kernel.short_memory))
		return -ENOMEM;
	if (registration->ring_entries & (registration->ring_entries - 1) ||
	    registration->ring_entries > 32768)
		return -EINVAL;
	buffers.ring = (void *)(uintptr_t)registration->ring_addr;
	buffers.entries = registration->ring_entries;
	buffers.incremental = registration->flags & ZRX_UAPI_PBUF_RING_INC;
	buffers.head = buffers.seen = buffers.ring->tail;
	return 0;
}

void sim_receive_unregister(void)
{
	sim_receive_begin();
}

static struct io_uring_buf *entry(uint16_t at)
{
	return &buffers.ring->bufs[at & (buffers.entries - 1)];
}

void sim_receive_look(void)
{
	uint16_t tail;

	if (!buffers.ring)
		return;
	tail = __atomic_load_n(&buffers.ring->tail, __ATOMIC_ACQUIRE);
	if ((uint16_t)(tail - buffers.head) > buffers.entries)
		sim_fail("the buffer ring has %u entries, %u are posted", buffers.entries,
			 (uint16_t)(tail - buffers.head));
	for (; buffers.seen != tail; buffers.seen++) {
		const struct io_uring_buf *posted = entry(buffers.seen);
		uint8_t *memory = (uint8_t *)(uintptr_t)posted->addr;

		sim_check_unused(memory, posted->len, "posted as a buffer");
		sim_memory_check(memory, posted->len, "posted as a buffer");
		memset(memory, 0xd5, posted->len); /* the kernel's: it may hold anything */
		sim_step();
	}
}

int sim_receive_has_buffers(void)
{
	return buffers.ring && buffers.head != buffers.seen;
}

/* Take res bytes of the front buffer. Returns the completion's flags. */
static uint32_t consume(int64_t res)
{
	struct io_uring_buf *front = entry(buffers.head);
	uint32_t flags = IORING_CQE_F_BUFFER | (uint32_t)front->bid << IORING_CQE_BUFFER_SHIFT;

	if (buffers.incremental && (uint32_t)res < front->len) {
		front->addr += (uint64_t)res;
		front->len -= (uint32_t)res;
		return flags | ZRX_UAPI_CQE_F_BUF_MORE;
	}
	buffers.head++;
	return flags;
}

void sim_receive(struct sim_request *request)
{
	request->woken = 0;
	for (int i = 0; i < LOOPS_MOST; i++) {
		struct sim_completion completion = {.user_data = request->user_data};
		struct io_uring_buf *front;
		int64_t result;

		sim_receive_look();
		if (buffers.head == buffers.seen) {
			sim_uring_finish(request, -ENOBUFS, 0);
			return;
		}
		front = entry(buffers.head);
		result = sim_socket_read(request->socket, (uint8_t *)(uintptr_t)front->addr,
					 front->len);
		if (result == -EAGAIN)
			return;
		if (result <= 0) {
			sim_uring_finish(request, (int32_t)result, 0);
			return;
		}
		completion.res = (int32_t)result;
		completion.flags = consume(result);
		completion.flags |= IORING_CQE_F_MORE;
		if (!sim_uring_post(&completion)) {
			sim_uring_finish(request, completion.res,
					 completion.flags & ~IORING_CQE_F_MORE);
			return;
		}
		if (sim_chance(10))
			break;
	}
	request->woken = 1;
}
