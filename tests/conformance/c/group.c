/* SPDX-License-Identifier: MIT */
#include "group.h"
#include "connections.h"
#include "views.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVERS 8
#define PORTS     65536 /* connections that the group accepts are called by their peers' */

/* What a channel knows of its receiver: the connection of each stream, by the handle's index. */
struct member {
	uint64_t *numbers;
	uint64_t count;
	struct zrx_event *events;
};

static struct zrx_group *group;
static struct member members[RECEIVERS];

int group_is_open(void)
{
	return group != NULL;
}

static void fail_with(FILE *out, int result, const struct zrx_error *error)
{
	fprintf(out, "failed %d %s (%s; %s) Hint: %s\n", -result, error->message,
		zrx_stage_name(error->stage), error->kernel_text, error->hint);
}

/* group COUNT KEY=VALUE... */
void group_open(FILE *out, int channel, char *words)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = ZRX_INFO_INIT;
	uint64_t batch = 64;
	char *keys;
	int result;

	(void)channel;
	options.count = (uint32_t)strtoul(words, &keys, 10);
	options_read(keys, &receiver, &batch, &options);
	options.receiver = &receiver;
	result = zrx_group_open(&group, &options, &error);
	if (result < 0) {
		fail_with(out, result, &error);
		return;
	}
	/* Not to be moved while several threads count in it. */
	connections_reserve(PORTS);
	for (uint32_t i = 0; i < options.count; i++)
		members[i].events = calloc(batch, sizeof(struct zrx_event));
	zrx_receiver_info(zrx_group_receiver(group, 0), &info);
	answer(out, 0, zrx_engine_name(info.engine));
}

/* group-add NUMBER LIMIT */
void group_add(FILE *out, int channel, char *words)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	char *limit;
	int result;

	(void)channel;
	options.tag = strtoull(words, &limit, 10);
	options.limit_bytes = strtoull(limit, NULL, 10);
	result = zrx_group_add(group, connection_at(options.tag)->fd, &options, &error);
	if (result < 0)
		fail_with(out, result, &error);
	else
		answer(out, 0, NULL);
}

/* group-listen TAG */
void group_listen(FILE *out, int channel, char *words)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	(void)channel;
	options.tag = strtoull(words, NULL, 10);
	result = zrx_group_listen(group, LISTENER, &options, &error);
	if (result < 0)
		fail_with(out, result, &error);
	else
		answer(out, 0, NULL);
}

void group_stats(FILE *out, int channel, char *words)
{
	struct zrx_group_stats s = ZRX_GROUP_STATS_INIT;
	struct zrx_stats sum = ZRX_STATS_INIT;
	int result;

	(void)channel, (void)words;
	s.sum = &sum;
	result = zrx_group_stats(group, &s);
	if (result < 0) {
		answer(out, result, NULL);
		return;
	}
	fprintf(out,
		"ok receiver_count=%u waiting=%u accepted=%" PRIu64 " added=%" PRIu64
		" handed_over=%" PRIu64 " copied=%" PRIu64 " refused=%" PRIu64
		" inbox_full=%" PRIu64 " accept_retries=%" PRIu64 " sum_bytes=%" PRIu64
		" sum_buffers=%" PRIu64 " sum_released=%" PRIu64 " sum_outstanding=%" PRIu64
		" sum_streams=%" PRIu64 "\n",
		s.receiver_count, s.waiting, s.accepted, s.added, s.handed_over, s.copied,
		s.refused, s.inbox_full, s.accept_retries, sum.bytes, sum.buffers, sum.released,
		sum.outstanding, sum.streams);
}

/* ---- events ---- */

static uint64_t *number_of(struct member *member, uint64_t handle)
{
	uint64_t index = (uint32_t)handle;

	if (index >= member->count) {
		uint64_t count = index + 256;

		member->numbers = realloc(member->numbers, count * sizeof(*member->numbers));
		if (!member->numbers)
			abort();
		member->count = count;
	}
	return &member->numbers[index];
}

static const char *flags_of(const struct zrx_event *event)
{
	static const char *const words[] = {"-", "accepted", "copied", "accepted,copied"};

	if (event->flags == ZRX_ADDED_LISTENER)
		return "listener";
	return event->flags < sizeof(words) / sizeof(words[0]) ? words[event->flags] : "odd";
}

static uint64_t port_of_peer(int fd)
{
	struct sockaddr_in address = {0};
	socklen_t length = sizeof(address);

	/* Both families have the port in the same place. */
	getpeername(fd, (struct sockaddr *)&address, &length);
	return ntohs(address.sin_port);
}

static void report_added(FILE *out, struct member *member, const struct zrx_event *event)
{
	uint64_t number = event->tag;

	if (event->flags & ZRX_ADDED_ACCEPTED) {
		number = port_of_peer(event->error);
		close(event->error);
		connection_at(number)->place = number;
	} else if (event->error != connection_at(number)->fd) {
		fprintf(out, "odd descriptor %d\n", event->error);
	}
	*number_of(member, event->stream) = number;
	fprintf(out, "added %" PRIx64 " %" PRIu64 " %" PRIu64 " %s\n", event->stream, number,
		event->tag, flags_of(event));
}

static void report_data(FILE *out, uint64_t number, const struct zrx_event *event, int hold)
{
	const struct zrx_buffer *buffer = &event->buffer;
	struct stream *stream = connection_at(number);
	uint64_t place = stream->place;

	stream->place += buffer->length;
	fprintf(out, "data %" PRIx64 " %" PRIu64 " %u %zu %" PRIu64 "\n", event->stream, number,
		buffer->length, views_check(buffer->data, buffer->length, place),
		hold ? views_keep(buffer, place) : 0);
}

static void report_event(FILE *out, struct member *member, const struct zrx_event *event, int hold)
{
	static const char *const ends[] = {
		[0] = "peer", [ZRX_END_LIMIT] = "limit", [ZRX_END_REMOVED] = "removed"};
	uint64_t number = event->stream && event->kind != ZRX_EVENT_ADDED
				  ? *number_of(member, event->stream)
				  : 0;

	if (event->kind == ZRX_EVENT_ADDED)
		report_added(out, member, event);
	else if (event->kind == ZRX_EVENT_DATA && !event->flags && !event->error)
		report_data(out, number, event, hold);
	else if (event->kind == ZRX_EVENT_END && event->flags <= ZRX_END_REMOVED)
		fprintf(out, "end %" PRIx64 " %" PRIu64 " %s\n", event->stream, number,
			ends[event->flags]);
	else if (event->kind == ZRX_EVENT_ERROR && event->stream)
		fprintf(out, "error %" PRIx64 " %" PRIu64 " %d\n", event->stream, number,
			-event->error);
	else if (event->kind == ZRX_EVENT_ERROR)
		fprintf(out, "refused %" PRIu64 " %d %s\n", event->tag, -event->error,
			flags_of(event));
	else
		fprintf(out, "odd %u,%u,%d\n", event->kind, event->flags, event->error);
}

/* receive CAPACITY TIMEOUT_MS hold|use */
void group_receive(FILE *out, int channel, char *words)
{
	struct member *member = &members[channel];
	char *timeout, *mode;
	uint32_t capacity = (uint32_t)strtoul(words, &timeout, 10);
	int64_t timeout_ms = strtoll(timeout, &mode, 10);
	int hold = !strcmp(mode, " hold"), result = 0;
	int count = zrx_receiver_receive(zrx_group_receiver(group, (uint32_t)channel),
					 member->events, capacity, timeout_ms * 1000000);

	for (int i = 0; i < count; i++)
		report_event(out, member, &member->events[i], hold);
	if (count > 0 && !hold)
		result = zrx_event_release(member->events, (uint32_t)count);
	answer(out, count < 0 ? count : result, NULL);
}

/* ---- leave and close ---- */

static void answer_closed(FILE *out, int result)
{
	answer(out, result, result == ZRX_CLOSE_DEFERRED ? "deferred" : result ? NULL : "done");
}

void group_leave(FILE *out, int channel, char *words)
{
	(void)words;
	answer_closed(out, zrx_receiver_close(zrx_group_receiver(group, (uint32_t)channel)));
}

void group_close(FILE *out, int channel, char *words)
{
	(void)channel, (void)words;
	answer_closed(out, zrx_group_close(group));
	group = NULL;
	for (int i = 0; i < RECEIVERS; i++) {
		free(members[i].numbers);
		free(members[i].events);
		members[i] = (struct member){0};
	}
}
