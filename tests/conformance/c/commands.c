/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "connections.h"
#include "group.h"
#include "views.h"

#include <zcrx.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct zrx_receiver *receiver;
/* Held for writing by open and close, for reading by calls on other threads. The driver sees to it
 * that nobody waits for it. */
static pthread_rwlock_t life = PTHREAD_RWLOCK_INITIALIZER;
static struct zrx_event *events;

/* ---- receiver ---- */

static void hello(FILE *out, char *words)
{
	(void)words;
	fputs("cannot through a C program receives events\nprotocol 3\n", out);
	fprintf(out, "own mappings 1048576\nok C %s\n", zrx_version());
}

static void free_area(void *memory, uint64_t bytes, void *context)
{
	(void)context;
	munmap(memory, bytes);
}

static void set_option(struct zrx_options *options, uint64_t *batch,
		       struct zrx_group_options *group, const char *key, char *value)
{
	uint64_t number = strtoull(value, NULL, 10);

	if (!strcmp(key, "engine"))
		zrx_engine_by_name(value, &options->engine);
	else if (!strcmp(key, "area_bytes"))
		options->area_bytes = number;
	else if (!strcmp(key, "buffer_bytes"))
		options->buffer_bytes = (uint32_t)number;
	else if (!strcmp(key, "ring_entries"))
		options->ring_entries = (uint32_t)number;
	else if (!strcmp(key, "refill_entries"))
		options->refill_entries = (uint32_t)number;
	else if (!strcmp(key, "interface"))
		options->interface = value;
	else if (!strcmp(key, "steer_port"))
		options->steer_port = (uint32_t)number;
	else if (!strcmp(key, "window_bytes"))
		options->window_bytes = number;
	else if (!strcmp(key, "area_max_bytes"))
		options->area_max_bytes = number;
	else if (!strcmp(key, "small_area"))
		options->flags |= number ? ZRX_SMALL_AREA : 0;
	else if (!strcmp(key, "area"))
		options->area_kind = !strcmp(value, "caller") ? ZRX_AREA_CALLER : ZRX_AREA_DMABUF;
	else if (!strcmp(key, "batch"))
		*batch = number;
	else if (!strcmp(key, "inbox_entries"))
		group->inbox_entries = (uint32_t)number;
	else if (!strcmp(key, "shared_queue"))
		group->flags |= number ? ZRX_GROUP_SHARED_QUEUE : 0;
}

void options_read(char *words, struct zrx_options *options, uint64_t *batch,
		  struct zrx_group_options *group)
{
	char *rest = NULL;

	for (char *word; (word = strtok_r(words, " ", &rest)); words = NULL) {
		char *equals = strchr(word, '=');

		*equals = '\0';
		set_option(options, batch, group, word, equals + 1);
	}
	options->steer = options->steer_port ? ZRX_STEER_PORT : ZRX_STEER_CONNECTION;
}

/* Memory, or a descriptor, of this program's own; let go of when opening has failed. */
static void provide_area(struct zrx_options *options)
{
	if (options->area_kind == ZRX_AREA_DMABUF)
		options->dmabuf_fd = LISTENER;
	if (options->area_kind != ZRX_AREA_CALLER)
		return;
	options->area_memory = mmap(NULL, options->area_bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	options->area_free = free_area;
}

static void open_receiver(FILE *out, char *words)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	uint64_t batch = 64;
	struct zrx_group_options none;
	int result;

	options_read(words, &options, &batch, &none);
	provide_area(&options);
	events = realloc(events, batch * sizeof(*events));
	pthread_rwlock_wrlock(&life);
	result = zrx_receiver_open(&receiver, &options, &error);
	pthread_rwlock_unlock(&life);
	if (result < 0) {
		if (options.area_memory)
			free_area(options.area_memory, options.area_bytes, NULL);
		fprintf(out, "failed %d %s (%s; %s) Hint: %s\n", -result, error.message,
			zrx_stage_name(error.stage), error.kernel_text, error.hint);
		return;
	}
	zrx_receiver_info(receiver, &info);
	answer(out, 0, zrx_engine_name(info.engine));
}

static void close_receiver(FILE *out, char *words)
{
	int result;

	(void)words;
	pthread_rwlock_wrlock(&life);
	result = zrx_receiver_close(receiver);
	pthread_rwlock_unlock(&life);
	answer(out, result, result == ZRX_CLOSE_DEFERRED ? "deferred" : result ? NULL : "done");
}

static void wake(FILE *out, char *words)
{
	int result;

	(void)words;
	pthread_rwlock_rdlock(&life);
	result = zrx_receiver_wake(receiver);
	pthread_rwlock_unlock(&life);
	answer(out, result, NULL);
}

static void stats(FILE *out, char *words)
{
	struct zrx_stats s = ZRX_STATS_INIT;
	int result;

	(void)words;
	pthread_rwlock_rdlock(&life);
	result = zrx_receiver_stats(receiver, &s);
	pthread_rwlock_unlock(&life);
	if (result < 0) {
		answer(out, result, NULL);
		return;
	}
	fprintf(out,
		"ok stall=%u bytes=%" PRIu64 " buffers=%" PRIu64 " released=%" PRIu64
		" outstanding=%" PRIu64 " streams=%" PRIu64 " parked=%" PRIu64 " parks=%" PRIu64
		" rearms_ring_full=%" PRIu64 " rearms_no_buffer=%" PRIu64 " rearms_silent=%" PRIu64
		" rearms_interrupted=%" PRIu64 " backlog=%" PRIu64 " backlog_high=%" PRIu64
		" flushes=%" PRIu64 " copied_bytes=%" PRIu64 " waits=%" PRIu64 " wakes=%" PRIu64
		" paused=%" PRIu64 " pauses=%" PRIu64 " held_bytes=%" PRIu64 " area_bytes=%" PRIu64
		"\n",
		s.stall, s.bytes, s.buffers, s.released, s.outstanding, s.streams, s.parked,
		s.parks, s.rearms_ring_full, s.rearms_no_buffer, s.rearms_silent,
		s.rearms_interrupted, s.backlog, s.backlog_high, s.flushes, s.copied_bytes, s.waits,
		s.wakes, s.paused, s.pauses, s.held_bytes, s.area_bytes);
}

/* ---- connections ---- */

static struct stream *stream_of(const char *words)
{
	return connection_at(strtoull(words, NULL, 10));
}

/* accept NUMBER PLACE */
static void accept_stream(FILE *out, char *words)
{
	char *place;
	uint64_t number = strtoull(words, &place, 10);
	int fd = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);

	*connection_new(number) = (struct stream){.fd = fd, .place = strtoull(place, NULL, 10)};
	answer(out, fd < 0 ? -errno : 0, NULL);
}

static void go(FILE *out, char *words)
{
	answer(out, send(stream_of(words)->fd, "", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno, NULL);
}

static void shut(FILE *out, char *words)
{
	answer(out, close(stream_of(words)->fd) ? -errno : 0, NULL);
}

/* add NUMBER LIMIT [WINDOW] */
static void add(FILE *out, char *words)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct stream *stream = stream_of(words);
	char *limit, *window;
	int result;

	options.tag = strtoull(words, &limit, 10);
	options.limit_bytes = strtoull(limit, &window, 10);
	options.window_bytes = strtoull(window, NULL, 10);
	result = zrx_receiver_add(receiver, stream->fd, &options, &stream->handle);
	if (result < 0) {
		zrx_receiver_error(receiver, &error);
		fprintf(out, "failed %d %s. Hint: %s\n", -result, error.message, error.hint);
		return;
	}
	fprintf(out, "ok %" PRIx64 "\n", stream->handle);
}

static void remove_stream(FILE *out, char *words)
{
	answer(out, zrx_receiver_remove(receiver, stream_of(words)->handle), NULL);
}

static void pause_stream(FILE *out, char *words)
{
	answer(out, zrx_receiver_pause(receiver, stream_of(words)->handle), NULL);
}

static void resume_stream(FILE *out, char *words)
{
	answer(out, zrx_receiver_resume(receiver, stream_of(words)->handle), NULL);
}

static void stream_stats(FILE *out, char *words)
{
	struct zrx_stream_stats s = ZRX_STREAM_STATS_INIT;
	int result = zrx_stream_stats(receiver, stream_of(words)->handle, &s);

	if (result < 0) {
		answer(out, result, NULL);
		return;
	}
	fprintf(out,
		"ok at_window=%u paused=%u bytes=%" PRIu64 " held_bytes=%" PRIu64
		" window_bytes=%" PRIu64 " receive_buffer=%" PRIu64 "\n",
		s.at_window, s.paused, s.bytes, s.held_bytes, s.window_bytes, s.receive_buffer);
}

/* Reads to the end by recv. */
static void recv_stream(FILE *out, char *words)
{
	static unsigned char bytes[65536];
	struct stream *stream = stream_of(words);
	uint64_t total = 0, good = 0;
	ssize_t count;

	while ((count = recv(stream->fd, bytes, sizeof(bytes), 0)) > 0) {
		if (good == total)
			good += views_check(bytes, (size_t)count, stream->place);
		total += (uint64_t)count;
		stream->place += (uint64_t)count;
	}
	if (count < 0)
		answer(out, -errno, NULL);
	else
		fprintf(out, "ok %" PRIu64 " %" PRIu64 "\n", total, good);
}

/* ---- events ---- */

static void report_data(FILE *out, const struct zrx_event *event, int hold)
{
	const struct zrx_buffer *buffer = &event->buffer;
	struct stream *stream = connection_at(event->tag);
	uint64_t place = stream ? stream->place : 0;

	/* What must be zero in a data event; the driver knows no event of this kind. */
	if (event->error || event->flags || buffer->reserved || !buffer->area || !buffer->data) {
		fprintf(out, "spoilt %" PRIx64 " %" PRIu64 " %d,%u,%u,%p\n", event->stream,
			event->tag, event->error, event->flags, buffer->reserved, buffer->data);
		return;
	}
	if (stream)
		stream->place += buffer->length;
	fprintf(out, "data %" PRIx64 " %" PRIu64 " %u %zu %" PRIu64 "\n", event->stream, event->tag,
		buffer->length, views_check(buffer->data, buffer->length, place),
		hold ? views_keep(buffer, place) : 0);
}

static void report_event(FILE *out, const struct zrx_event *event, int hold)
{
	static const char *const ends[] = {
		[0] = "peer", [ZRX_END_LIMIT] = "limit", [ZRX_END_REMOVED] = "removed"};

	if (event->kind == ZRX_EVENT_DATA)
		report_data(out, event, hold);
	else if (event->kind == ZRX_EVENT_END && event->flags <= ZRX_END_REMOVED && !event->error &&
		 !event->buffer.area)
		fprintf(out, "end %" PRIx64 " %" PRIu64 " %s\n", event->stream, event->tag,
			ends[event->flags]);
	else if (event->kind == ZRX_EVENT_ERROR && !event->flags && !event->buffer.area)
		fprintf(out, "error %" PRIx64 " %" PRIu64 " %d\n", event->stream, event->tag,
			-event->error);
	else
		fprintf(out, "odd %" PRIx64 " %" PRIu64 " %u,%u,%d\n", event->stream, event->tag,
			event->kind, event->flags, event->error);
}

/* receive CAPACITY TIMEOUT_MS hold|use */
static void receive(FILE *out, char *words)
{
	char *timeout, *mode;
	uint32_t capacity = (uint32_t)strtoul(words, &timeout, 10);
	int64_t timeout_ms = strtoll(timeout, &mode, 10);
	int hold = !strcmp(mode, " hold"), result = 0;
	int count = zrx_receiver_receive(receiver, events, capacity, timeout_ms * 1000000);

	for (int i = 0; i < count; i++)
		report_event(out, &events[i], hold);
	if (count > 0 && !hold)
		result = zrx_event_release(events, (uint32_t)count);
	answer(out, count < 0 ? count : result, NULL);
}

static void poll_receiver(FILE *out, char *words)
{
	struct pollfd poll_fd = {.fd = zrx_receiver_fd(receiver), .events = POLLIN};

	poll(&poll_fd, 1, atoi(words));
	answer(out, 0, NULL);
}

/* ---- buffers ---- */

static void release(FILE *out, char *words)
{
	answer(out, views_release(out, words, NULL), NULL);
}

static void twice(FILE *out, char *words)
{
	int again, result = views_release(out, words, &again);
	char text[16];

	snprintf(text, sizeof(text), "%d", -again);
	answer(out, result, result ? NULL : text);
}

static void fork_process(FILE *out, char *words)
{
	fprintf(out, "ok %d\n", views_fork(words));
}

static void settle(FILE *out, char *words)
{
	(void)words;
	answer(out, 0, NULL);
}

static const struct {
	const char *name;
	void (*run)(FILE *out, char *words);
} commands[] = {
	{"hello", hello},
	{"open", open_receiver},
	{"close", close_receiver},
	{"wake", wake},
	{"stats", stats},
	{"accept", accept_stream},
	{"go", go},
	{"shut", shut},
	{"add", add},
	{"remove", remove_stream},
	{"pause", pause_stream},
	{"resume", resume_stream},
	{"stream-stats", stream_stats},
	{"recv", recv_stream},
	{"receive", receive},
	{"poll", poll_receiver},
	{"release", release},
	{"twice", twice},
	{"fork", fork_process},
	{"settle", settle},
};

static const struct {
	const char *name;
	void (*run)(FILE *out, int channel, char *words);
	int only; /* once a group is open: before, it is another request */
} group_commands[] = {
	{"group", group_open, 0},          {"group-add", group_add, 1},
	{"group-listen", group_listen, 1}, {"group-stats", group_stats, 1},
	{"receive", group_receive, 1},     {"leave", group_leave, 1},
	{"close", group_close, 1},
};

/* Returns whether it is one. */
static int run_group(FILE *out, int channel, const char *request, char *words)
{
	for (size_t i = 0; i < sizeof(group_commands) / sizeof(group_commands[0]); i++) {
		if (strcmp(group_commands[i].name, request) ||
		    (group_commands[i].only && !group_is_open()))
			continue;
		group_commands[i].run(out, channel, words);
		return 1;
	}
	return 0;
}

void command_run(FILE *out, int channel, char *request)
{
	size_t length = strcspn(request, " ");
	char *words = request + length + (request[length] == ' ');

	request[length] = '\0';
	if (run_group(out, channel, request, words))
		return;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].name, request)) {
			commands[i].run(out, words);
			return;
		}
	}
	answer(out, -ENOSYS, "no such request");
}

void commands_end(void)
{
	free(events);
	connections_free();
}
