/* SPDX-License-Identifier: MIT */
#include "by_hand.h"
#include "truth.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUIET_MS 50

/* The request on this stream must fail so. */
static void check_fails(struct run *run, const char *request, uint64_t number, int error)
{
	const char *text;
	int result = call(run_owner(run), NULL, NULL, &text, "%s %" PRIu64, request, number);

	CHECK(result == -error, "%s of stream %" PRIu64 ": %s, not %s", request, number,
	      result ? strerror(-result) : "ok", strerror(error));
}

static int is_due(struct run *run, uint64_t number)
{
	uint64_t at = run->scenario->hand_pause_at;

	if (at != SCENARIO_WINDOW)
		return run->ledger.streams[number].received >= at;
	return run->quiet && stats_value(truth_stream_stats(run, number), "at_window");
}

void by_hand_pause(struct run *run)
{
	const struct scenario *s = run->scenario;

	if (s->hand_pause_at == SCENARIO_NEVER)
		return;
	for (uint64_t i = 0; i < run->ledger.added && i < s->hand_pause_streams; i++) {
		struct stream *stream = &run->ledger.streams[i];

		if (stream->ended || stream->by_hand || stream->rested || !is_due(run, i))
			continue;
		call_ok(run_owner(run), "pause %" PRIu64, i);
		check_fails(run, "pause", i, EALREADY);
		stream->by_hand = 1;
	}
}

/* Receive until nothing has come for so long; no end may. */
static void receive_until_quiet(struct run *run)
{
	uint64_t quiet_since = now_ms(), ended = run->ledger.ended;

	while (now_ms() - quiet_since < run->scenario->hand_pause_ms) {
		run_receive(run, QUIET_MS);
		run_release(run);
		if (run->batch)
			quiet_since = now_ms();
		CHECK(run->ledger.ended == ended, "a stream ended while it was paused by hand");
	}
	keeper_drain(&run->keeper);
	run_receive(run, 0);
	CHECK(!run->batch, "bytes of a stream that was paused by hand, after a pause");
}

static void go_on(struct run *run, uint64_t number)
{
	struct stream *stream = &run->ledger.streams[number];
	uint64_t bytes = scenario_bytes(run->scenario, number);

	CHECK(!bytes || stream->received < bytes,
	      "stream %" PRIu64 ": all of its %" PRIu64
	      " bytes came although it was paused by hand",
	      number, bytes);
	stream->by_hand = 0;
	stream->rested = 1;
	if (run->scenario->hand_pause_then == THEN_RESUME) {
		call_ok(run_owner(run), "resume %" PRIu64, number);
		check_fails(run, "resume", number, EALREADY);
	} else if (run->scenario->hand_pause_then == THEN_REMOVE) {
		run_remove(run, number);
	} else {
		run->over = 1;
	}
}

void by_hand_rest(struct run *run)
{
	uint64_t resting = 0;

	for (uint64_t i = 0; i < run->ledger.added; i++)
		resting += run->ledger.streams[i].by_hand;
	if (!resting || run->ledger.ended + resting < run->ledger.added)
		return;
	run->resting = 0;
	receive_until_quiet(run);
	truth_check(run);
	for (uint64_t i = 0; i < run->ledger.added; i++)
		if (run->ledger.streams[i].by_hand)
			go_on(run, i);
}

void by_hand_check_ended(struct run *run)
{
	static const char *const requests[] = {"pause", "resume", "stream-stats"};

	for (uint64_t i = 0; i < run->ledger.added; i++)
		for (size_t j = 0; j < sizeof(requests) / sizeof(requests[0]); j++)
			if (run->ledger.streams[i].ended)
				check_fails(run, requests[j], i, ENOENT);
}
