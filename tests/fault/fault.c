/* SPDX-License-Identifier: MIT */
/*
 * A receiver's whole life, again and again: each time another one of its calls to the kernel, or
 * allocations, fails. Afterwards nothing may be left, no byte may be lost, and what failed must
 * have been told.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inject.h"
#include "zcrx.h"

#define STREAMS     3
#define LIMITED     1 /* this stream ends by its limit ... */
#define REMOVED     2 /* ... this one by remove, the first by its peer */
#define BYTES       60000u
#define LIMIT       20000u
#define RECEIVES    4000
#define TIMEOUT_NS  20000000
#define BATCH       16
#define HELD        8
#define POINTS_MOST 4000
#define REFUSALS    5
#define RUN_SECONDS 20
#define AREA        (2u << 20)
#define SMALL_AREA  (64u << 10) /* of which there is not enough */
#define SETTLE_MS   2000
#define ONE_THREAD  3 /* entries of its /proc/self/task, with . and .. */

struct run {
	uint32_t engine, at;
	int grows;
	int wait_error;
	struct zrx_receiver *receiver;
	int ours[STREAMS], peers[STREAMS];
	uint64_t handles[STREAMS], received[STREAMS];
	int ended[STREAMS];
	struct zrx_event held[HELD];
	uint32_t held_count;
	int broken; /* the ring is unusable: what is left is to close */
};

static struct run run;

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "fault: engine %s, call %u (%s, a wait fails with %d): ",
		zrx_engine_name(run.engine), run.at, inject_failed() ? inject_failed() : "none",
		run.wait_error);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void overdue(int signal)
{
	static const char text[] = "fault: a run does not come to its end\n";

	(void)signal;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	fail("timed out");
}

/* ---- sockets ---- */

static uint8_t payload(uint32_t stream, uint64_t offset)
{
	return (uint8_t)(offset * 31 + offset / 251 + stream * 101);
}

static void connect_pair(int listener, const struct sockaddr_in *address, uint32_t i)
{
	run.peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(run.peers[i], (const struct sockaddr *)address, sizeof(*address)))
		fail("connect: %s", strerror(errno));
	run.ours[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (run.ours[i] < 0)
		fail("accept: %s", strerror(errno));
}

static void connect_all(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, STREAMS) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		fail("cannot listen on loopback: %s", strerror(errno));
	for (uint32_t i = 0; i < STREAMS; i++)
		connect_pair(listener, &address, i);
	close(listener);
}

static void send_all(void)
{
	static uint8_t bytes[BYTES];

	for (uint32_t i = 0; i < STREAMS; i++) {
		for (uint64_t at = 0; at < BYTES; at++)
			bytes[at] = payload(i, at);
		if (send(run.peers[i], bytes, BYTES, MSG_NOSIGNAL) != BYTES)
			fail("send: %s", strerror(errno));
	}
	shutdown(run.peers[0], SHUT_WR);
}

/* ---- what must hold after a call that failed ---- */

static void check_told(const struct zrx_error *error, int result, const char *what)
{
	if (error->code != result || error->stage == ZRX_STAGE_NONE || !error->message[0])
		fail("%s gives %d, and its error says code %d, stage %s: %s", what, result,
		     error->code, zrx_stage_name(error->stage), error->message);
}

static void check_last(int result, const char *what)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	zrx_receiver_error(run.receiver, &error);
	check_told(&error, result, what);
}

/* ---- the life of a receiver ---- */

static int open_receiver(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	options.engine = run.engine;
	options.area_bytes = AREA; /* so that explicit huge pages are tried, too */
	if (run.grows) {
		options.area_bytes = SMALL_AREA;
		options.area_max_bytes = AREA;
	}
	options.buffer_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	options.ring_entries = 64;
	result = zrx_receiver_open(&run.receiver, &options, &error);
	if (!result)
		return 1;
	if (!inject_failed())
		fail("open gives %d: %s", result, error.message);
	check_told(&error, result, "open");
	return 0;
}

static void add(uint32_t i)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	int result;

	options.tag = i;
	options.limit_bytes = i == LIMITED ? LIMIT : 0;
	result = zrx_receiver_add(run.receiver, run.ours[i], &options, &run.handles[i]);
	if (!result)
		return;
	if (!inject_failed())
		fail("add gives %d", result);
	check_last(result, "add");
	/* What failed was undone: it can be tried again. */
	result = zrx_receiver_add(run.receiver, run.ours[i], &options, &run.handles[i]);
	if (result)
		fail("the second try to add gives %d", result);
}

static void check_bytes(const struct zrx_event *event)
{
	const uint8_t *bytes = event->buffer.data;
	uint32_t i = (uint32_t)event->tag;

	for (uint32_t at = 0; at < event->buffer.length; at++) {
		if (bytes[at] != payload(i, run.received[i] + at))
			fail("stream %u: byte %llu is not what was sent", i,
			     (unsigned long long)(run.received[i] + at));
	}
	run.received[i] += event->buffer.length;
}

static void *release_held(void *unused)
{
	(void)unused;
	if (zrx_event_release(run.held, run.held_count))
		fail("a release on another thread fails");
	run.held_count = 0;
	return NULL;
}

static void release_elsewhere(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, release_held, NULL))
		fail("cannot start a thread");
	pthread_join(thread, NULL);
}

static void take(const struct zrx_event *event)
{
	uint32_t i = (uint32_t)event->tag;

	if (run.ended[i])
		fail("stream %u: an event after its last", i);
	if (event->kind != ZRX_EVENT_DATA) {
		if (event->kind != ZRX_EVENT_END)
			fail("stream %u: error %d", i, event->error);
		run.ended[i] = 1;
		return;
	}
	check_bytes(event);
	if (run.held_count < HELD) {
		run.held[run.held_count++] = *event;
		return;
	}
	if (zrx_buffer_release(&event->buffer, 1))
		fail("a release fails");
	release_elsewhere();
}

static void remove_when_all_came(void)
{
	int result;

	if (run.received[REMOVED] < BYTES || !run.handles[REMOVED])
		return;
	result = zrx_receiver_remove(run.receiver, run.handles[REMOVED]);
	if (result)
		fail("remove gives %d", result);
	run.handles[REMOVED] = 0;
}

static void receive_all(void)
{
	struct zrx_event events[BATCH];

	for (int i = 0; i < RECEIVES; i++) {
		int count = zrx_receiver_receive(run.receiver, events, BATCH, TIMEOUT_NS);

		for (int j = 0; j < count; j++)
			take(&events[j]);
		remove_when_all_came();
		if (run.ended[0] && run.ended[LIMITED] && run.ended[REMOVED])
			return;
		if (count >= 0 || count == -EINTR)
			continue;
		if (!inject_failed())
			fail("receive gives %d", count);
		check_last(count, "receive");
		run.broken = count == run.wait_error;
		if (run.broken)
			return;
	}
	fail("%u receives, and not at the end: %llu %llu %llu bytes", RECEIVES,
	     (unsigned long long)run.received[0], (unsigned long long)run.received[LIMITED],
	     (unsigned long long)run.received[REMOVED]);
}

static void check_all_received(void)
{
	if (run.received[0] != BYTES || run.received[LIMITED] != LIMIT ||
	    run.received[REMOVED] != BYTES)
		fail("%llu, %llu and %llu bytes were received", (unsigned long long)run.received[0],
		     (unsigned long long)run.received[LIMITED],
		     (unsigned long long)run.received[REMOVED]);
}

/* Where nothing is in the way. */
static void check_grown(void)
{
	struct zrx_stats stats = ZRX_STATS_INIT;

	zrx_receiver_stats(run.receiver, &stats);
	if (run.grows && !inject_failed() && stats.area_bytes <= SMALL_AREA)
		fail("the area has not grown");
}

static void live(void)
{
	int result;

	if (!open_receiver())
		return;
	for (uint32_t i = 0; i < STREAMS; i++)
		add(i);
	receive_all();
	if (!run.broken)
		check_all_received();
	check_grown();
	result = zrx_receiver_close(run.receiver);
	if (result && !(result == ZRX_CLOSE_DEFERRED && inject_failed()))
		fail("close gives %d", result);
	release_elsewhere();
}

/* ---- all runs ---- */

static unsigned entries_of(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	if (!directory)
		fail("cannot read %s", path);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* Lines with this text among the process' mappings. */
static unsigned mappings_of(const char *text)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	if (!maps)
		fail("cannot read /proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, text) != NULL;
	fclose(maps);
	return count;
}

/* A thread that was joined stays in /proc for a moment. */
static void check_settled(unsigned descriptors, unsigned rings)
{
	for (int patience = SETTLE_MS; entries_of("/proc/self/task") != ONE_THREAD; patience--) {
		if (!patience)
			fail("threads are left");
		usleep(1000);
	}
	if (entries_of("/proc/self/fd") != descriptors)
		fail("descriptors are left");
	if (mappings_of("[io_uring]") != rings)
		fail("mappings of a ring are left");
}

/* Returns 0 when the call that should fail is beyond the last. */
static int run_once(uint32_t engine, int grows, uint32_t at, int wait_error)
{
	unsigned descriptors, rings;

	memset(&run, 0, sizeof(run));
	run = (struct run){.engine = engine, .grows = grows, .at = at, .wait_error = wait_error};
	alarm(RUN_SECONDS);
	connect_all();
	send_all();
	descriptors = entries_of("/proc/self/fd");
	rings = mappings_of("[io_uring]");
	inject_begin(at, wait_error);
	live();
	if (inject_held())
		fail("%lld allocations, rings or descriptors were not given back",
		     (long long)inject_held());
	if (inject_mapped())
		fail("%lld bytes were not unmapped", (long long)inject_mapped());
	check_settled(descriptors, rings);
	for (uint32_t i = 0; i < STREAMS; i++) {
		close(run.ours[i]);
		close(run.peers[i]);
	}
	return inject_failed() != NULL;
}

/* As long as the kernel refuses to watch sockets, receive keeps to its timeout; then it goes on. */
static void run_refused(void)
{
	struct zrx_event events[BATCH];

	memset(&run, 0, sizeof(run));
	run.engine = ZRX_ENGINE_RECV;
	alarm(RUN_SECONDS);
	connect_all();
	send_all();
	inject_begin(0, 0);
	if (!open_receiver())
		fail("cannot open");
	for (uint32_t i = 0; i < STREAMS; i++)
		add(i);
	inject_refuse_watches(1);
	for (int i = 0; i < REFUSALS; i++) {
		int count = zrx_receiver_receive(run.receiver, events, BATCH, TIMEOUT_NS);

		/* EINTR: the kernel is still tearing down a ring that this thread closed before. */
		if (count && count != -EINTR)
			fail("an event, although no socket can be watched");
	}
	inject_refuse_watches(0);
	receive_all();
	check_all_received();
	zrx_receiver_close(run.receiver);
	release_elsewhere();
	for (uint32_t i = 0; i < STREAMS; i++) {
		close(run.ours[i]);
		close(run.peers[i]);
	}
}

/* All calls, one after the other. Returns how many runs it took. */
static uint32_t run_all(uint32_t engine, int grows, int wait_error)
{
	uint32_t at = 1;

	while (run_once(engine, grows, at, wait_error)) {
		if (++at == POINTS_MOST)
			fail("more than %u calls", POINTS_MOST);
	}
	return at;
}

static int can_grow(uint32_t engine)
{
	struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

	zrx_probe(&capabilities);
	return engine != ZRX_ENGINE_ZCRX_NODEV || capabilities.features & ZRX_FEATURE_ADD_AREA;
}

static void run_engine(const char *name)
{
	uint32_t engine, runs = 0, calls;

	if (zrx_engine_by_name(name, &engine)) {
		fprintf(stderr, "fault: no such engine: %s\n", name);
		exit(2);
	}
	if (engine == ZRX_ENGINE_RECV)
		run_refused();
	run_once(engine, 0, 0, 0);
	calls = inject_calls();
	for (unsigned i = 0; i < inject_wait_error_count; i++)
		runs += run_all(engine, 0, inject_wait_errors[i]);
	if (can_grow(engine)) {
		run_once(engine, 1, 0, 0);
		runs += run_all(engine, 1, inject_wait_errors[0]);
	}
	printf("fault: engine %s: %u runs, each with another of about %u calls failing\n", name,
	       runs, calls);
}

int main(int argc, char **argv)
{
	signal(SIGALRM, overdue);
	if (argc < 2) {
		fprintf(stderr, "usage: fault ENGINE...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		run_engine(argv[i]);
	return 0;
}
