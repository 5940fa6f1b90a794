/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"

#include "zcrx.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ll

static uint32_t engine_of_test;
static uint32_t flags_of_test;

static struct zrx_group *open_group(uint32_t count, uint32_t inbox_entries)
{
	struct zrx_options receiver = ZRX_OPTIONS_INIT;
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_group *group;

	receiver.engine = engine_of_test;
	receiver.area_bytes = 4 << 20;
	options.flags = flags_of_test;
	options.count = count;
	options.inbox_entries = inbox_entries;
	options.receiver = &receiver;
	if (zrx_group_open(&group, &options, &error)) {
		fprintf(stderr, "%s (%s)\n", error.message, error.hint);
		exit(1);
	}
	CHECK_EQUAL(zrx_group_count(group), count);
	return group;
}

static void sleep_ms(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* The next event of a receiver; 0 if none comes in time. */
static int next_event(struct zrx_receiver *receiver, struct zrx_event *event, int64_t timeout_ns)
{
	int result;

	do
		result = zrx_receiver_receive(receiver, event, 1, timeout_ns);
	while (result == -EINTR);
	CHECK(result >= 0);
	return result;
}

static struct zrx_group_stats stats_of(struct zrx_group *group, struct zrx_stats *sum)
{
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;

	*sum = (struct zrx_stats)ZRX_STATS_INIT;
	stats.sum = sum;
	CHECK_EQUAL(zrx_group_stats(group, &stats), 0);
	return stats;
}

static int refused(struct zrx_group_options *options, const char *word)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_group *group = NULL;
	int result = zrx_group_open(&group, options, &error);

	CHECK(result < 0);
	CHECK(!group);
	CHECK_EQUAL(error.code, result);
	CHECK_SAYS(error.message, word);
	CHECK(error.hint[0]);
	return result;
}

static void test_bad_options(void)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = ZRX_OPTIONS_INIT;
	char page[1];
	int before = open_descriptors();

	CHECK_EQUAL(zrx_group_open(NULL, NULL, NULL), -EINVAL);
	CHECK_EQUAL(zrx_group_close(NULL), 0);
	options.size = 0;
	CHECK_EQUAL(refused(&options, "size"), -EINVAL);
	options.size = sizeof(options);
	options.count = 257;
	CHECK_EQUAL(refused(&options, "count"), -EINVAL);
	options.count = 2;
	options.flags = 1u << 31;
	CHECK_EQUAL(refused(&options, "flags"), -EINVAL);
	options.flags = ZRX_GROUP_PIN | ZRX_GROUP_PIN_QUEUE;
	CHECK_EQUAL(refused(&options, "flags"), -EINVAL);
	options.flags = 0;
	options.inbox_entries = 65537;
	CHECK_EQUAL(refused(&options, "inbox_entries"), -EINVAL);
	options.inbox_entries = 0;
	options.reserved[1] = 1;
	CHECK_EQUAL(refused(&options, "reserved"), -EINVAL);
	options.reserved[1] = 0;
	options.receiver = &receiver;
	receiver.area_kind = ZRX_AREA_CALLER;
	receiver.area_memory = page;
	CHECK_EQUAL(refused(&options, "area_kind"), -EINVAL);
	receiver.area_kind = ZRX_AREA_AUTO;
	receiver.area_memory = NULL;
	receiver.flags = ZRX_PROCESSOR;
	CHECK_EQUAL(refused(&options, "processor"), -EINVAL);
	receiver.flags = 0;
	receiver.engine = ZRX_ENGINE_ZCRX;
	receiver.interface = "no-such-nic";
	CHECK_EQUAL(refused(&options, "receiver 1 of 2"), -ENODEV);
	receiver.engine = engine_of_test;
	receiver.area_bytes = 1;
	CHECK_EQUAL(refused(&options, "area_bytes"), -EINVAL);
	CHECK_EQUAL(open_descriptors(), before);
}

/* Added from this thread, received on this thread: two receivers, as of two event loops. */
static void test_add(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_event event;
	struct zrx_stats sum;
	int pairs[4][2], seen = 0;

	for (uint32_t i = 0; i < 4; i++) {
		tcp_pair(pairs[i]);
		options.tag = 100 + i;
		CHECK_EQUAL(zrx_group_add(group, pairs[i][0], &options, &error), 0);
	}
	CHECK_EQUAL(stats_of(group, &sum).waiting, 4);
	for (uint32_t i = 0; i < 2; i++) {
		struct zrx_receiver *receiver = zrx_group_receiver(group, i);

		int *here[2];

		/* Evenly: two for each. */
		for (int j = 0; j < 2; j++) {
			CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
			CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
			CHECK_EQUAL(event.flags, 0);
			CHECK(event.stream);
			CHECK(event.tag >= 100 && event.tag < 104);
			here[j] = pairs[event.tag - 100];
			CHECK_EQUAL(event.error, here[j][0]);
			CHECK(!event.buffer.area);
			seen |= 1 << (event.tag - 100);
		}
		for (int j = 0; j < 2; j++) {
			send_bytes(here[j][1], "hello", 5);
			CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
			CHECK_EQUAL(event.kind, ZRX_EVENT_DATA);
			CHECK_EQUAL(event.buffer.length, 5);
			CHECK_EQUAL(zrx_event_release(&event, 1), 0);
		}
		CHECK_EQUAL(next_event(receiver, &event, 0), 0);
	}
	CHECK_EQUAL(seen, 15);
	CHECK_EQUAL(stats_of(group, &sum).added, 4);
	CHECK_EQUAL(stats_of(group, &sum).handed_over, 4);
	CHECK_EQUAL(stats_of(group, &sum).waiting, 0);
	CHECK_EQUAL(sum.streams, 4);
	CHECK_EQUAL(sum.bytes, 20);
	/* Its thread learns of a socket that cannot be added; nothing is closed that is the
	 * caller's. */
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 4; i++)
		close_pair(pairs[i]);
}

static void test_add_twice(void)
{
	struct zrx_group *group = open_group(1, 0);
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_receiver *receiver = zrx_group_receiver(group, 0);
	struct zrx_event event;
	struct zrx_stats sum;
	int pair[2];

	tcp_pair(pair);
	options.tag = 7;
	CHECK_EQUAL(zrx_group_add(group, pair[0], NULL, NULL), 0);
	CHECK_EQUAL(zrx_group_add(group, pair[0], &options, NULL), 0);
	CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
	CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_ERROR);
	CHECK_EQUAL(event.error, -EEXIST);
	CHECK_EQUAL(event.stream, 0);
	CHECK_EQUAL(event.tag, 7);
	CHECK_EQUAL(event.flags, 0);
	CHECK_EQUAL(stats_of(group, &sum).refused, 1);
	CHECK(fcntl(pair[0], F_GETFD) >= 0);
	CHECK_EQUAL(zrx_group_close(group), 0);
	close_pair(pair);
}

static void test_add_errors(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	int udp = socket(AF_INET, SOCK_DGRAM, 0), unbound = socket(AF_INET, SOCK_STREAM, 0);
	int pair[2], flags;

	tcp_pair(pair);
	CHECK_EQUAL(zrx_group_add(group, -1, NULL, &error), -EBADF);
	CHECK_SAYS(error.hint, "TCP");
	CHECK_EQUAL(zrx_group_add(group, udp, NULL, &error), -EPROTONOSUPPORT);
	CHECK_EQUAL(zrx_group_add(group, unbound, NULL, &error), -ENOTCONN);
	options.window_bytes = 1;
	CHECK_EQUAL(zrx_group_add(group, pair[0], &options, &error), -EINVAL);
	CHECK_SAYS(error.message, "window_bytes");
	CHECK_EQUAL(zrx_group_listen(group, unbound, &options, &error), -EINVAL);
	CHECK_SAYS(error.message, "window_bytes");
	CHECK_EQUAL(zrx_group_listen(group, udp, NULL, &error), -EPROTONOSUPPORT);
	CHECK_EQUAL(zrx_group_listen(group, unbound, NULL, &error), -EINVAL);
	CHECK_SAYS(error.hint, "listen");
	CHECK_EQUAL(zrx_group_listen(group, pair[0], NULL, &error), -EINVAL);
	CHECK_EQUAL(zrx_group_listen(group, -1, NULL, &error), -EBADF);
	flags = fcntl(unbound, F_GETFL);
	CHECK(!(flags & O_NONBLOCK));
	CHECK(!zrx_group_receiver(group, 2));
	CHECK_EQUAL(zrx_group_close(group), 0);
	close_pair(pair);
	close(udp);
	close(unbound);
}

/* A thread that does not receive: its inbox is bounded, and the others go on. */
static void test_full(void)
{
	struct zrx_group *group = open_group(2, 2);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver = zrx_group_receiver(group, 0);
	struct zrx_event event;
	struct zrx_stats sum;
	int pairs[8][2];

	for (int i = 0; i < 8; i++)
		tcp_pair(pairs[i]);
	for (int i = 0; i < 4; i++)
		CHECK_EQUAL(zrx_group_add(group, pairs[i][0], NULL, &error), 0);
	CHECK_EQUAL(zrx_group_add(group, pairs[4][0], NULL, &error), -ENOBUFS);
	CHECK_SAYS(error.message, "does not receive");
	CHECK_EQUAL(stats_of(group, &sum).inbox_full, 1);
	/* One of them receives: what comes goes to it, although it has more than the other. */
	CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
	CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
	CHECK_EQUAL(zrx_group_add(group, pairs[4][0], NULL, &error), 0);
	CHECK_EQUAL(zrx_group_add(group, pairs[5][0], NULL, &error), 0);
	CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
	CHECK_EQUAL(next_event(receiver, &event, SECOND), 1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
	CHECK_EQUAL(stats_of(group, &sum).added, 4);
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 8; i++)
		close_pair(pairs[i]);
}

/* The smallest inbox has room for two, and loses none. */
static void test_smallest(void)
{
	struct zrx_group *group = open_group(1, 1);
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_event event;
	int pairs[3][2];

	for (uint64_t i = 0; i < 3; i++) {
		tcp_pair(pairs[i]);
		options.tag = i;
		CHECK_EQUAL(zrx_group_add(group, pairs[i][0], &options, NULL),
			    i < 2 ? 0 : -ENOBUFS);
	}
	for (uint64_t i = 0; i < 2; i++) {
		CHECK_EQUAL(next_event(zrx_group_receiver(group, 0), &event, SECOND), 1);
		CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
		CHECK_EQUAL(event.tag, i);
	}
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 3; i++)
		close_pair(pairs[i]);
}

/* A receiver that leaves: what waits for it goes to the others; after the last, to nobody. */
static void test_leave(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_event event;
	struct zrx_stats sum;
	int pairs[4][2];

	for (int i = 0; i < 4; i++) {
		tcp_pair(pairs[i]);
		CHECK_EQUAL(zrx_group_add(group, pairs[i][0], NULL, &error), 0);
	}
	CHECK_EQUAL(zrx_receiver_close(zrx_group_receiver(group, 0)), 0);
	CHECK(!zrx_group_receiver(group, 0));
	CHECK_EQUAL(stats_of(group, &sum).receiver_count, 1);
	for (int i = 0; i < 4; i++) {
		CHECK_EQUAL(next_event(zrx_group_receiver(group, 1), &event, SECOND), 1);
		CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
	}
	CHECK_EQUAL(zrx_group_add(group, pairs[0][0], NULL, &error), 0);
	CHECK_EQUAL(zrx_receiver_close(zrx_group_receiver(group, 1)), 0);
	CHECK_EQUAL(stats_of(group, &sum).refused, 1);
	CHECK_EQUAL(zrx_group_add(group, pairs[0][0], NULL, &error), -ESHUTDOWN);
	CHECK_EQUAL(zrx_group_listen(group, pairs[0][0], NULL, &error), -EINVAL);
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 4; i++)
		close_pair(pairs[i]);
}

/* ---- listening ---- */

static int connect_to(int listener)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	CHECK(fd >= 0);
	CHECK(!getsockname(listener, (struct sockaddr *)&address, &length));
	CHECK(!connect(fd, (struct sockaddr *)&address, length));
	return fd;
}

struct server {
	struct zrx_group *group;
	uint32_t index;
	uint64_t tag;
	_Atomic uint64_t *bytes;
	_Atomic uint32_t *ended;
	_Atomic uint32_t *stop;
	uint32_t added;
	int polls;
	int closes;
};

static void serve_event(struct server *server, const struct zrx_event *event)
{
	switch (event->kind) {
	case ZRX_EVENT_ADDED:
		CHECK_EQUAL(event->flags, ZRX_ADDED_ACCEPTED);
		CHECK_EQUAL(event->tag, server->tag);
		CHECK_EQUAL(fcntl(event->error, F_GETFD), FD_CLOEXEC);
		server->added++;
		/* The stream has a reference of its own. */
		CHECK(!close(event->error));
		break;
	case ZRX_EVENT_DATA:
		atomic_fetch_add(server->bytes, event->buffer.length);
		break;
	case ZRX_EVENT_END:
		atomic_fetch_add(server->ended, 1);
		break;
	default:
		fprintf(stderr, "event %u: %d\n", event->kind, event->error);
		exit(1);
	}
}

static void *serve(void *context)
{
	struct server *server = context;
	struct zrx_receiver *receiver = zrx_group_receiver(server->group, server->index);
	struct zrx_event events[64];
	int received = 0;
	struct pollfd polled = {.fd = server->polls ? zrx_receiver_fd(receiver) : -1,
				.events = POLLIN};

	while (!atomic_load(server->stop)) {
		int count;

		/* As an event loop does: only when it is readable. */
		if (server->polls && received && !poll(&polled, 1, 50))
			continue;
		received = 1;
		count = zrx_receiver_receive(receiver, events, 64, server->polls ? 0 : 50000000);
		CHECK(count >= 0 || count == -EINTR);
		for (int i = 0; i < count; i++)
			serve_event(server, &events[i]);
		if (count > 0)
			CHECK_EQUAL(zrx_event_release(events, (uint32_t)count), 0);
	}
	if (server->closes)
		CHECK_EQUAL(zrx_receiver_close(receiver), 0);
	return NULL;
}

#define SERVERS     4
#define CONNECTIONS 200

struct served {
	struct server servers[SERVERS];
	pthread_t threads[SERVERS];
	_Atomic uint64_t bytes;
	_Atomic uint32_t ended;
	_Atomic uint32_t stop;
};

static void serve_begin(struct served *served, struct zrx_group *group, uint64_t tag, int polls,
			int closes)
{
	*served = (struct served){0};
	for (uint32_t i = 0; i < zrx_group_count(group); i++) {
		served->servers[i] =
			(struct server){group,         i, tag,   &served->bytes, &served->ended,
					&served->stop, 0, polls, closes};
		CHECK(!pthread_create(&served->threads[i], NULL, serve, &served->servers[i]));
	}
}

static void serve_end(struct served *served, uint32_t count)
{
	atomic_store(&served->stop, 1);
	for (uint32_t i = 0; i < count; i++)
		CHECK(!pthread_join(served->threads[i], NULL));
}

static void wait_for(_Atomic uint32_t *counter, uint32_t value)
{
	for (int i = 0; i < 1000 && atomic_load(counter) < value; i++)
		sleep_ms(10);
	CHECK_EQUAL(atomic_load(counter), value);
}

/* Connections in bursts, to receivers that sleep in a receive, or in a poll. */
static void test_listen(int polls, int closes)
{
	struct zrx_group *group = open_group(SERVERS, 0);
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct served served;
	struct zrx_stats sum;
	int listener = tcp_listener(), clients[20];
	uint32_t added = 0;

	CHECK(!listen(listener, 128));
	options.tag = 42;
	serve_begin(&served, group, 42, polls, closes);
	CHECK_EQUAL(zrx_group_listen(group, listener, &options, &error), 0);
	CHECK(fcntl(listener, F_GETFL) & O_NONBLOCK);
	for (uint32_t i = 0; i < CONNECTIONS / 20; i++) {
		for (int j = 0; j < 20; j++)
			clients[j] = connect_to(listener);
		for (int j = 0; j < 20; j++) {
			send_bytes(clients[j], "0123456789", 10);
			close(clients[j]);
		}
		wait_for(&served.ended, (i + 1) * 20);
	}
	CHECK_EQUAL(atomic_load(&served.bytes), CONNECTIONS * 10);
	CHECK_EQUAL(stats_of(group, &sum).accepted, CONNECTIONS);
	CHECK_EQUAL(stats_of(group, &sum).added, CONNECTIONS);
	CHECK_EQUAL(stats_of(group, &sum).refused, 0);
	CHECK_EQUAL(stats_of(group, &sum).accept_retries, 0);
	CHECK_EQUAL(sum.bytes, CONNECTIONS * 10);
	serve_end(&served, SERVERS);
	for (int i = 0; i < SERVERS; i++)
		added += served.servers[i].added;
	CHECK_EQUAL(added, CONNECTIONS);
	if (closes) {
		CHECK_EQUAL(stats_of(group, &sum).receiver_count, 0);
		CHECK_EQUAL(sum.bytes, CONNECTIONS * 10); /* those of closed ones are not lost */
	}
	CHECK_EQUAL(zrx_group_close(group), 0);
	CHECK(!(fcntl(listener, F_GETFL) & O_NONBLOCK));
	close(listener);
}

/* A thread that stays in what it does keeps no more than one connection waiting. */
static void test_busy_thread(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_event event;
	struct served served = {0};
	int listener = tcp_listener(), clients[8];
	struct zrx_stats sum;
	pthread_t thread;

	CHECK(!listen(listener, 128));
	CHECK_EQUAL(zrx_group_listen(group, listener, NULL, NULL), 0);
	/* It watches, and is busy from then on. */
	CHECK_EQUAL(next_event(zrx_group_receiver(group, 1), &event, 0), 0);
	served.servers[0] = (struct server){.group = group,
					    .bytes = &served.bytes,
					    .ended = &served.ended,
					    .stop = &served.stop};
	CHECK(!pthread_create(&thread, NULL, serve, &served.servers[0]));
	for (int i = 0; i < 8; i++) {
		clients[i] = connect_to(listener);
		sleep_ms(20);
	}
	for (int i = 0; i < 100 && stats_of(group, &sum).accepted < 8; i++)
		sleep_ms(10);
	CHECK(stats_of(group, &sum).accepted >= 7);
	atomic_store(&served.stop, 1);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 8; i++)
		close(clients[i]);
	close(listener);
}

/* Descriptors run out: connections wait, and come when there are some again. */
static void test_no_descriptors(int polls)
{
	struct zrx_group *group = open_group(2, 0);
	struct rlimit limit, none;
	struct served served;
	struct zrx_stats sum;
	int listener = tcp_listener(), clients[4];

	CHECK_EQUAL(zrx_group_listen(group, listener, NULL, NULL), 0);
	serve_begin(&served, group, 0, polls, 0);
	sleep_ms(50);
	for (int i = 0; i < 4; i++)
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 3;
	CHECK(!setrlimit(RLIMIT_NOFILE, &none));
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in address;
		socklen_t length = sizeof(address);

		CHECK(!getsockname(listener, (struct sockaddr *)&address, &length));
		CHECK(!connect(clients[i], (struct sockaddr *)&address, length));
		send_bytes(clients[i], "x", 1);
		CHECK(!shutdown(clients[i], SHUT_WR));
	}
	for (int i = 0; i < 200 && !stats_of(group, &sum).accept_retries; i++)
		sleep_ms(10);
	CHECK(stats_of(group, &sum).accept_retries);
	CHECK_EQUAL(atomic_load(&served.ended), 0);
	/* It does not spin. */
	sleep_ms(200);
	CHECK(stats_of(group, &sum).accept_retries < 200);
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	wait_for(&served.ended, 4);
	CHECK_EQUAL(atomic_load(&served.bytes), 4);
	serve_end(&served, 2);
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 4; i++)
		close(clients[i]);
	close(listener);
}

static void receive_nothing(struct zrx_receiver *receiver)
{
	struct zrx_event event;

	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(next_event(receiver, &event, 15 * SECOND / 1000), 0);
}

/* So many more than are open now. */
static void allow_descriptors(int more)
{
	struct rlimit limit;
	int next = dup(0);

	CHECK(next >= 0);
	close(next);
	CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)(next + more);
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
}

/* Who is accepted, and lacks a descriptor, gets the next one that there is. */
static void test_first_come(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_receiver *first = zrx_group_receiver(group, 0);
	struct zrx_receiver *second = zrx_group_receiver(group, 1);
	struct zrx_event event;
	struct rlimit limit;
	struct zrx_stats sum;
	int listener = tcp_listener(), clients[2], i;

	CHECK_EQUAL(zrx_group_listen(group, listener, NULL, NULL), 0);
	CHECK_EQUAL(next_event(first, &event, 0), 0); /* it alone watches */
	CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
	clients[0] = connect_to(listener);
	clients[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	allow_descriptors(1); /* for the connection, and none for the reference to it */
	receive_nothing(first);
	CHECK_EQUAL(stats_of(group, &sum).accepted, 1);
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_EQUAL(next_event(second, &event, 0), 0); /* from now on it watches, too */
	close(clients[1]);
	clients[1] = connect_to(listener);
	allow_descriptors(1);
	for (i = 0; i < 3; i++) /* it could, and leaves it to the first */
		CHECK_EQUAL(next_event(second, &event, 1), 0);
	CHECK_EQUAL(stats_of(group, &sum).accepted, 1);
	CHECK_EQUAL(next_event(first, &event, SECOND), 1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
	close(event.error);
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 100 && !next_event(second, &event, SECOND / 100); i++)
		CHECK_EQUAL(next_event(first, &event, 0), 0);
	CHECK(i < 100);
	CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
	close(event.error);
	CHECK_EQUAL(zrx_group_close(group), 0);
	close(clients[0]);
	close(clients[1]);
	close(listener);
}

/* A listener that fails is told once, and the others go on. */
static void test_listener_fails(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	int bad = tcp_listener(), good = tcp_listener(), told = 0, added = 0, client;
	struct zrx_event event;

	CHECK(!listen(bad, 8));
	options.tag = 1;
	CHECK_EQUAL(zrx_group_listen(group, bad, &options, NULL), 0);
	options.tag = 2;
	CHECK_EQUAL(zrx_group_listen(group, good, &options, NULL), 0);
	for (uint32_t i = 0; i < 2; i++)
		CHECK_EQUAL(next_event(zrx_group_receiver(group, i), &event, 0), 0);
	CHECK(!shutdown(bad, SHUT_RDWR));
	client = connect_to(good);
	for (int i = 0; i < 20; i++) {
		if (!next_event(zrx_group_receiver(group, (uint32_t)i % 2), &event, 20000000))
			continue;
		if (event.kind == ZRX_EVENT_ADDED) {
			CHECK_EQUAL(event.tag, 2);
			close(event.error);
			added++;
			continue;
		}
		CHECK_EQUAL(event.kind, ZRX_EVENT_ERROR);
		CHECK_EQUAL(event.flags, ZRX_ADDED_LISTENER);
		CHECK_EQUAL(event.error, -EINVAL);
		CHECK_EQUAL(event.stream, 0);
		CHECK_EQUAL(event.tag, 1);
		told++;
	}
	CHECK_EQUAL(told, 1);
	CHECK_EQUAL(added, 1);
	CHECK_EQUAL(zrx_group_close(group), 0);
	close(client);
	close(bad);
	close(good);
}

static void test_many_listeners(void)
{
	struct zrx_group *group = open_group(1, 0);
	int listeners[ZRX_GROUP_LISTENERS + 1];
	struct zrx_error error = ZRX_ERROR_INIT;

	for (uint32_t i = 0; i <= ZRX_GROUP_LISTENERS; i++) {
		int result = zrx_group_listen(group, listeners[i] = tcp_listener(), NULL, &error);

		CHECK_EQUAL(result, i < ZRX_GROUP_LISTENERS ? 0 : -ENOSPC);
	}
	CHECK(!(fcntl(listeners[ZRX_GROUP_LISTENERS], F_GETFL) & O_NONBLOCK));
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (uint32_t i = 0; i <= ZRX_GROUP_LISTENERS; i++)
		close(listeners[i]);
}

/* What a group still has when it is closed is let go: the peer of an accepted connection sees it.
 */
static void test_close_lets_go(void)
{
	struct zrx_group *group = open_group(2, 0);
	int listener = tcp_listener(), clients[6];
	struct zrx_event event;
	char byte;

	CHECK_EQUAL(zrx_group_listen(group, listener, NULL, NULL), 0);
	CHECK_EQUAL(next_event(zrx_group_receiver(group, 0), &event, 0), 0);
	for (int i = 0; i < 6; i++)
		clients[i] = connect_to(listener);
	close(listener);
	/* It accepts all; some are the other's, and wait in its inbox. */
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(next_event(zrx_group_receiver(group, 0), &event, SECOND), 1);
		CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
		close(event.error);
	}
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (int i = 0; i < 6; i++) {
		ssize_t got = recv(clients[i], &byte, 1, 0);

		CHECK(got == 0 || (got < 0 && errno == ECONNRESET));
		close(clients[i]);
	}
}

/* A child holds on to nothing that is the group's, and does no harm. */
static void test_fork(void)
{
	struct zrx_group *group = open_group(2, 0);
	int listener = tcp_listener(), pair[2], status, held[2];
	struct zrx_event event;
	pid_t child;
	char byte;

	tcp_pair(pair);
	CHECK_EQUAL(zrx_group_listen(group, listener, NULL, NULL), 0);
	CHECK_EQUAL(zrx_group_add(group, pair[0], NULL, NULL), 0);
	CHECK(!pipe(held));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		close(pair[0]);
		close(held[1]);
		if (zrx_group_close(group) || zrx_group_add(group, listener, NULL, NULL) != -EPERM)
			_exit(1);
		CHECK_EQUAL(read(held[0], &byte, 1), 0);
		_exit(0);
	}
	close(pair[0]);
	/* The child lives, and must not keep the connection from ending. */
	CHECK(next_event(zrx_group_receiver(group, 0), &event, 0) +
		      next_event(zrx_group_receiver(group, 1), &event, 0) ==
	      1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_ADDED);
	CHECK_EQUAL(zrx_group_close(group), 0);
	CHECK_EQUAL(recv(pair[1], &byte, 1, 0), 0);
	close(held[1]);
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK_EQUAL(status, 0);
	close(held[0]);
	close(pair[1]);
	close(listener);
}

static void test_stats(void)
{
	struct zrx_group *group = open_group(3, 0);
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;
	struct zrx_stats each[2] = {ZRX_STATS_INIT}, sum = ZRX_STATS_INIT;

	stats.size = 8;
	CHECK_EQUAL(zrx_group_stats(group, &stats), -EINVAL);
	stats.size = sizeof(stats);
	stats.receivers = each;
	stats.receiver_capacity = 2;
	stats.sum = &sum;
	CHECK_EQUAL(zrx_group_stats(group, &stats), 0);
	CHECK_EQUAL(stats.receiver_count, 3);
	CHECK_EQUAL(each[1].size, sizeof(each[1]));
	CHECK_EQUAL(each[1].area_bytes, 4 << 20);
	CHECK_EQUAL(sum.area_bytes, 3 * (4 << 20));
	CHECK_EQUAL(sum.alloc_failures, ZRX_UNKNOWN);
	sum.size = 2;
	CHECK_EQUAL(zrx_group_stats(group, &stats), -EINVAL);
	CHECK_EQUAL(zrx_group_close(group), 0);
}

static void test_pinned(void)
{
	struct zrx_options receiver = ZRX_OPTIONS_INIT;
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_group *group;
	struct zrx_event event;
	cpu_set_t before, after;

	CHECK(!sched_getaffinity(0, sizeof(before), &before));
	receiver.engine = engine_of_test;
	receiver.area_bytes = 4 << 20;
	options.receiver = &receiver;
	options.flags = ZRX_GROUP_PIN;
	options.count = (uint32_t)CPU_COUNT(&before) + 1; /* one more than there are */
	CHECK_EQUAL(zrx_group_open(&group, &options, NULL), 0);
	for (uint32_t i = 0; i < options.count; i++) {
		struct zrx_info info = ZRX_INFO_INIT;

		CHECK_EQUAL(zrx_receiver_info(zrx_group_receiver(group, i), &info), 0);
		CHECK(info.processor >= 0 && CPU_ISSET((size_t)info.processor, &before));
		CHECK_EQUAL(info.numa_node, -1);
		CHECK_EQUAL(next_event(zrx_group_receiver(group, i), &event, 0), 0);
		CHECK(!sched_getaffinity(0, sizeof(after), &after));
		CHECK_EQUAL(CPU_COUNT(&after), 1);
		CHECK(CPU_ISSET((size_t)info.processor, &after));
	}
	CHECK_EQUAL(zrx_group_close(group), 0);
	CHECK(!sched_setaffinity(0, sizeof(before), &before));
}

/* ---- one queue for all ---- */

#define SHARED_AREA (4 << 20) /* open_group's */

/* Send so much to the receiver's only stream, and take it; hold: do not give it back. Returns how
 * many views there are. */
static uint32_t pass(struct zrx_receiver *receiver, int peer, uint64_t bytes,
		     struct zrx_buffer *hold)
{
	static unsigned char payload[16384];
	uint64_t sent = 0, taken = 0;
	uint32_t held = 0;

	while (taken < bytes) {
		struct zrx_event event;

		if (sent < bytes) {
			memset(payload, ++payload[0], sizeof(payload)); /* never the same */
			send_bytes(peer, payload, sizeof(payload));
			sent += sizeof(payload);
		}
		while (taken < sent && next_event(receiver, &event, 10 * SECOND)) {
			CHECK_EQUAL(event.kind, ZRX_EVENT_DATA);
			taken += event.buffer.length;
			if (hold)
				hold[held++] = event.buffer;
			else
				CHECK_EQUAL(zrx_buffer_release(&event.buffer, 1), 0);
		}
		CHECK_EQUAL(taken, sent);
	}
	return held;
}

static void add_to(struct zrx_group *group, uint32_t index, int pair[2])
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	uint64_t stream;

	tcp_pair(pair);
	options.window_bytes = SHARED_AREA / 2; /* most of what this test holds */
	CHECK_EQUAL(zrx_receiver_add(zrx_group_receiver(group, index), pair[0], &options, &stream),
		    0);
	CHECK_EQUAL(zrx_receiver_error(zrx_group_receiver(group, index), &error), 0);
}

/*
 * One of them is closed with views out: they stay as they are while the other receives more than
 * the area has, and the queue gets their chunks when they are released, by whomever.
 */
static void test_shared_held(uint32_t leaving)
{
	static struct zrx_buffer hold[SHARED_AREA / 4096];
	struct zrx_group *group = open_group(2, 0);
	struct zrx_receiver *stays = zrx_group_receiver(group, !leaving);
	int pairs[2][2];
	uint32_t held;
	char *copy;

	add_to(group, leaving, pairs[0]);
	add_to(group, !leaving, pairs[1]);
	held = pass(zrx_group_receiver(group, leaving), pairs[0][1], SHARED_AREA / 4, hold);
	copy = malloc(SHARED_AREA / 4);
	for (uint32_t i = 0, at = 0; i < held; at += hold[i++].length)
		memcpy(copy + at, hold[i].data, hold[i].length);
	CHECK_EQUAL(zrx_receiver_close(zrx_group_receiver(group, leaving)), 0);
	pass(stays, pairs[1][1], 3 * SHARED_AREA, NULL);
	for (uint32_t i = 0, at = 0; i < held; at += hold[i++].length)
		CHECK(!memcmp(copy + at, hold[i].data, hold[i].length));
	free(copy);
	CHECK_EQUAL(zrx_buffer_release(hold, held), 0);
	pass(stays, pairs[1][1], 3 * SHARED_AREA, NULL);
	CHECK_EQUAL(zrx_group_close(group), 0);
	close_pair(pairs[0]);
	close_pair(pairs[1]);
}

/* All of them share one area: what one has is at another place than what the other has. */
static void test_shared_memory(void)
{
	struct zrx_group *group = open_group(2, 0);
	struct zrx_info infos[2] = {ZRX_INFO_INIT, ZRX_INFO_INIT};
	struct zrx_buffer views[2][8];
	int pairs[2][2];

	for (uint32_t i = 0; i < 2; i++) {
		add_to(group, i, pairs[i]);
		CHECK_EQUAL(zrx_receiver_info(zrx_group_receiver(group, i), &infos[i]), 0);
		CHECK(pass(zrx_group_receiver(group, i), pairs[i][1], 16384, views[i]) <= 8);
		CHECK_EQUAL(infos[i].area_bytes, SHARED_AREA);
		CHECK(infos[i].features & ZRX_FEATURE_SHARED_QUEUE);
	}
	CHECK(views[0][0].offset != views[1][0].offset);
	CHECK((char *)views[0][0].data - views[0][0].offset ==
	      (char *)views[1][0].data - views[1][0].offset);
	/* After the close the memory is still there. */
	CHECK_EQUAL(zrx_group_close(group), 0);
	for (uint32_t i = 0; i < 2; i++)
		((char *)views[i][0].data)[0] = 1;
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t bytes = 0, j = 0; bytes < 16384; bytes += views[i][j++].length)
			CHECK_EQUAL(zrx_buffer_release(&views[i][j], 1), 0);
	close_pair(pairs[0]);
	close_pair(pairs[1]);
}

static void test_shared_options(void)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = ZRX_OPTIONS_INIT;

	options.receiver = &receiver;
	options.flags = ZRX_GROUP_SHARED_QUEUE | ZRX_GROUP_PIN_QUEUE;
	CHECK_EQUAL(refused(&options, "flags"), -EINVAL);
	options.flags = ZRX_GROUP_SHARED_QUEUE;
	receiver.area_max_bytes = 1 << 30;
	CHECK_EQUAL(refused(&options, "area_max_bytes"), -EINVAL);
}

static void test_engine(uint32_t engine, uint32_t flags)
{
	int before = open_descriptors();

	engine_of_test = engine;
	flags_of_test = flags;
	test_bad_options();
	test_add();
	test_add_twice();
	test_add_errors();
	test_full();
	test_smallest();
	test_leave();
	test_listen(0, 0);
	test_listen(1, 0);
	test_listen(0, 1);
	test_busy_thread();
	test_no_descriptors(0);
	test_no_descriptors(1);
	test_first_come();
	test_listener_fails();
	test_many_listeners();
	test_close_lets_go();
	test_fork();
	test_stats();
	test_pinned();
	test_shared_options();
	if (flags) {
		test_shared_memory();
		test_shared_held(0);
		test_shared_held(1);
	}
	CHECK_EQUAL(open_descriptors(), before);
}

int main(void)
{
	struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

	CHECK_EQUAL(zrx_probe(&capabilities), 0);
	for (uint32_t engine = ZRX_ENGINE_ZCRX_NODEV; engine < ZRX_ENGINE_COUNT; engine++)
		if (capabilities.engines & 1u << engine)
			test_engine(engine, 0);
	/* The only one of them that has a queue to share: a kernel's without a device. */
	if (capabilities.features & ZRX_FEATURE_SHARED_QUEUE &&
	    capabilities.engines & 1u << ZRX_ENGINE_ZCRX_NODEV)
		test_engine(ZRX_ENGINE_ZCRX_NODEV, ZRX_GROUP_SHARED_QUEUE);
	return 0;
}
