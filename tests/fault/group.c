/* SPDX-License-Identifier: MIT */
/*
 * A group's whole life, again and again: each time another one of its calls to the kernel, or
 * allocations, fails. Nothing may be left, what failed must have been told, and of the connections
 * none may be lost, unless one is said to be refused.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inject.h"
#include "sys.h"
#include "zcrx.h"

#define RECEIVERS   2
#define ACCEPTED    4
#define CONNECTIONS (ACCEPTED + 1) /* the last is added by hand */
#define BYTES       5000u
#define BATCH       4
#define RECEIVES    4000
#define TIMEOUT_NS  2000000
#define POINTS_MOST 4000
#define RUN_SECONDS 20
#define AREA        (1u << 20)

static struct {
	uint32_t engine, flags, at;
	int wait_error;
	struct zrx_group *group;
	int listener, ours, peers[CONNECTIONS];
	uint32_t added, ended, refused;
	uint64_t bytes;
	int broken[RECEIVERS]; /* the ring is unusable */
} life;

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "fault: group, engine %s, call %u (%s, a wait fails with %d): ",
		zrx_engine_name(life.engine), life.at, inject_failed() ? inject_failed() : "none",
		life.wait_error);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void overdue(int signal)
{
	(void)signal;
	fail("timed out");
}

static unsigned descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!directory)
		fail("cannot read /proc/self/fd");
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* ---- peers ---- */

static void connect_peer(const struct sockaddr_in *address, int i)
{
	char bytes[BYTES];

	life.peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(life.peers[i], (const struct sockaddr *)address, sizeof(*address)))
		fail("connect: %s", strerror(errno));
	memset(bytes, 'a' + i, sizeof(bytes));
	if (send(life.peers[i], bytes, BYTES, MSG_NOSIGNAL) != BYTES)
		fail("send: %s", strerror(errno));
	shutdown(life.peers[i], SHUT_WR);
}

static void connect_peers(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);

	life.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(life.listener, (struct sockaddr *)&address, length) ||
	    listen(life.listener, CONNECTIONS) ||
	    getsockname(life.listener, (struct sockaddr *)&address, &length))
		fail("cannot listen on loopback: %s", strerror(errno));
	connect_peer(&address, ACCEPTED);
	life.ours = accept4(life.listener, NULL, NULL, SOCK_CLOEXEC);
	for (int i = 0; i < ACCEPTED; i++)
		connect_peer(&address, i);
}

/* ---- the life of a group ---- */

static int told(const struct zrx_error *error, int result, const char *what)
{
	if (!result)
		return 1;
	if (!inject_failed())
		fail("%s gives %d: %s", what, result, error->message);
	if (error->code != result || !error->stage || !error->message[0])
		fail("%s gives %d, and its error says %d: %s", what, result, error->code,
		     error->message);
	return 0;
}

static int open_group(void)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;

	receiver.engine = life.engine;
	receiver.area_bytes = AREA;
	receiver.buffer_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	receiver.ring_entries = 64;
	options.flags = life.flags;
	options.count = RECEIVERS;
	options.inbox_entries = 8;
	options.receiver = &receiver;
	return told(&error, zrx_group_open(&life.group, &options, &error), "open");
}

/* What failed was undone: it can be tried again. */
static void begin(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	if (!told(&error, zrx_group_listen(life.group, life.listener, NULL, &error), "listen") &&
	    zrx_group_listen(life.group, life.listener, NULL, &error))
		fail("the second try to listen: %s", error.message);
	if (!told(&error, zrx_group_add(life.group, life.ours, NULL, &error), "add") &&
	    zrx_group_add(life.group, life.ours, NULL, &error))
		fail("the second try to add: %s", error.message);
}

static void take(const struct zrx_event *event)
{
	switch (event->kind) {
	case ZRX_EVENT_ADDED:
		life.added++;
		if (event->flags & ZRX_ADDED_ACCEPTED)
			zrx_sys_close(event->error);
		else if (event->error != life.ours)
			fail("descriptor %d was added, and it was %d", event->error, life.ours);
		break;
	case ZRX_EVENT_DATA:
		life.bytes += event->buffer.length;
		if (zrx_buffer_release(&event->buffer, 1))
			fail("a release fails");
		break;
	case ZRX_EVENT_END:
		life.ended++;
		break;
	default:
		if (event->stream || !inject_failed() || event->flags & ZRX_ADDED_LISTENER)
			fail("error %d, flags %u", event->error, event->flags);
		life.refused++;
	}
}

static void receive_all(void)
{
	struct zrx_event events[BATCH];

	for (uint32_t i = 0; i < RECEIVES; i++) {
		uint32_t index = i % RECEIVERS;
		int count = life.broken[index]
				    ? 0
				    : zrx_receiver_receive(zrx_group_receiver(life.group, index),
							   events, BATCH, TIMEOUT_NS);

		for (int j = 0; j < count; j++)
			take(&events[j]);
		if (life.ended + life.refused == CONNECTIONS)
			return;
		if (count < 0 && count != -EINTR && !inject_failed())
			fail("receive gives %d", count);
		life.broken[index] |= count < 0 && count == life.wait_error && count != -EINTR;
		if (life.broken[index]) /* what it had is gone with it */
			return;
	}
	fail("%u were added, %u ended, %u are refused", life.added, life.ended, life.refused);
}

static int any_broken(void)
{
	return life.broken[0] || life.broken[1];
}

static void live(void)
{
	int result;

	if (!open_group())
		return;
	begin();
	receive_all();
	if (!any_broken() && (life.refused > 1 || life.bytes != (uint64_t)life.ended * BYTES))
		fail("%u refused, %u ended, %llu bytes", life.refused, life.ended,
		     (unsigned long long)life.bytes);
	result = zrx_group_close(life.group);
	if (result && !(result == ZRX_CLOSE_DEFERRED && inject_failed()))
		fail("close gives %d", result);
}

/* Returns 0 when the call that should fail is beyond the last. */
static int run_once(uint32_t engine, uint32_t flags, uint32_t at, int wait_error)
{
	unsigned before;

	memset(&life, 0, sizeof(life));
	life.engine = engine;
	life.flags = flags;
	life.at = at;
	life.wait_error = wait_error;
	alarm(RUN_SECONDS);
	connect_peers();
	before = descriptors();
	inject_begin(at, wait_error);
	live();
	if (inject_held() || inject_mapped() || descriptors() != before)
		fail("left are %lld allocations, rings or descriptors, %lld bytes, %d descriptors",
		     (long long)inject_held(), (long long)inject_mapped(),
		     (int)(descriptors() - before));
	close(life.ours);
	close(life.listener);
	for (int i = 0; i < CONNECTIONS; i++)
		close(life.peers[i]);
	return inject_failed() != NULL;
}

static void run_engine(uint32_t engine, uint32_t flags)
{
	uint32_t runs = 0;

	for (unsigned i = 0; i < inject_wait_error_count; i++) {
		uint32_t at = 1;

		while (run_once(engine, flags, at, inject_wait_errors[i])) {
			if (++at == POINTS_MOST)
				fail("more than %u calls", POINTS_MOST);
		}
		runs += at;
	}
	printf("fault: group, engine %s%s: %u runs, each with another call failing\n",
	       zrx_engine_name(engine), flags ? ", one queue" : "", runs);
}

static void run_named(const char *name)
{
	uint32_t engine;

	if (zrx_engine_by_name(name, &engine)) {
		fprintf(stderr, "fault: no such engine: %s\n", name);
		exit(2);
	}
	run_engine(engine, 0);
	if (engine == ZRX_ENGINE_ZCRX_NODEV)
		run_engine(engine, ZRX_GROUP_SHARED_QUEUE);
}

int main(int argc, char **argv)
{
	signal(SIGALRM, overdue);
	if (argc < 2) {
		fprintf(stderr, "usage: fault-group ENGINE...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		run_named(argv[i]);
	return 0;
}
