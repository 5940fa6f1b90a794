/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "error.h"
#include "fork.h"
#include "intake.h"
#include "probe/probe.h"
#include "receiver.h"
#include "ring.h"
#include "uapi.h"

#define MAX_REQUESTS     256u
#define GATHER_US        80
#define GATHER_BYTES     (64u << 10)
#define STOP_ROUNDS      64
#define STOP_PATIENCE_NS 100000000
#define STOP_VAIN        10 /* rounds in which nothing ended: the kernel has lost completions */

/* ---- open and close ---- */

static uint32_t requests_for(uint32_t ring_entries)
{
	uint32_t entries = 1;

	while (entries * 2 <= ring_entries && entries < MAX_REQUESTS)
		entries *= 2;
	return entries;
}

static int try_open(struct zrx_ring *ring, uint32_t entries, uint32_t flags)
{
	struct io_uring_params params;

	memset(&params, 0, sizeof(params));
	params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
	params.cq_entries = entries;
	ring->flags = params.flags;
	return zrx_sys_ring_open(&ring->uring, requests_for(entries), &params);
}

/* Kernels before 6.9 sleep at once. Before the ring is enabled, when any thread may register. */
static void poll_before_sleep(struct zrx_ring *ring, struct zrx_receiver *receiver)
{
	struct zrx_uapi_napi napi = {.busy_poll_us = receiver->options.busy_poll_us};

	if (!napi.busy_poll_us ||
	    zrx_sys_ring_register(&ring->uring, ZRX_UAPI_REGISTER_NAPI, &napi, 1))
		return;
	receiver->info.busy_poll_us = receiver->options.busy_poll_us;
	receiver->info.features |= ZRX_FEATURE_BUSY_POLL;
}

int zrx_ring_open(struct zrx_ring *ring, struct zrx_receiver *receiver, int wide,
		  struct zrx_error *error)
{
	/*
	 * Best first. Disabled at first, because the thread that enables the ring becomes its only
	 * user.
	 */
	static const uint32_t plain[] = {
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_R_DISABLED,
	};
	uint32_t entries = receiver->options.ring_entries;
	int result = -EINVAL;

	zrx_fork_hold();
	receiver->area->poll_fd = zrx_sys_eventfd_open();
	if (receiver->area->poll_fd < 0)
		result = receiver->area->poll_fd;
	else if (wide)
		result = try_open(ring, entries, plain[0] | IORING_SETUP_CQE32);
	for (size_t i = 0; !wide && receiver->area->poll_fd >= 0 && result == -EINVAL &&
			   i < sizeof(plain) / sizeof(plain[0]);
	     i++)
		result = try_open(ring, entries, plain[i]);
	if (!result)
		receiver->area->ring_fd = ring->uring.ring_fd;
	zrx_fork_allow();
	if (result) {
		struct zrx_error reason = ZRX_ERROR_INIT;

		zrx_probe_uring_refusal(-result, &reason);
		if (error)
			zrx_error_copy(error, &reason);
		return reason.code;
	}
	poll_before_sleep(ring, receiver);
	receiver->info.ring_entries = ring->uring.cq.ring_entries;
	if (ring->flags & IORING_SETUP_DEFER_TASKRUN)
		receiver->info.features |= ZRX_FEATURE_DEFER_TASKRUN;
	return 0;
}

void zrx_ring_close(struct zrx_ring *ring, struct zrx_receiver *receiver)
{
	zrx_fork_hold();
	receiver->area->ring_fd = -1;
	zrx_sys_ring_close(&ring->uring);
	zrx_fork_allow();
}

int zrx_ring_start(struct zrx_ring *ring)
{
	return zrx_sys_ring_register(&ring->uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* ---- requests ---- */

struct io_uring_sqe *zrx_ring_request(struct zrx_ring *ring, uint8_t opcode, int fd,
				      uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (!sqe)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->user_data = user_data;
	ring->in_flight++;
	return sqe;
}

int zrx_ring_cancel(struct zrx_ring *ring, const struct zrx_stream *stream)
{
	struct io_uring_sqe *sqe =
		zrx_ring_request(ring, IORING_OP_ASYNC_CANCEL, -1, ZRX_RING_CANCEL);

	if (!sqe)
		return -EAGAIN;
	sqe->addr = zrx_stream_handle(stream);
	return 0;
}

/*
 * There is one timer. If it is armed for a later time it is updated; an update that finds it
 * expired fails with -ENOENT, and its completion is in the ring already.
 */
int zrx_ring_set_timer(struct zrx_ring *ring, uint64_t at_ns)
{
	int armed = ring->timer_at != 0;
	struct io_uring_sqe *sqe;

	if (armed && ring->timer_at <= at_ns)
		return 1;
	sqe = zrx_ring_request(ring, armed ? IORING_OP_TIMEOUT_REMOVE : IORING_OP_TIMEOUT, -1,
			       armed ? ZRX_RING_CANCEL : ZRX_RING_TIMER);
	if (!sqe)
		return 0;
	/* Of both requests, if neither is submitted yet. */
	ring->timer.tv_sec = (int64_t)(at_ns / 1000000000u);
	ring->timer.tv_nsec = (int64_t)(at_ns % 1000000000u);
	ring->timer_at = at_ns;
	sqe->timeout_flags = IORING_TIMEOUT_ABS;
	if (armed) {
		sqe->addr = ZRX_RING_TIMER;
		sqe->addr2 = (uint64_t)(uintptr_t)&ring->timer;
		sqe->timeout_flags |= IORING_TIMEOUT_UPDATE;
	} else {
		sqe->addr = (uint64_t)(uintptr_t)&ring->timer;
		sqe->len = 1;
	}
	return 1;
}

/*
 * Once, and exclusively: of several receivers that watch one listener the longest waiting is woken,
 * and is the last in the queue when it asks again. So a thread that does not come back from what it
 * does keeps one connection waiting at most, until the next one comes. (A multishot accept stays
 * the first in the queue, and leaves non-blocking sockets alone.)
 */
int zrx_ring_watch(struct zrx_ring *ring, int fd, uint32_t listener)
{
	struct io_uring_sqe *sqe =
		zrx_ring_request(ring, IORING_OP_POLL_ADD, fd, ZRX_RING_LISTEN | listener << 8);

	if (!sqe)
		return -EAGAIN;
	sqe->poll32_events = POLLIN | EPOLLEXCLUSIVE;
	return 0;
}

static void watch_wake(struct zrx_ring *ring, const struct zrx_receiver *receiver)
{
	struct io_uring_sqe *sqe;

	if (ring->wake_armed)
		return;
	sqe = zrx_ring_request(ring, IORING_OP_POLL_ADD, receiver->area->wake_fd, ZRX_RING_WAKE);
	if (!sqe)
		return; /* then the wait does not sleep: there are requests to submit */
	sqe->poll32_events = POLLIN;
	ring->wake_armed = 1;
}

void zrx_ring_internal(struct zrx_ring *ring, struct zrx_receiver *receiver, uint64_t user_data)
{
	switch (user_data) {
	case ZRX_RING_WAKE:
		zrx_sys_eventfd_drain(receiver->area->wake_fd);
		ring->wake_armed = 0;
		ring->in_flight--;
		break;
	case ZRX_RING_TIMER:
		ring->timer_at = 0;
		zrx_intake_reminded(receiver);
		ring->in_flight--;
		break;
	case ZRX_RING_CANCEL:
		ring->in_flight--;
		break;
	default:
		if ((user_data & 0xff) != ZRX_RING_LISTEN)
			break;
		ring->in_flight--;
		zrx_intake_ready(receiver, (uint32_t)(user_data >> 8));
	}
}

/* ---- waiting ---- */

/*
 * Amid a fast stream more follows, and each time that it wakes a sleeper costs the sender's side,
 * or the NIC's, more than some microseconds of waiting: there, sleep for so long at least. Who has
 * received little since he last slept waits for an answer, perhaps, and is woken at once.
 */
static uint32_t gather_us(struct zrx_ring *ring, const struct zrx_receiver *receiver,
			  int64_t timeout_ns)
{
	uint64_t bytes = atomic_load_explicit(&receiver->counters.bytes, memory_order_relaxed);
	uint64_t since = bytes - ring->slept_at;

	ring->slept_at = bytes;
	if (since < GATHER_BYTES || (timeout_ns > 0 && timeout_ns < GATHER_US * 2000))
		return 0;
	return GATHER_US;
}

static int sleep_for(struct zrx_ring *ring, const struct zrx_receiver *receiver, int64_t timeout_ns)
{
	struct __kernel_timespec timeout = {.tv_sec = timeout_ns / 1000000000,
					    .tv_nsec = timeout_ns % 1000000000};
	uint32_t gather = receiver ? gather_us(ring, receiver, timeout_ns) : 0;

	if (gather)
		return zrx_sys_ring_gather(&ring->uring, gather, timeout_ns < 0 ? NULL : &timeout);
	return zrx_sys_ring_enter(&ring->uring, 1, timeout_ns < 0 ? NULL : &timeout);
}

/* receiver: NULL where it is being closed. */
static int enter(struct zrx_ring *ring, const struct zrx_receiver *receiver, int64_t timeout_ns)
{
	int result = 0;

	/*
	 * A call that both submits and waits returns the count of what it submitted, and hides that
	 * a signal interrupted the wait.
	 */
	if (timeout_ns == 0 || io_uring_sq_ready(&ring->uring))
		result = zrx_sys_ring_enter(&ring->uring, 0, NULL);
	if (timeout_ns != 0 && result >= 0 && zrx_ring_tail(ring) == *ring->uring.cq.khead)
		result = sleep_for(ring, receiver, timeout_ns);
	if (zrx_ring_tail(ring) - *ring->uring.cq.khead == ring->uring.cq.ring_entries)
		ring->was_full = 1;
	return result < 0 ? result : 0;
}

/*
 * With deferred task work the ring's own descriptor wakes no poller that is already asleep; an
 * eventfd registered with it does.
 */
static void attach_poller(struct zrx_ring *ring, struct zrx_receiver *receiver)
{
	struct zrx_area *area = receiver->area;

	if (ring->poll_attached || !atomic_load_explicit(&area->polled, memory_order_relaxed))
		return;
	if (!zrx_sys_ring_register(&ring->uring, IORING_REGISTER_EVENTFD, &area->poll_fd, 1))
		ring->poll_attached = 1;
	else
		zrx_sys_eventfd_signal(area->poll_fd); /* short of memory: poll again, try again */
}

static int completion_lost(const struct zrx_ring *ring)
{
	return IO_URING_READ_ONCE(*ring->uring.cq.koverflow) != 0;
}

int zrx_ring_wait(struct zrx_ring *ring, struct zrx_receiver *receiver, int64_t timeout_ns)
{
	int result;

	attach_poller(ring, receiver);
	watch_wake(ring, receiver);
	if (!ring->wake_armed)
		timeout_ns = 0;
	/* The kernel had no memory for a completion: what it was of never ends. */
	if (completion_lost(ring))
		return -EBADR;
	result = enter(ring, receiver, timeout_ns);
	if (completion_lost(ring))
		return -EBADR;
	/* With requests left over, or refused, the kernel returns before it runs completions. */
	receiver->unsettled =
		io_uring_sq_ready(&ring->uring) || result == -EBUSY || result == -EAGAIN;
	/*
	 * EBUSY, EAGAIN: completions overflowed, or the kernel is short of memory: consuming helps,
	 * waiting does not.
	 */
	return result == -EBUSY || result == -EAGAIN ? 0 : result;
}

static void reap(struct zrx_ring *ring)
{
	unsigned head = *ring->uring.cq.khead;
	unsigned tail = zrx_ring_tail(ring);
	const struct zrx_completions completions =
		zrx_ring_completions(ring, ring->flags & IORING_SETUP_CQE32);

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = zrx_completion(&completions, head);

		if (!(cqe->flags & IORING_CQE_F_MORE) && cqe->user_data != ZRX_RING_NOTICE)
			ring->in_flight--;
	}
	zrx_ring_consumed(ring, head);
}

/* Results after which waiting for the ends of requests simply continues. */
static int passing(int result)
{
	return !result || result == -EINTR || result == -EBUSY || result == -EAGAIN ||
	       result == -ETIME;
}

static int request_stop(struct zrx_ring *ring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = zrx_ring_request(ring, IORING_OP_ASYNC_CANCEL, -1, ZRX_RING_CANCEL))) {
		int result = enter(ring, NULL, 0);

		if (!passing(result))
			return result;
		reap(ring);
	}
	sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
	return 0;
}

int zrx_ring_stop(struct zrx_ring *ring)
{
	int vain = 0;

	reap(ring);
	while (ring->in_flight) {
		uint32_t before = ring->in_flight;
		int result = request_stop(ring);

		/*
		 * A request that ran while the others were cancelled is caught by the next round.
		 */
		for (int round = 0; !result && ring->in_flight && round < STOP_ROUNDS; round++) {
			result = enter(ring, NULL, STOP_PATIENCE_NS);
			reap(ring);
			if (result == -ETIME)
				break;
			if (passing(result))
				result = 0;
		}
		if (!passing(result))
			return result;
		vain = ring->in_flight < before ? 0 : vain + 1;
		if (vain == STOP_VAIN)
			return -EBADR;
	}
	return 0;
}
