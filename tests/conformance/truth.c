/* SPDX-License-Identifier: MIT */
#include "truth.h"
#include "verdict.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* What may lie in multishot's ring of buffers when a stream pauses: so many bytes, or so many
 * chunks for each stream, if that is more. */
#define OVERSHOOT        (1u << 20)
#define OVERSHOOT_CHUNKS 4
#define COPY_CHUNK       65536
#define LOOKS            100
#define LOOK_US          10000

static uint64_t named_window(const struct scenario *s)
{
	return s->stream_window_bytes && !*s->refuse ? s->stream_window_bytes : s->window_bytes;
}

static uint64_t overshoot(const struct run *run)
{
	const struct scenario *s = run->scenario;
	const char *engine = run->setup->engine;
	uint64_t chunk = s->buffer_bytes ? s->buffer_bytes : COPY_CHUNK;
	uint64_t many = OVERSHOOT_CHUNKS * chunk * s->connections;

	if (strcmp(engine, "multishot") && strcmp(engine, "auto"))
		return 0;
	return many > OVERSHOOT ? many : OVERSHOOT;
}

/* What a window's memory may be beyond its bytes: the kernel is asked for bytes, and chunks may be
 * filled in part. */
static uint64_t slack(const struct run *run, uint64_t window)
{
	return strncmp(run->setup->engine, "zcrx", 4) ? 0 : window / 2;
}

void truth_check_window(const struct run *run, uint64_t number, uint64_t out)
{
	uint64_t window = named_window(run->scenario);

	CHECK(!window || out <= window + overshoot(run),
	      "stream %" PRIu64 ": %" PRIu64 " bytes out, window %" PRIu64, number, out, window);
}

const char *truth_stream_stats(struct run *run, uint64_t number)
{
	const char *stats;
	int result = call(run_owner(run), NULL, NULL, &stats, "stream-stats %" PRIu64, number);

	CHECK(result == 0, "stream-stats: %s: %.400s", strerror(-result), stats);
	return stats;
}

uint64_t truth_paused(struct run *run)
{
	return stats_value(run_read_stats(run), "paused");
}

/* Returns what the stream holds, as it says. */
static uint64_t check_stream(struct run *run, uint64_t number, uint64_t *resting)
{
	const struct stream *stream = &run->ledger.streams[number];
	const char *stats = truth_stream_stats(run, number);
	uint64_t bytes = stats_value(stats, "bytes"), held = stats_value(stats, "held_bytes");
	uint64_t window = stats_value(stats, "window_bytes"), named = named_window(run->scenario);
	uint64_t at_window = stats_value(stats, "at_window");
	uint64_t by_hand = stats_value(stats, "paused");
	uint64_t out = keeper_out(&run->keeper, number);

	CHECK(bytes == stream->received || (run->judge->ahead && bytes > stream->received),
	      "stream %" PRIu64 ": its stats say %" PRIu64 " bytes, received %" PRIu64, number,
	      bytes, stream->received);
	CHECK(held >= out,
	      "stream %" PRIu64 ": its stats say %" PRIu64 " held bytes, %" PRIu64 " are out",
	      number, held, out);
	CHECK(out || run->judge->ahead || !held,
	      "stream %" PRIu64 ": its stats say %" PRIu64 " held bytes, none are out", number,
	      held);
	CHECK(!named || window == named,
	      "stream %" PRIu64 ": its stats say window %" PRIu64 ", not %" PRIu64, number, window,
	      named);
	CHECK(!named || held <= named + overshoot(run) + slack(run, named),
	      "stream %" PRIu64 ": holds %" PRIu64 " bytes, window %" PRIu64, number, held, window);
	CHECK(by_hand == (uint64_t)stream->by_hand,
	      "stream %" PRIu64 ": its stats say paused %" PRIu64 ", not %d", number, by_hand,
	      stream->by_hand);
	*resting += at_window || by_hand;
	return held;
}

/* What the receiver says, and what its streams say one after the other. */
struct account {
	uint64_t held, paused;
	uint64_t sum, resting;
	uint64_t rest; /* out, of streams that have ended: known by its bytes, not by its chunks */
};

static struct account look(struct run *run)
{
	struct account account = {0};
	const char *stats;

	for (uint64_t i = 0; i < run->scenario->connections; i++) {
		if (run->ledger.streams[i].ended)
			account.rest += keeper_out(&run->keeper, i);
		else if (*run->ledger.streams[i].handle)
			account.sum += check_stream(run, i, &account.resting);
	}
	stats = run_read_stats(run);
	account.held = stats_value(stats, "held_bytes");
	account.paused = stats_value(stats, "paused");
	return account;
}

static int holds_what_its_streams_hold(const struct account *account)
{
	if (account->rest)
		return account->held >= account->sum + account->rest;
	return account->held == account->sum;
}

void truth_check(struct run *run)
{
	struct account account = look(run);

	/* Who receives ahead does so between two looks, too. */
	for (int i = 0; run->judge->ahead && i < LOOKS; i++) {
		if (holds_what_its_streams_hold(&account) && account.paused == account.resting)
			break;
		usleep(LOOK_US);
		account = look(run);
	}
	CHECK(holds_what_its_streams_hold(&account),
	      "stats: %" PRIu64 " held bytes, of the streams %" PRIu64 ", of ended ones %" PRIu64,
	      account.held, account.sum, account.rest);
	CHECK(account.paused == account.resting, "stats: %" PRIu64 " paused, not %" PRIu64,
	      account.paused, account.resting);
}
