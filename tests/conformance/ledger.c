/* SPDX-License-Identifier: MIT */
#include "ledger.h"
#include "verdict.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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

/* ---- events ---- */

static void take_data(struct ledger *ledger, struct stream *stream, const char *line,
		      struct held *item)
{
	uint64_t length, good;
	int words = sscanf(line, "data %*s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
			   &item->stream, &length, &good, &item->id);

	CHECK(words == 4 && length, "stream %" PRIu64 ": empty data event: %.200s", item->stream,
	      line);
	item->offset = stream->received;
	CHECK(good == length,
	      "stream %" PRIu64 ": wrong byte at offset %" PRIu64 " (buffer of %" PRIu64
	      " at %" PRIu64 ", its byte %" PRIu64 ")",
	      item->stream, item->offset + good, length, item->offset, good);
	item->length = length;
	stream->received += length;
	ledger->bytes += length;
	ledger->buffers++;
}

/* What the table calls the end that the words mean. */
static void name_end(char *how, const char *kind, const char *value)
{
	static const char *const names[][3] = {
		{"end", "peer", "fin"},
		{"end", "limit", "limit"},
		{"end", "removed", "removed"},
	};

	snprintf(how, WORD, "%.5s %.30s", kind, value);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(kind, names[i][0]) && !strcmp(value, names[i][1]))
			snprintf(how, WORD, "%s", names[i][2]);
	if (!strcmp(kind, "error") && atoi(value) == ECONNRESET)
		snprintf(how, WORD, "reset");
}

int ledger_take(struct ledger *ledger, const char *line, struct held *item)
{
	char kind[WORD], handle[WORD], value[WORD];
	struct stream *stream;
	uint64_t tag;

	CHECK(sscanf(line, "%39s %39s %" SCNu64 " %39s", kind, handle, &tag, value) == 4,
	      "receive: answered by: %.200s", line);
	CHECK(tag < ledger->scenario->connections && *ledger->streams[tag].handle,
	      "event with unknown tag: %.200s", line);
	stream = &ledger->streams[tag];
	CHECK(!strcmp(handle, stream->handle), "stream %" PRIu64 ": event of another handle", tag);
	CHECK(!stream->ended, "stream %" PRIu64 ": event after its end: %.200s", tag, line);
	if (!strcmp(kind, "data")) {
		take_data(ledger, stream, line, item);
		return 1;
	}
	CHECK(!strcmp(kind, "end") || !strcmp(kind, "error"), "event of unknown kind: %.200s",
	      line);
	stream->ended = 1;
	name_end(stream->how, kind, value);
	ledger->ended++;
	return 0;
}

void ledger_leave(struct ledger *ledger, uint64_t number)
{
	struct stream *stream = &ledger->streams[number];

	CHECK(!stream->ended, "stream %" PRIu64 ": over after %" PRIu64 " bytes, by \"%s\"", number,
	      stream->received, stream->how);
	stream->left = stream->ended = 1;
	ledger->ended++;
}

/* ---- what must come out ---- */

static void check_end(const struct stream *stream, uint64_t number, enum end_kind end)
{
	static const char *const wanted[] = {
		[END_FIN] = "fin",     [END_LIMIT] = "limit", [END_REMOVED] = "removed",
		[END_RESET] = "reset", [END_NONE] = "",
	};

	CHECK(!strcmp(stream->how, wanted[end]),
	      "stream %" PRIu64 " after %" PRIu64 " bytes: its end is \"%s\", not \"%s\"", number,
	      stream->received, stream->how, wanted[end]);
}

void ledger_check(const struct ledger *ledger)
{
	const struct scenario *s = ledger->scenario;

	for (uint64_t i = 0; i < ledger->added; i++) {
		const struct stream *stream = &ledger->streams[i];
		uint64_t all = scenario_bytes(s, i),
			 exact = s->limit && s->limit < all ? s->limit : all;

		if (stream->left) {
			CHECK(stream->received >= s->drop_at && stream->received <= exact,
			      "stream %" PRIu64 ": left after %" PRIu64 " bytes", i,
			      stream->received);
			continue;
		}
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

/* ---- counters ---- */

/* Where the word's value begins, if its name is the field; else NULL. */
static const char *value_of(const char *word, const char *field)
{
	for (; *field; word++, field++) {
		word += *word == '_';
		field += *field == '_';
		if (tolower((unsigned char)*word) != *field)
			return NULL;
	}
	return *word == '=' ? word + 1 : NULL;
}

/* The field's value, or NULL if the answer has no such field. */
static const char *find_value(const char *stats, const char *field)
{
	for (const char *word = stats; *word; word += strspn(word, " ")) {
		const char *value = value_of(word, field);

		if (value)
			return value;
		word += strcspn(word, " ");
	}
	return NULL;
}

uint64_t stats_value(const char *stats, const char *field)
{
	const char *value = find_value(stats, field);

	CHECK(value, "stats: no %s in: %.900s", field, stats);
	return strtoull(value, NULL, 10);
}

static void check_at_least(const char *stats, const char *list)
{
	while (*list) {
		char field[WORD];
		uint64_t minimum, value;
		int length = 0;

		CHECK(sscanf(list, "%39[^:]:%" SCNu64 "%n", field, &minimum, &length) == 2,
		      "at_least: %s", list);
		value = stats_value(stats, field);
		CHECK(value >= minimum, "%s is %" PRIu64 ", not at least %" PRIu64, field, value,
		      minimum);
		list += length + (list[length] == ',');
	}
}

void ledger_check_stats(struct ledger *ledger, const char *stats, uint64_t outstanding, int ahead)
{
	uint64_t bytes = stats_value(stats, "bytes"), buffers = stats_value(stats, "buffers");
	uint64_t out = stats_value(stats, "outstanding"), back = stats_value(stats, "released");
	uint64_t streams = stats_value(stats, "streams"), parked = stats_value(stats, "parked");

	/* What an iterator that was left had not handed out is counted, or it counted for itself.
	 */
	if (ledger->scenario->drop_at != SCENARIO_NEVER) {
		ledger->bytes = bytes;
		ledger->buffers = buffers;
	}
	if (ahead && bytes >= ledger->bytes && buffers >= ledger->buffers) {
		outstanding += buffers - ledger->buffers;
		ledger->bytes = bytes;
		ledger->buffers = buffers;
	}
	CHECK(bytes == ledger->bytes, "stats: %" PRIu64 " bytes, received %" PRIu64, bytes,
	      ledger->bytes);
	CHECK(buffers == ledger->buffers, "stats: %" PRIu64 " buffers, received %" PRIu64, buffers,
	      ledger->buffers);
	CHECK(out == outstanding, "stats: %" PRIu64 " outstanding, not %" PRIu64, out, outstanding);
	CHECK(back == buffers - outstanding,
	      "stats: %" PRIu64 " released of %" PRIu64 " with %" PRIu64 " out", back, buffers,
	      outstanding);
	CHECK(stats_value(stats, "backlog") <= back, "stats: more backlog than releases");
	CHECK(streams == ledger->added - ledger->ended, "stats: %" PRIu64 " streams, not %" PRIu64,
	      streams, ledger->added - ledger->ended);
	CHECK(ledger->ended < ledger->added || !parked, "stats: %" PRIu64 " parked at the end",
	      parked);
	/* A language whose garbage collector gives back what a program forgets counts that. */
	CHECK(!find_value(stats, "forgotten") || !stats_value(stats, "forgotten"),
	      "stats: buffers were forgotten");
	check_at_least(stats, ledger->scenario->at_least);
}
