/* SPDX-License-Identifier: MIT */
/* The ring itself: memory, submission, completion, overflow, waiting. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "tcp_model.h"
#include "uring.h"
#include "zcrx_model.h"

#define LEAP_NS 50000000u

struct sim_uring sim_uring;
static int memory_fd_marker; /* what the ring's descriptor refers to */

void sim_uring_begin(void)
{
	free(sim_uring.sqes);
	free(sim_uring.cqes);
	memset(&sim_uring, 0, sizeof(sim_uring));
	sim_uring.event_fd = -1;
	sim_receive_begin();
	sim_zcrx_begin();
}

/* ---- open and close ---- */

static int flags_are_known(uint32_t flags)
{
	uint32_t known = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
			 IORING_SETUP_COOP_TASKRUN;

	if (sim.kernel.defer_taskrun)
		known |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQE32;
	return !(flags & ~known);
}

static uint32_t power_of_two(uint32_t wanted)
{
	uint32_t entries = 1;

	while (entries < wanted)
		entries *= 2;
	return entries;
}

/* What liburing's inline functions read, whichever release they are of. */
static void fill_user_ring(struct io_uring *ring, struct sim_uring *kernel)
{
	memset(ring, 0, sizeof(*ring));
	ring->flags = kernel->setup;
	ring->sq.khead = &kernel->sq_head;
	ring->sq.ktail = &kernel->sq_tail;
	ring->sq.kring_mask = &kernel->sq_mask;
	ring->sq.kring_entries = &kernel->sq_entries;
	ring->sq.kflags = &kernel->sq_flags;
	ring->sq.kdropped = &kernel->dropped;
	ring->sq.sqes = kernel->sqes;
	ring->sq.ring_mask = kernel->sq_mask;
	ring->sq.ring_entries = kernel->sq_entries;
	ring->cq.khead = &kernel->cq_head;
	ring->cq.ktail = &kernel->cq_tail;
	ring->cq.kring_mask = &kernel->cq_mask;
	ring->cq.kring_entries = &kernel->cq_entries;
	ring->cq.kflags = &kernel->cq_flags;
	ring->cq.koverflow = &kernel->cq_overflow;
	ring->cq.cqes = kernel->cqes;
	ring->cq.ring_mask = kernel->cq_mask;
	ring->cq.ring_entries = kernel->cq_entries;
}

int zrx_sys_ring_open(struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
	struct sim_uring *kernel = &sim_uring;
	int fd;

	if (!flags_are_known(params->flags))
		return -EINVAL;
	if (kernel->user)
		sim_fail("a second ring is opened");
	if (sim_chance(sim.kernel.short_memory))
		return -ENOMEM;
	if (params->cq_entries < entries)
		return -EINVAL;
	fd = sim_fd_new(SIM_FD_RING, &memory_fd_marker);
	if (fd < 0)
		return fd;
	sim_uring_begin();
	kernel->user = ring;
	kernel->setup = params->flags;
	kernel->enabled = !(params->flags & IORING_SETUP_R_DISABLED);
	kernel->sq_entries = power_of_two(entries);
	kernel->cq_entries = power_of_two(params->cq_entries);
	kernel->sq_mask = kernel->sq_entries - 1;
	kernel->cq_mask = kernel->cq_entries - 1;
	/* Close to the wrap of 32 bits, so that arithmetic on indexes is exercised. */
	kernel->sq_head = kernel->sq_tail = 0;
	kernel->tail = kernel->seen_head = kernel->cq_head = kernel->cq_tail = 0u - sim_below(64);
	kernel->sqes = calloc(kernel->sq_entries, sizeof(*kernel->sqes));
	kernel->cqes = calloc(kernel->cq_entries, 2 * sizeof(*kernel->cqes));
	fill_user_ring(ring, kernel);
	ring->ring_fd = ring->enter_ring_fd = fd;
	return 0;
}

void zrx_sys_ring_close(struct io_uring *ring)
{
	if (sim_uring.user != ring)
		sim_fail("a ring is closed that is not open");
	if (sim_uring_writers() && sim_views_out())
		sim_fail("the ring is closed with %u receive requests in flight and %u views out: "
			 "its "
			 "end puts their chunks on the free list",
			 sim_uring_writers(), sim_views_out());
	for (uint32_t i = 0; i < SIM_REQUESTS; i++) {
		if (sim_uring.requests[i].used && sim_uring.requests[i].socket)
			sim_uring.requests[i].socket->requests--;
	}
	sim_zcrx_scrub();
	sim_receive_unregister();
	zrx_sys_close(ring->ring_fd);
	sim_uring_begin();
}

int zrx_sys_ring_register(struct io_uring *ring, unsigned opcode, void *argument, unsigned count)
{
	if (sim_uring.user != ring)
		sim_fail("register on a ring that is not open");
	switch (opcode) {
	case IORING_REGISTER_ENABLE_RINGS:
		if (sim_uring.enabled)
			return -EBADFD;
		sim_uring.enabled = 1;
		return 0;
	case IORING_REGISTER_EVENTFD:
		if (sim_chance(sim.kernel.short_memory))
			return -ENOMEM;
		sim_uring.event_fd = *(const int *)argument;
		sim_uring.event_tail = sim_uring.tail;
		return 0;
	case ZRX_UAPI_REGISTER_PBUF_RING:
		return count == 1 ? sim_receive_register(argument) : -EINVAL;
	default:
		return sim_zcrx_register(opcode, argument, count);
	}
}

/* ---- completions ---- */

static uint32_t completions_ready(void)
{
	return sim_uring.tail - __atomic_load_n(&sim_uring.cq_head, __ATOMIC_ACQUIRE);
}

static void check_head(void)
{
	uint32_t head = __atomic_load_n(&sim_uring.cq_head, __ATOMIC_ACQUIRE);

	if (head - sim_uring.seen_head > sim_uring.tail - sim_uring.seen_head)
		sim_fail("the completion ring's head went from %u to %u, and the tail is %u",
			 sim_uring.seen_head, head, sim_uring.tail);
	sim_uring.seen_head = head;
}

static int write_completion(const struct sim_completion *completion)
{
	uint32_t shift = !!(sim_uring.setup & IORING_SETUP_CQE32);
	struct io_uring_cqe *cqe = &sim_uring.cqes[(sim_uring.tail & sim_uring.cq_mask) << shift];

	check_head();
	if (completions_ready() == sim_uring.cq_entries)
		return 0;
	cqe->user_data = completion->user_data;
	cqe->res = completion->res;
	cqe->flags = completion->flags;
	if (shift) {
		struct zrx_uapi_zcrx_cqe second = {.off = completion->off};

		memcpy(cqe + 1, &second, sizeof(second));
	}
	sim_uring.tail++;
	__atomic_store_n(&sim_uring.cq_tail, sim_uring.tail, __ATOMIC_RELEASE);
	sim_step();
	sim_trace("completion of %llx: %d, flags %x%s", (unsigned long long)completion->user_data,
		  completion->res, completion->flags,
		  completion->flags & IORING_CQE_F_MORE ? ", more" : "");
	return 1;
}

int sim_uring_post(const struct sim_completion *completion)
{
	return !sim_uring.overflow_count && write_completion(completion);
}

static void note_overflow(void)
{
	uint32_t flags = sim_uring.overflow_count ? IORING_SQ_CQ_OVERFLOW : 0;

	__atomic_store_n(&sim_uring.sq_flags, flags, __ATOMIC_RELEASE);
}

static void post_always(const struct sim_completion *completion)
{
	if (sim_uring_post(completion))
		return;
	if (sim_chance(sim.kernel.loses)) {
		sim_trace("completion of %llx is lost", (unsigned long long)completion->user_data);
		sim_uring.cq_overflow++;
		return;
	}
	if (sim_uring.overflow_count == SIM_OVERFLOW)
		sim_fail("more than %u completions overflowed", SIM_OVERFLOW);
	sim_trace("completion of %llx overflows", (unsigned long long)completion->user_data);
	sim_uring.overflow[sim_uring.overflow_count++] = *completion;
	note_overflow();
}

static void flush_overflow(void)
{
	uint32_t moved = 0;

	while (moved < sim_uring.overflow_count && write_completion(&sim_uring.overflow[moved]))
		moved++;
	sim_uring.overflow_count -= moved;
	memmove(sim_uring.overflow, sim_uring.overflow + moved,
		sim_uring.overflow_count * sizeof(sim_uring.overflow[0]));
	note_overflow();
}

void sim_uring_finish(struct sim_request *request, int32_t res, uint32_t flags)
{
	struct sim_completion completion = {request->user_data, res, flags, 0};

	if (request->socket)
		request->socket->requests--;
	request->used = 0;
	post_always(&completion);
}

void sim_uring_notify(uint64_t user_data, int32_t res)
{
	struct sim_completion completion = {user_data, res, 0, 0};

	post_always(&completion);
}

/* ---- requests ---- */

static struct sim_request *new_request(const struct io_uring_sqe *sqe)
{
	for (uint32_t i = 0; i < SIM_REQUESTS; i++) {
		struct sim_request *request = &sim_uring.requests[i];

		if (request->used)
			continue;
		*request = (struct sim_request){
			.used = 1,
			.woken = 1,
			.opcode = sqe->opcode,
			.fd = sqe->fd,
			.user_data = sqe->user_data,
			.order = sim_uring.submitted++,
		};
		if (sqe->fd >= 0)
			request->socket = sim_fd_object(sqe->fd, SIM_FD_SOCKET);
		if (sqe->fd >= 0)
			request->listener = sim_fd_object(sqe->fd, SIM_FD_LISTENER);
		if (request->socket)
			request->socket->requests++;
		return request;
	}
	sim_fail("more than %u requests are in flight", SIM_REQUESTS);
}

static int is_receive(const struct sim_request *request)
{
	return request->opcode == IORING_OP_RECV || request->opcode == ZRX_UAPI_OP_RECV_ZC;
}

static void cancel_one(struct sim_request *request)
{
	request->cancelled = 1;
	request->delay = sim_chance(sim.kernel.late_cancel) ? (uint8_t)sim_below(4) : 0;
}

static int matches(const struct sim_request *request, const struct io_uring_sqe *sqe)
{
	if (!request->used || request->cancelled)
		return 0;
	return sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY || request->user_data == sqe->addr;
}

static void submit_cancel(const struct io_uring_sqe *sqe)
{
	int all = sqe->cancel_flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
	int found = 0;

	for (uint32_t i = 0; i < SIM_REQUESTS; i++) {
		if (!matches(&sim_uring.requests[i], sqe) || (found && !all))
			continue;
		cancel_one(&sim_uring.requests[i]);
		found++;
	}
	sim_trace("cancel of %llx finds %d", (unsigned long long)sqe->addr, found);
	sim_uring_notify(sqe->user_data, all ? found : found ? 0 : -ENOENT);
}

static void submit_receive(const struct io_uring_sqe *sqe)
{
	struct sim_request *request = new_request(sqe);

	if (!request->socket)
		sim_fail("a receive on descriptor %d, which is no socket", sqe->fd);
	if (!(sqe->ioprio & IORING_RECV_MULTISHOT) || sqe->addr)
		sim_fail("a malformed receive request");
	if (sqe->opcode == IORING_OP_RECV && (!(sqe->flags & IOSQE_BUFFER_SELECT) || sqe->len))
		sim_fail("a multishot receive without buffer selection, or with a length");
	request->left = sqe->len;
	request->limited = sqe->len != 0;
	sim_trace("request %llx: receive, limit %u", (unsigned long long)sqe->user_data, sqe->len);
}

static uint64_t read_time(uint64_t address)
{
	const struct __kernel_timespec *time = (const void *)(uintptr_t)address;

	return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

static void submit_timeout(const struct io_uring_sqe *sqe)
{
	struct sim_request *request = new_request(sqe);

	if (sqe->timeout_flags != IORING_TIMEOUT_ABS || sqe->len != 1)
		sim_fail("a timeout of a kind that is not modelled");
	request->woken = 0;
	request->deadline = read_time(sqe->addr);
}

/* A timer that went off already cannot be moved. */
static void submit_timeout_update(const struct io_uring_sqe *sqe)
{
	int result = -ENOENT;

	if (sqe->timeout_flags != (IORING_TIMEOUT_ABS | IORING_TIMEOUT_UPDATE))
		sim_fail("the removal of a timeout is not modelled");
	for (uint32_t i = 0; i < SIM_REQUESTS && result; i++) {
		struct sim_request *request = &sim_uring.requests[i];

		if (!request->used || !request->deadline || request->user_data != sqe->addr ||
		    request->cancelled || request->deadline <= sim.now_ns)
			continue;
		request->deadline = read_time(sqe->addr2);
		result = 0;
	}
	sim_uring_notify(sqe->user_data, result);
}

static void submit_one(struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_ASYNC_CANCEL:
		submit_cancel(sqe);
		break;
	case IORING_OP_TIMEOUT:
		submit_timeout(sqe);
		break;
	case IORING_OP_TIMEOUT_REMOVE:
		submit_timeout_update(sqe);
		break;
	case IORING_OP_POLL_ADD:
		/* A group closes its listeners when its last receiver goes, whatever is queued. */
		if (sim_fd_kind(sqe->fd) == SIM_FD_FREE)
			sim_uring_notify(sqe->user_data, -EBADF);
		else
			new_request(sqe)->events = sqe->poll32_events;
		break;
	case IORING_OP_RECV:
	case ZRX_UAPI_OP_RECV_ZC:
		submit_receive(sqe);
		break;
	default:
		sim_fail("operation %u is not modelled", sqe->opcode);
	}
	memset(sqe, 0xd5, sizeof(*sqe)); /* the user's again, and worth nothing */
	sim_step();
}

/* Returns how many were submitted; fewer than there are when memory is short. */
static uint32_t submit(struct io_uring *ring, int *all)
{
	uint32_t queued = ring->sq.sqe_tail - sim_uring.sq_head;
	uint32_t count = queued;

	ring->sq.sqe_head = ring->sq.sqe_tail;
	sim_uring.sq_tail = ring->sq.sqe_tail;
	if (count > 1 && sim_chance(sim.kernel.partial_submit))
		count = sim_between(1, count - 1);
	*all = count == queued;
	for (uint32_t i = 0; i < count; i++) {
		submit_one(&sim_uring.sqes[sim_uring.sq_head & sim_uring.sq_mask]);
		sim_uring.sq_head++;
	}
	return count;
}

/* ---- running requests ---- */

static int has_work(const struct sim_request *request)
{
	return request->used && (request->cancelled || request->woken ||
				 (request->deadline && request->deadline <= sim.now_ns));
}

/* A request has the file, also when its descriptor is closed. */
static uint32_t polled(const struct sim_request *request)
{
	uint32_t mask =
		request->listener ? sim_listener_poll(request->listener) : sim_fd_poll(request->fd);

	return mask & (request->events | POLLHUP | POLLERR);
}

static void run_poll(struct sim_request *request)
{
	uint32_t mask = polled(request);

	/* A socket wakes its polls; others are looked at each time. */
	request->woken = !request->socket;
	if (mask)
		sim_uring_finish(request, (int32_t)mask, 0);
}

static void run_request(struct sim_request *request)
{
	if (request->cancelled) {
		if (request->delay)
			request->delay--;
		else
			sim_uring_finish(request, -ECANCELED, 0);
		return;
	}
	switch (request->opcode) {
	case IORING_OP_TIMEOUT:
		sim_uring_finish(request, -ETIME, 0);
		break;
	case IORING_OP_POLL_ADD:
		run_poll(request);
		break;
	case IORING_OP_RECV:
		sim_receive(request);
		break;
	default:
		sim_zcrx_receive(request);
		break;
	}
}

/* The registered eventfd hears of new completions, once they are all in the ring. */
static void tell_of_completions(void)
{
	if (sim_uring.event_fd >= 0 && sim_uring.event_tail != sim_uring.tail)
		sim_event_add(sim_uring.event_fd);
	sim_uring.event_tail = sim_uring.tail;
}

/* Task work: some of what is ready, beginning anywhere. */
static void run(void)
{
	uint32_t start = sim_below(SIM_REQUESTS);
	uint32_t most = sim_chance(30) ? sim_between(1, 3) : SIM_REQUESTS;

	sim_uring.work_listed = 0;
	sim_receive_look();
	sim_zcrx_notices();
	for (uint32_t i = 0; i < SIM_REQUESTS && most; i++) {
		struct sim_request *request = &sim_uring.requests[(start + i) % SIM_REQUESTS];

		if (has_work(request)) {
			run_request(request);
			most--;
		}
	}
	tell_of_completions();
}

void sim_uring_run_somewhere(void)
{
	if (sim_uring.user && !(sim_uring.setup & IORING_SETUP_DEFER_TASKRUN))
		run();
}

void sim_uring_socket_wakes(struct sim_socket *socket)
{
	for (uint32_t i = 0; i < SIM_REQUESTS; i++) {
		if (sim_uring.requests[i].used && sim_uring.requests[i].socket == socket)
			sim_uring.requests[i].woken = 1;
	}
	sim_uring_work();
}

uint32_t sim_uring_writers(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < SIM_REQUESTS; i++)
		count += sim_uring.requests[i].used && is_receive(&sim_uring.requests[i]);
	return count;
}

uint64_t sim_uring_next_timer(void)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < SIM_REQUESTS; i++) {
		const struct sim_request *request = &sim_uring.requests[i];

		if (request->used && request->deadline && (!next || request->deadline < next))
			next = request->deadline;
	}
	return next;
}

/* ---- waiting ---- */

/* Whether an eventfd, or a listener, that is polled has become readable; polls of sockets are
 * woken. */
static int something_ready(void)
{
	for (uint32_t i = 0; i < SIM_REQUESTS; i++) {
		const struct sim_request *request = &sim_uring.requests[i];

		if (!has_work(request))
			continue;
		if (request->opcode != IORING_OP_POLL_ADD || request->socket ||
		    request->cancelled || polled(request))
			return 1;
	}
	return 0;
}

int sim_uring_wakes_pollers(void)
{
	return !(sim_uring.setup & IORING_SETUP_DEFER_TASKRUN);
}

void sim_uring_work(void)
{
	if (!sim_uring.user || sim_uring.work_listed ||
	    !(sim_zcrx_notice_due() || something_ready()))
		return;
	sim_uring.work_listed = 1;
	if (sim_uring.event_fd >= 0)
		sim_event_add(sim_uring.event_fd);
}

int sim_uring_readable(void)
{
	return completions_ready() || sim_uring.overflow_count || sim_zcrx_notice_due() ||
	       something_ready();
}

static void leap(uint64_t to)
{
	if (sim.now_ns < to)
		sim.now_ns = to;
	sim_zcrx_relent();
}

static void tell_of_sleep(uint64_t deadline)
{
	sim.sleeps_until = deadline ? deadline : UINT64_MAX;
	sim_world_sleeps(sim_uring_next_timer());
	sim.sleeps_until = 0;
}

/* Returns 0 when there is a completion, or why the wait is over. */
static int sleep_for_one(uint64_t deadline)
{
	for (int first = 1;; first = 0) {
		uint64_t next;

		run();
		if (completions_ready())
			return 0;
		if (first && !something_ready())
			tell_of_sleep(deadline);
		if (sim_chance(sim.kernel.interrupted))
			return -EINTR;
		if (something_ready())
			continue;
		if (sim_chance(95) && sim_world_step())
			continue;
		next = sim_uring_next_timer();
		if (deadline && (!next || deadline <= next)) {
			leap(deadline);
			sim_progressed();
			return -ETIME;
		}
		if (next) {
			leap(next);
			sim_world_leapt();
		} else if (!sim_world_step() && !something_ready()) {
			/* Looked at last: a real thread may have signalled, and be done, since. */
			sim_world_quiet();
		}
	}
}

static int refuse(void)
{
	if (!sim_chance(sim.kernel.refuses_enter))
		return 0;
	return sim_chance(50) ? -EAGAIN : -EBUSY;
}

int zrx_sys_ring_enter(struct io_uring *ring, unsigned wait_for,
		       const struct __kernel_timespec *timeout)
{
	uint64_t deadline = 0;
	int submitted, all, result;

	if (sim_uring.user != ring || !sim_uring.enabled)
		sim_fail("enter on a ring that is not open, or not enabled");
	if (wait_for > 1)
		sim_fail("waiting for more than one completion is not modelled");
	sim_turn();
	sim_step();
	sim_world_maybe();
	check_head();
	result = refuse();
	if (result)
		return result;
	if (timeout)
		deadline = sim.now_ns + (uint64_t)timeout->tv_sec * 1000000000u +
			   (uint64_t)timeout->tv_nsec;
	submitted = (int)submit(ring, &all);
	if (!all) /* then nothing is waited for */
		return submitted;
	run();
	flush_overflow();
	tell_of_completions();
	if (sim_chance(5))
		leap(sim.now_ns + sim_below(LEAP_NS));
	sim_uring_work(); /* what was not run is listed again */
	if (!wait_for || completions_ready())
		return submitted;
	result = sleep_for_one(deadline);
	flush_overflow();
	tell_of_completions();
	sim_uring_work();
	return submitted ? submitted : result;
}

/* Nobody can tell whether a second one was waited for. */
int zrx_sys_ring_gather(struct io_uring *ring, uint32_t gather_us,
			const struct __kernel_timespec *timeout)
{
	(void)gather_us;
	return zrx_sys_ring_enter(ring, 1, timeout);
}
