/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "app.h"
#include "area.h"
#include "uring.h"

struct app apps[APPS];
struct app *app = apps;
int app_fds[SIM_SOCKETS];

void app_begin(void)
{
	for (uint32_t i = 0; i < APPS; i++) {
		memset(&apps[i], 0, offsetof(struct app, streams));
		apps[i].view_count = 0;
	}
	app = apps;
	memset(app_fds, 0, sizeof(app_fds));
	app_group_begin();
}

uint32_t app_number(const struct sim_socket *socket)
{
	return (uint32_t)(socket - sim_sockets);
}

/* ---- add and remove ---- */

static struct app_stream *stream_of(const struct sim_socket *socket)
{
	for (uint32_t at = 0; at < APPS; at++) {
		for (uint32_t i = 0; i < apps[at].stream_count; i++) {
			if (apps[at].streams[i].live && apps[at].streams[i].socket == socket)
				return &apps[at].streams[i];
		}
	}
	return NULL;
}

struct sim_socket *app_connect(void)
{
	uint64_t total =
		sim_chance(10) ? 0 : sim_between(1, sim.fuzzed || sim_chance(50) ? 2000 : 40000);
	struct sim_socket *socket = sim_socket_new(total, (enum sim_finish)sim_below(3));

	if (!socket)
		return NULL;
	app_fds[app_number(socket)] = sim_fd_new(SIM_FD_SOCKET, socket);
	for (uint32_t early = sim_below(3); early; early--) /* sent before it is added */
		sim_socket_arrive(socket);
	return socket;
}

struct sim_socket *app_pick_again(void)
{
	struct sim_socket *socket =
		sim_socket_count ? &sim_sockets[sim_below(sim_socket_count)] : NULL;

	if (!socket || app_fds[app_number(socket)] < 0 || stream_of(socket) ||
	    app_group_has(socket))
		return NULL;
	/* The end, or an error, is told once. */
	if (socket->finished && socket->consumed == socket->arrived &&
	    socket->finish == SIM_FINISH_RESET)
		return NULL;
	return socket;
}

static void check_second_add(struct sim_socket *socket)
{
	uint64_t handle;
	int result = zrx_receiver_add(app->receiver, app_fds[app_number(socket)], NULL, &handle);

	if (result != -EEXIST)
		sim_fail("adding a socket a second time gives %d", result);
}

uint64_t app_choose_window(void)
{
	uint32_t chunks = (uint32_t)(app->area_bytes / app->chunk_bytes);

	return sim_chance(20) ? app->chunk_bytes * sim_between(1, sim_chance(50) ? 2 : chunks) : 0;
}

struct app_stream *app_new_stream(const struct app_stream *stream)
{
	struct app_stream *made = &app->streams[app->stream_count++];

	if (app->stream_count > APP_STREAMS)
		sim_fail("more than %u streams", APP_STREAMS);
	*made = *stream;
	made->live = 1;
	app->live++;
	return made;
}

void app_perhaps_close(struct sim_socket *socket)
{
	if (!sim_chance(10))
		return;
	zrx_sys_close(app_fds[app_number(socket)]);
	app_fds[app_number(socket)] = -1;
}

void app_add_socket(void)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct sim_socket *socket = sim_chance(60) ? app_connect() : app_pick_again();
	struct app_stream stream;
	int result;

	if (!socket || app->stream_count == APP_STREAMS)
		return;
	options.tag = app->stream_count;
	if (sim_chance(25))
		options.limit_bytes = sim_between(1, 3000);
	options.window_bytes = app_choose_window();
	stream = (struct app_stream){
		.socket = socket,
		.tag = options.tag,
		.start = socket->consumed,
		.limit = options.limit_bytes,
		.window = options.window_bytes ? options.window_bytes : app->window,
	};
	result = zrx_receiver_add(app->receiver, app_fds[app_number(socket)], &options,
				  &stream.handle);
	sim_trace("add socket %u, limit %llu: %d", app_number(socket),
		  (unsigned long long)stream.limit, result);
	if (result) {
		if (!sim.kernel.short_memory)
			sim_fail("add gives %d", result);
		return;
	}
	app_new_stream(&stream);
	sim_step();
	if (sim_chance(5))
		check_second_add(socket);
	app_perhaps_close(socket);
}

void app_remove(void)
{
	struct app_stream *stream;
	int result, expected;

	if (!app->stream_count)
		return;
	stream = &app->streams[sim_below(app->stream_count)];
	result = zrx_receiver_remove(app->receiver, stream->handle);
	sim_trace("remove stream %u: %d", (unsigned)(stream - app->streams), result);
	expected = stream->live && !stream->removing ? 0 : -ENOENT;
	/* A stream whose last event waits is over already. */
	if (result != expected && !(result == -ENOENT && stream->live))
		sim_fail("remove gives %d, expected %d", result, expected);
	if (!result)
		stream->removing = 1;
	sim_step();
}

void app_pause_or_resume(void)
{
	struct app_stream *stream;
	int pause = sim_chance(50), result, expected;

	if (!app->stream_count)
		return;
	stream = &app->streams[sim_below(app->stream_count)];
	result = pause ? zrx_receiver_pause(app->receiver, stream->handle)
		       : zrx_receiver_resume(app->receiver, stream->handle);
	sim_trace("%s stream %u: %d", pause ? "pause" : "resume", (unsigned)(stream - app->streams),
		  result);
	if (!stream->live || stream->removing)
		expected = -ENOENT;
	else
		expected = (int)stream->paused == pause ? -EALREADY : 0;
	/* A stream whose last event waits is over already. */
	if (result != expected && !(result == -ENOENT && stream->live))
		sim_fail("%s gives %d, expected %d", pause ? "pause" : "resume", result, expected);
	if (!result)
		stream->paused = (uint32_t)pause;
	sim_step();
}

/* ---- events ---- */

static struct app_stream *event_stream(const struct zrx_event *event)
{
	struct app_stream *stream = NULL;

	for (uint32_t i = app->stream_count; i-- > 0 && !stream;)
		if (app->streams[i].handle == event->stream)
			stream = &app->streams[i];
	if (!stream || stream->tag != event->tag)
		sim_fail("an event of stream %llx, tag %llu, which was never added",
			 (unsigned long long)event->stream, (unsigned long long)event->tag);
	if (!stream->live)
		sim_fail("an event (kind %u) of stream %llu after its last one", event->kind,
			 (unsigned long long)event->tag);
	return stream;
}

static void check_data(struct app_stream *stream, const struct zrx_event *event)
{
	const struct zrx_buffer *buffer = &event->buffer;
	uint64_t offset = stream->start + stream->received;

	if (!buffer->length || buffer->offset >= app->area_most ||
	    buffer->length > app->area_most - buffer->offset || buffer->reserved || event->flags ||
	    event->error || (const uint8_t *)buffer->data - buffer->offset != app->area->base)
		sim_fail("a malformed data event: offset %llu, length %u",
			 (unsigned long long)buffer->offset, buffer->length);
	if (!sim_payload_is(stream->socket, offset, buffer->data, buffer->length))
		sim_fail("stream %u: %u bytes at %llu are not what was sent",
			 (unsigned)(stream - app->streams), buffer->length,
			 (unsigned long long)offset);
	stream->received += buffer->length;
	if (stream->limit && stream->received > stream->limit)
		sim_fail("stream %u: %llu bytes, and the limit is %llu",
			 (unsigned)(stream - app->streams), (unsigned long long)stream->received,
			 (unsigned long long)stream->limit);
	app->area = buffer->area;
	app->bytes += buffer->length;
	app->buffers++;
	app_hold(buffer, stream->socket, offset);
}

static void check_end(struct app_stream *stream, const struct zrx_event *event)
{
	const struct sim_socket *socket = stream->socket;
	uint64_t position = stream->start + stream->received;
	int expected = 0;

	if (position != socket->consumed)
		sim_fail("stream %u ends at %llu, and %llu bytes were read from its socket",
			 (unsigned)(stream - app->streams), (unsigned long long)position,
			 (unsigned long long)socket->consumed);
	if (socket->requests || socket->descriptors != (app_fds[app_number(socket)] >= 0))
		sim_fail("stream %u is over, and the kernel holds %u requests and %u descriptors "
			 "of its socket",
			 (unsigned)(stream - app->streams), socket->requests, socket->descriptors);
	if (event->kind == ZRX_EVENT_ERROR)
		expected = event->error == -ECONNRESET && socket->finish == SIM_FINISH_RESET &&
			   position == socket->total;
	else if (event->flags == ZRX_END_LIMIT)
		expected = stream->limit && stream->received == stream->limit;
	else if (event->flags == ZRX_END_REMOVED)
		expected = stream->removing;
	else if (!event->flags)
		expected = socket->finished && socket->finish == SIM_FINISH_FIN &&
			   position == socket->total;
	if (!expected)
		sim_fail("stream %u: kind %u, flags %u, error %d after %llu bytes of %llu, limit "
			 "%llu",
			 (unsigned)(stream - app->streams), event->kind, event->flags, event->error,
			 (unsigned long long)position, (unsigned long long)socket->total,
			 (unsigned long long)stream->limit);
	stream->live = 0;
	app->live--;
	app->ended++;
}

static void check_event(const struct zrx_event *event)
{
	struct app_stream *stream;

	sim_progressed();
	if (event->kind == ZRX_EVENT_ADDED) {
		app_group_added(event);
		return;
	}
	if (event->kind == ZRX_EVENT_ERROR && !event->stream) {
		app_group_refused(event);
		return;
	}
	stream = event_stream(event);
	sim_trace("event: stream %u, kind %u, flags %u, error %d, %u bytes at %llu",
		  (unsigned)(stream - app->streams), event->kind, event->flags, event->error,
		  event->buffer.length, (unsigned long long)event->buffer.offset);
	switch (event->kind) {
	case ZRX_EVENT_DATA:
		check_data(stream, event);
		break;
	case ZRX_EVENT_END:
	case ZRX_EVENT_ERROR:
		if (event->buffer.area)
			sim_fail("the last event carries a buffer");
		check_end(stream, event);
		break;
	default:
		sim_fail("an event of kind %u", event->kind);
	}
}

/* ---- receive ---- */

static int receive(struct zrx_event *events, uint32_t capacity, int64_t timeout_ns)
{
	int count;

	sim_turns_restart();
	app->receiving = 1;
	count = zrx_receiver_receive(app->receiver, events, capacity, timeout_ns);
	app->receiving = 0;
	app->broken |= count == -EBADR && sim_uring.cq_overflow;
	sim_trace("receive of %u, timeout %lld: %d", capacity, (long long)timeout_ns, count);
	sim_step();
	if (count > (int)capacity)
		sim_fail("receive of %u gives %d", capacity, count);
	if (count < 0 && !(count == -EINTR && sim.kernel.interrupted) &&
	    !(count == -ENOMEM && sim.kernel.short_memory) &&
	    !(count == -ENOBUFS && !zrx_holds_room(&app->area->holds) &&
	      (app->view_count || app->releasing)) &&
	    !app->broken)
		sim_fail("receive gives %d", count);
	for (int i = 0; i < count; i++)
		check_event(&events[i]);
	return count;
}

void app_receive(int64_t timeout_ns)
{
	struct zrx_event events[APP_BATCH];

	receive(events, sim_between(1, app->capacity), timeout_ns);
	app_check_stats();
}

void app_wait_for_descriptor(void)
{
	struct zrx_event events[APP_BATCH];
	uint32_t capacity = sim_between(1, app->capacity);
	int fd = zrx_receiver_fd(app->receiver), count;

	while ((count = receive(events, capacity, 0)) == (int)capacity) {
		if (app->view_count > APP_VIEWS / 2)
			app_release(app->view_count);
	}
	app_check_stats();
	if (sim_fd_poll(fd) || app->broken)
		return;
	if (count == -ENOMEM || count == -ENOBUFS)
		sim_fail("what there was no room for waits, and the descriptor is silent");
	sim_world_sleeps(sim_uring_next_timer());
	app_group_sleeps();
	while (!sim_fd_wakes_sleeper(fd)) {
		uint64_t next = sim_timer_next(sim_uring_next_timer());

		if (sim_world_step())
			continue;
		/* Looked at last: a real thread may have signalled, and be done, since. */
		sim_uring_work();
		if (sim_fd_wakes_sleeper(fd))
			break;
		if (next > sim.now_ns) {
			sim.now_ns = next;
			sim_uring_work();
		} else if (app_owed()) {
			sim_fail("the descriptor never becomes readable, but %s", app_owed());
		} else {
			return;
		}
	}
}

/* What the streams hold. Others that release at this moment change it. */
static void check_windows(const struct zrx_stats *stats)
{
	uint64_t held = 0, resting = 0;

	for (uint32_t i = 0; i < app->stream_count; i++) {
		struct zrx_stream_stats of = ZRX_STREAM_STATS_INIT;
		const struct app_stream *stream = &app->streams[i];

		if (!stream->live)
			continue;
		if (zrx_stream_stats(app->receiver, stream->handle, &of))
			sim_fail("stream %u is added, and has no figures", i);
		held += of.held_bytes;
		resting += of.paused || of.at_window;
		if (of.bytes != stream->received)
			sim_fail("stream %u: %llu bytes are counted, and %llu came", i,
				 (unsigned long long)of.bytes,
				 (unsigned long long)stream->received);
		if (of.paused != stream->paused && !stream->removing && of.at_window + of.paused)
			sim_fail("stream %u: paused by hand is %u, and %u is told", i,
				 stream->paused, of.paused);
		/* One that asks for each receive anew never passes its window. */
		if (app->engine == ZRX_ENGINE_RECV && stream->window &&
		    of.held_bytes > stream->window)
			sim_fail("stream %u holds %llu bytes, and its window is %llu", i,
				 (unsigned long long)of.held_bytes,
				 (unsigned long long)stream->window);
	}
	if (held > stats->held_bytes || resting > stats->paused)
		sim_fail("stats: %llu bytes held, %llu paused; the streams' are %llu and %llu",
			 (unsigned long long)stats->held_bytes, (unsigned long long)stats->paused,
			 (unsigned long long)held, (unsigned long long)resting);
}

void app_check_stats(void)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	uint32_t most = app->view_count + app->releasing; /* others may release meanwhile */

	zrx_receiver_stats(app->receiver, &stats);
	if (stats.bytes != app->bytes || stats.buffers != app->buffers ||
	    stats.streams != app->live)
		sim_fail("stats: %llu bytes, %llu buffers, %llu streams; it was %llu, %llu, %u",
			 (unsigned long long)stats.bytes, (unsigned long long)stats.buffers,
			 (unsigned long long)stats.streams, (unsigned long long)app->bytes,
			 (unsigned long long)app->buffers, app->live);
	if (stats.outstanding < app->view_count || stats.outstanding > most ||
	    stats.released != app->buffers - stats.outstanding)
		sim_fail("stats: %llu buffers outstanding, %u views are held",
			 (unsigned long long)stats.outstanding, app->view_count);
	if (stats.parked > stats.streams || !stats.parked != !stats.stall)
		sim_fail("stats: %llu parked of %llu, stall %u", (unsigned long long)stats.parked,
			 (unsigned long long)stats.streams, stats.stall);
	if (stats.area_bytes < app->area_bytes || stats.area_bytes > app->area_most)
		sim_fail("stats: the area has %llu bytes", (unsigned long long)stats.area_bytes);
	check_windows(&stats);
}
