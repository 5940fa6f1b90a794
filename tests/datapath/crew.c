/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "crew.h"
#include "nic.h"
#include "payload.h"
#include "rx.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEED       1
#define BATCH      64
#define SOME_BYTES (128u << 10) /* that a flow gets to show that it flows */
#define PAUSE_NS   5000000
#define PATIENCE   12000u /* pauses */
#define FEWEST     2u     /* flows of each receiver */

/* ---- a worker ---- */

struct work {
	struct crew_shared *shared;
	struct crew_told *told;
	struct zrx_group *group;
	int fds[CREW_FLOWS];
	uint64_t handles[CREW_FLOWS];
	atomic_uint live; /* flows that are not over */
	atomic_int done;  /* no more are given */
};

struct work_thread {
	struct work *work;
	uint32_t index;
	pthread_t thread;
};

static void work_end(struct work *work, uint64_t number, int state, int error)
{
	struct crew_seen *seen = &work->shared->seen[number];

	atomic_store(&seen->error, error);
	atomic_store(&seen->state, state);
	close(work->fds[number]);
	atomic_fetch_sub(&work->live, 1);
}

static void work_data(struct work *work, const struct zrx_event *event)
{
	_Atomic uint64_t *received = &work->shared->seen[event->tag].received;
	const struct zrx_buffer *buffer = &event->buffer;
	size_t good = payload_check(buffer->data, buffer->length, SEED, event->tag,
				    atomic_load(received));

	CHECK(event->stream == work->handles[event->tag], "an event of another stream");
	CHECK(good == buffer->length, "stream %" PRIu64 ": wrong byte at %" PRIu64, event->tag,
	      atomic_load(received) + good);
	atomic_fetch_add(received, buffer->length);
}

static void work_added(struct work *work, uint32_t receiver, const struct zrx_event *event)
{
	struct crew_seen *seen = &work->shared->seen[event->tag];
	struct flow flow = {.fd = event->error, .number = event->tag};

	CHECK(event->error == work->fds[event->tag], "stream %" PRIu64 ": another descriptor",
	      event->tag);
	work->handles[event->tag] = event->stream;
	atomic_store(&seen->receiver, receiver);
	atomic_store(&seen->copied, !!(event->flags & ZRX_ADDED_COPIED));
	atomic_store(&seen->state, CREW_ADDED);
	flow_go(&flow);
}

static void work_take(struct work_thread *thread, const struct zrx_event *event)
{
	struct work *work = thread->work;

	if (event->kind == ZRX_EVENT_ADDED)
		work_added(work, thread->index, event);
	else if (event->kind == ZRX_EVENT_DATA)
		work_data(work, event);
	else
		work_end(work, event->tag, event->kind == ZRX_EVENT_END ? CREW_ENDED : CREW_FAILED,
			 event->error);
}

static int work_goes_on(const struct work_thread *thread)
{
	const struct work *work = thread->work;

	return !(atomic_load(&work->told->leave) & 1u << thread->index) &&
	       (!atomic_load(&work->done) || atomic_load(&work->live));
}

static void work_leave(struct work_thread *thread, struct zrx_receiver *receiver)
{
	struct work *work = thread->work;

	CHECK(zrx_receiver_close(receiver) == 0, "close");
	for (uint32_t i = 0; i < CREW_FLOWS; i++) {
		struct crew_seen *seen = &work->shared->seen[i];

		if (work->fds[i] >= 0 && atomic_load(&seen->state) == CREW_ADDED &&
		    atomic_load(&seen->receiver) == thread->index)
			work_end(work, i, CREW_LEFT, 0);
	}
	atomic_fetch_or(&work->told->left, 1u << thread->index);
}

static void *work_receive(void *argument)
{
	struct work_thread *thread = argument;
	struct zrx_receiver *receiver = zrx_group_receiver(thread->work->group, thread->index);
	struct zrx_event events[BATCH];

	while (work_goes_on(thread)) {
		int count = zrx_receiver_receive(receiver, events, BATCH, SECOND_NS / 10);

		CHECK(count >= 0 || count == -EINTR, "receive: %s", strerror(-count));
		for (int i = 0; i < count; i++)
			work_take(thread, &events[i]);
		if (count > 0)
			CHECK(!zrx_event_release(events, (uint32_t)count), "release");
	}
	work_leave(thread, receiver);
	return NULL;
}

/* The next flow's number, and its descriptor; or -1: there are no more. */
static int work_given(int channel, uint32_t *number)
{
	struct iovec part = {number, sizeof(*number)};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t count = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	int fd = -1;

	CHECK(count >= 0, "recvmsg: %s", strerror(errno));
	if (count)
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

static void work_open(struct work *work, uint32_t receivers, uint16_t port)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = rx_options();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	int result;

	receiver.steer = nic_is("gve") ? ZRX_STEER_CONNECTION : ZRX_STEER_PORT;
	receiver.steer_port = port;
	options.count = receivers;
	options.receiver = &receiver;
	result = zrx_group_open(&work->group, &options, &error);
	CHECK(!result, "group: %s: %s. Hint: %s", strerror(-result), error.message, error.hint);
	for (uint32_t i = 0; i < receivers; i++) {
		CHECK(!zrx_receiver_info(zrx_group_receiver(work->group, i), &info), "info");
		work->told->queue[i] = info.queue;
	}
}

static void work_add(struct work *work, int channel)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t number;
	int fd;

	while ((fd = work_given(channel, &number)) >= 0) {
		work->fds[number] = fd;
		atomic_fetch_add(&work->live, 1);
		options.tag = number;
		CHECK(!zrx_group_add(work->group, fd, &options, &error), "add: %s", error.message);
	}
}

__attribute__((noreturn)) static void be_worker(struct crew_shared *shared, uint32_t worker,
						uint32_t receivers, uint16_t port, int channel)
{
	static struct work work; /* too large for a stack */
	struct work_thread threads[CREW_RECEIVERS];

	work.shared = shared;
	work.told = &shared->told[worker];
	memset(work.fds, -1, sizeof(work.fds));
	work_open(&work, receivers, port);
	for (uint32_t i = 0; i < receivers; i++) {
		threads[i] = (struct work_thread){.work = &work, .index = i};
		thread_start(&threads[i].thread, work_receive, &threads[i]);
	}
	atomic_store(&work.told->open, receivers);
	work_add(&work, channel);
	atomic_store(&work.done, 1);
	for (uint32_t i = 0; i < receivers; i++)
		pthread_join(threads[i].thread, NULL);
	work.told->sum = (struct zrx_stats)ZRX_STATS_INIT;
	work.told->stats = (struct zrx_group_stats)ZRX_GROUP_STATS_INIT;
	work.told->stats.sum = &work.told->sum;
	CHECK(!zrx_group_stats(work.group, &work.told->stats), "stats");
	CHECK(!zrx_group_close(work.group), "close");
	_exit(0);
}

/* ---- who has them ---- */

void crew_open(struct crew *crew)
{
	void *shared = mmap(NULL, sizeof(*crew->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(shared != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(crew, 0, sizeof(*crew));
	crew->shared = shared;
}

void crew_start(struct crew *crew, uint32_t worker, uint32_t receivers,
		const struct listener *shared)
{
	struct crew_worker *start = &crew->workers[worker];
	int ends[2];

	if (shared)
		start->listener = *shared;
	else
		listener_open(&start->listener, AF_INET6);
	start->listener.ends = &crew->shared->ends;
	start->count = receivers;
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair: %s",
	      strerror(errno));
	start->process = fork();
	CHECK(start->process >= 0, "fork: %s", strerror(errno));
	if (start->process == 0) {
		close(ends[0]);
		for (uint32_t i = 0; i < CREW_WORKERS; i++)
			if (i != worker && crew->workers[i].process)
				close(crew->workers[i].channel);
		be_worker(crew->shared, worker, receivers, start->listener.port, ends[1]);
	}
	close(ends[1]);
	start->channel = ends[0];
	for (unsigned pauses = 0; !atomic_load(&crew->shared->told[worker].open); pauses++)
		crew_pause(crew, pauses, "to open", worker);
}

void crew_pause(struct crew *crew, unsigned pauses, const char *what, uint32_t number)
{
	int status = 0;

	for (uint32_t i = 0; i < CREW_WORKERS; i++) {
		pid_t process = crew->workers[i].process;

		CHECK(!process || waitpid(process, &status, WNOHANG) != process,
		      "; worker %u ended: status %x", i, status);
	}
	CHECK(pauses < PATIENCE, "waited in vain for %u %s", number, what);
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static void crew_give(struct crew *crew, uint32_t number, uint32_t worker)
{
	struct flow *flow = &crew->flows[number];
	struct iovec part = {&number, sizeof(number)};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	crew->worker[number] = worker;
	memcpy(CMSG_DATA(&control.head), &flow->fd, sizeof(flow->fd));
	CHECK(sendmsg(crew->workers[worker].channel, &message, MSG_NOSIGNAL) == sizeof(number),
	      "; worker %u takes no flows: %s", worker, strerror(errno));
	close(flow->fd);
}

static uint32_t crew_accept(struct crew *crew, const struct listener *listener)
{
	uint32_t number = crew->count++;

	CHECK(number < CREW_FLOWS, "too many flows");
	flow_connect(&crew->flows[number], listener, number, FLOW_ENDLESS);
	return number;
}

uint32_t crew_connect(struct crew *crew, uint32_t worker)
{
	uint32_t number = crew_accept(crew, &crew->workers[worker].listener);

	crew_give(crew, number, worker);
	return number;
}

static uint32_t crew_owner(const struct crew *crew, unsigned napi, uint32_t otherwise)
{
	for (uint32_t i = 0; i < CREW_WORKERS; i++)
		for (uint32_t j = 0; crew->workers[i].process && j < crew->workers[i].count; j++)
			if (nic_queue_napi(crew->shared->told[i].queue[j]) == napi)
				return i;
	return otherwise;
}

uint32_t crew_connect_shared(struct crew *crew, uint32_t worker)
{
	uint32_t number = crew_accept(crew, &crew->workers[worker].listener);

	crew_give(crew, number, crew_owner(crew, flow_napi(&crew->flows[number]), worker));
	return number;
}

int crew_state(const struct crew *crew, uint32_t flow)
{
	return atomic_load(&crew->shared->seen[flow].state);
}

void crew_until_added(struct crew *crew, uint32_t flow)
{
	for (unsigned pauses = 0; crew_state(crew, flow) == CREW_GIVEN; pauses++)
		crew_pause(crew, pauses, "to be added", flow);
}

static int crew_is_spread(const struct crew *crew)
{
	uint32_t flows[CREW_WORKERS][CREW_RECEIVERS] = {{0}};

	for (uint32_t i = 0; i < crew->count; i++)
		flows[crew->worker[i]][atomic_load(&crew->shared->seen[i].receiver)]++;
	for (uint32_t i = 0; i < CREW_WORKERS; i++)
		for (uint32_t j = 0; crew->workers[i].process && j < crew->workers[i].count; j++)
			if (flows[i][j] < FEWEST)
				return 0;
	return 1;
}

void crew_connect_all(struct crew *crew, int shared)
{
	uint32_t worker = 0;

	while (!crew_is_spread(crew)) {
		do {
			worker = (worker + 1) % CREW_WORKERS;
		} while (!crew->workers[worker].process);
		crew_until_added(crew, shared ? crew_connect_shared(crew, worker)
					      : crew_connect(crew, worker));
	}
}

/* It has had so many more bytes by now, or is over. */
static int crew_has_flown(const struct crew *crew, uint32_t flow, uint64_t before)
{
	return !crew->workers[crew->worker[flow]].process || crew_state(crew, flow) > CREW_ADDED ||
	       atomic_load(&crew->shared->seen[flow].received) - before >= SOME_BYTES;
}

void crew_until_flowing(struct crew *crew)
{
	uint64_t before[CREW_FLOWS];

	for (uint32_t i = 0; i < crew->count; i++)
		before[i] = atomic_load(&crew->shared->seen[i].received);
	for (uint32_t i = 0; i < crew->count; i++)
		for (unsigned pauses = 0; !crew_has_flown(crew, i, before[i]); pauses++)
			crew_pause(crew, pauses, "to flow on", i);
}

void crew_kill(struct crew *crew, uint32_t worker)
{
	struct crew_worker *victim = &crew->workers[worker];
	int status = 0;

	kill(victim->process, SIGKILL);
	CHECK(waitpid(victim->process, &status, 0) == victim->process && WIFSIGNALED(status),
	      "; worker %u ended by itself: status %x", worker, status);
	victim->process = 0;
	close(victim->channel);
	for (uint32_t i = 0; i < crew->count; i++)
		if (crew->worker[i] == worker && crew_state(crew, i) == CREW_ADDED)
			atomic_store(&crew->shared->seen[i].state, CREW_LEFT);
}

/* Its flows have come to their ends; then it does. */
static void crew_finish_worker(struct crew *crew, uint32_t number)
{
	struct crew_worker *worker = &crew->workers[number];
	int status = 0;

	for (uint32_t i = 0; i < crew->count; i++)
		for (unsigned pauses = 0;
		     crew->worker[i] == number && crew_state(crew, i) <= CREW_ADDED; pauses++)
			crew_pause(crew, pauses, "to end", i);
	close(worker->channel);
	CHECK(waitpid(worker->process, &status, 0) == worker->process && !status,
	      "; worker %u ended: status %x", number, status);
	worker->process = 0;
}

static void crew_check_flow(const struct crew *crew, uint32_t number)
{
	const struct crew_seen *seen = &crew->shared->seen[number];
	uint64_t received = atomic_load(&seen->received),
		 sent = atomic_load(&crew->shared->ends.bytes[number]);
	int whole = flow_was_sent(&crew->flows[number]),
	    ended = crew_state(crew, number) == CREW_ENDED;

	CHECK(crew_state(crew, number) != CREW_LEFT || !whole,
	      "the sender of stream %u has not seen that nobody receives", number);
	CHECK(!ended || (whole && received == sent),
	      "stream %u ended after %" PRIu64 " of %" PRIu64 " bytes", number, received, sent);
}

void crew_finish(struct crew *crew, unsigned ended[CREW_LEFT + 1])
{
	atomic_store(&crew->shared->ends.now, 1);
	for (uint32_t i = 0; i < CREW_WORKERS; i++)
		if (crew->workers[i].process)
			crew_finish_worker(crew, i);
	memset(ended, 0, (CREW_LEFT + 1) * sizeof(*ended));
	for (uint32_t i = 0; i < crew->count; i++) {
		crew_check_flow(crew, i);
		ended[crew_state(crew, i)]++;
	}
}

void crew_close(struct crew *crew)
{
	for (uint32_t i = 0; i < CREW_WORKERS; i++) {
		int other = 0;

		for (uint32_t j = 0; j < i; j++)
			other |= crew->workers[i].listener.fd == crew->workers[j].listener.fd;
		if (crew->workers[i].count && !other)
			listener_close(&crew->workers[i].listener);
	}
	munmap(crew->shared, sizeof(*crew->shared));
}
