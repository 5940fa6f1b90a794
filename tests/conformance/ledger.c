/* SPDX-License-Identifier: MIT */
#include "ledger.h"
#include "payload.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void ledger_open(struct ledger *ledger, const struct scenario *scenario)
{
	*ledger = (struct ledger){.scenario = scenario};
	ledger->streams = calloc(scenario->connections, sizeof(*ledger->streams));
	CHECK(ledger->streams, "no memory for %" PRIu64 " streams", scenario->connections);
}

void ledger_close(struct ledger *ledger)
{
	free(ledger->streams);
}

static void take_data(struct ledger *ledger, struct stream *stream, const struct zrx_event *event)
{
	const struct zrx_buffer *buffer = &event->buffer;
	size_t good;

	CHECK(buffer->area && buffer->data && buffer->length,
	      "stream %" PRIu64 ": empty data event", event->tag);
	CHECK(!event->error && !event->flags && !buffer->reserved,
	      "stream %" PRIu64 ": data event with error, flags or reserved bytes", event->tag);
	good = payload_check(buffer->data, buffer->length, ledger->scenario->seed, event->tag,
			     stream->received);
	CHECK(good == buffer->length,
	      "stream %" PRIu64 ": wrong byte at offset %" PRIu64 " (buffer of %u at %" PRIu64
	      ", its byte %zu)",
	      event->tag, stream->received + good, buffer->length, stream->received, good);
	stream->received += buffer->length;
	ledger->bytes += buffer->length;
	ledger->buffers++;
}

uint64_t ledger_take(struct ledger *ledger, const struct zrx_event *event)
{
	struct stream *stream;
	uint64_t offset;

	CHECK(event->tag < ledger->added, "event with unknown tag %" PRIu64, event->tag);
	stream = &ledger->streams[event->tag];
	offset = stream->received;
	CHECK(event->stream == stream->handle, "stream %" PRIu64 ": event of another handle",
	      event->tag);
	CHECK(!stream->ended, "stream %" PRIu64 ": event of kind %u after its end", event->tag,
	      event->kind);
	if (event->kind == ZRX_EVENT_DATA) {
		take_data(ledger, stream, event);
		return offset;
	}
	CHECK(event->kind == ZRX_EVENT_END || event->kind == ZRX_EVENT_ERROR,
	      "event of unknown kind %u", event->kind);
	CHECK(!event->buffer.area, "stream %" PRIu64 ": its end carries a buffer", event->tag);
	stream->ended = 1;
	stream->end_kind = event->kind;
	stream->end_flags = event->flags;
	stream->end_error = event->error;
	ledger->ended++;
	return offset;
}

static void check_end(const struct stream *stream, uint64_t number, enum end_kind end)
{
	static const struct {
		uint16_t kind, flags;
		int32_t error;
	} wanted[] = {
		[END_FIN] = {ZRX_EVENT_END, 0, 0},
		[END_LIMIT] = {ZRX_EVENT_END, ZRX_END_LIMIT, 0},
		[END_REMOVED] = {ZRX_EVENT_END, ZRX_END_REMOVED, 0},
		[END_RESET] = {ZRX_EVENT_ERROR, 0, -ECONNRESET},
		[END_NONE] = {0, 0, 0},
	};

	CHECK(stream->end_kind == wanted[end].kind && stream->end_flags == wanted[end].flags &&
		      stream->end_error == wanted[end].error,
	      "stream %" PRIu64 " after %" PRIu64
	      " bytes: event %u flags %u error %d, not event %u "
	      "flags %u error %d",
	      number, stream->received, stream->end_kind, stream->end_flags, stream->end_error,
	      wanted[end].kind, wanted[end].flags, wanted[end].error);
}

void ledger_check(const struct ledger *ledger)
{
	const struct scenario *s = ledger->scenario;
	uint64_t exact = s->limit && s->limit < s->bytes ? s->limit : s->bytes;

	for (uint64_t i = 0; i < ledger->added; i++) {
		const struct stream *stream = &ledger->streams[i];

		check_end(stream, i, s->end);
		CHECK(s->prefix ? stream->received <= exact : stream->received == exact,
		      "stream %" PRIu64 ": %" PRIu64 " bytes, not %" PRIu64, i, stream->received,
		      exact);
	}
}

void ledger_check_rest(const struct ledger *ledger)
{
	for (uint64_t i = 0; i < ledger->added; i++) {
		const struct stream *stream = &ledger->streams[i];

		if (ledger->scenario->rest == REST_ADD)
			check_end(stream, i, END_FIN);
		CHECK(stream->received == ledger->scenario->bytes,
		      "stream %" PRIu64 ": %" PRIu64 " bytes with the rest, not %" PRIu64, i,
		      stream->received, ledger->scenario->bytes);
	}
}

#define FIELD(name)                                     \
	{                                               \
#name, offsetof(struct zrx_stats, name) \
	}
static const struct {
	const char *name;
	size_t at;
} fields[] = {
	FIELD(bytes),
	FIELD(buffers),
	FIELD(released),
	FIELD(parks),
	FIELD(rearms_ring_full),
	FIELD(rearms_no_buffer),
	FIELD(rearms_silent),
	FIELD(rearms_interrupted),
	FIELD(backlog_high),
	FIELD(flushes),
	FIELD(copied_bytes),
	FIELD(waits),
	FIELD(wakes),
};

static uint64_t field_value(const struct zrx_stats *stats, const char *name, size_t length)
{
	uint64_t value;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strlen(fields[i].name) == length && !memcmp(fields[i].name, name, length)) {
			memcpy(&value, (const char *)stats + fields[i].at, sizeof(value));
			return value;
		}
	}
	fail("at_least: no such field: %.*s", (int)length, name);
}

static void check_at_least(const struct zrx_stats *stats, const char *list)
{
	while (*list) {
		size_t length = strcspn(list, ":");
		char *end;
		uint64_t value = field_value(stats, list, length);
		uint64_t minimum = strtoull(list + length + 1, &end, 10);

		CHECK(value >= minimum, "%.*s is %" PRIu64 ", not at least %" PRIu64, (int)length,
		      list, value, minimum);
		list = end + (*end == ',');
	}
}

void ledger_check_stats(const struct ledger *ledger, const struct zrx_stats *stats,
			uint64_t outstanding)
{
	CHECK(stats->bytes == ledger->bytes, "stats: %" PRIu64 " bytes, received %" PRIu64,
	      stats->bytes, ledger->bytes);
	CHECK(stats->buffers == ledger->buffers, "stats: %" PRIu64 " buffers, received %" PRIu64,
	      stats->buffers, ledger->buffers);
	CHECK(stats->outstanding == outstanding, "stats: %" PRIu64 " outstanding, not %" PRIu64,
	      stats->outstanding, outstanding);
	CHECK(stats->released == stats->buffers - outstanding,
	      "stats: %" PRIu64 " released of %" PRIu64 " with %" PRIu64 " out", stats->released,
	      stats->buffers, outstanding);
	CHECK(stats->backlog <= stats->released,
	      "stats: backlog %" PRIu64 " of %" PRIu64 " released", stats->backlog,
	      stats->released);
	CHECK(stats->streams == ledger->added - ledger->ended,
	      "stats: %" PRIu64 " streams, not %" PRIu64, stats->streams,
	      ledger->added - ledger->ended);
	CHECK(ledger->ended < ledger->added || !stats->parked,
	      "stats: %" PRIu64 " parked at the end", stats->parked);
	check_at_least(stats, ledger->scenario->at_least);
}
