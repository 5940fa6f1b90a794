/* SPDX-License-Identifier: MIT */
#include "stalled.h"
#include "thread.h"
#include "truth.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUIET_MS   100
#define REST_MS    15000 /* within which all rest that must */
#define SLOWEST    4     /* times the time alone; what is fair, bench/ measures */
#define SLACK_MS   3000  /* for what is short */
#define RELEASE_MS 100   /* the owner sleeps by then */

static void check_no_stalled_ended(const struct run *run)
{
	for (uint64_t i = 0; i < run->scenario->stalled; i++)
		CHECK(!run->ledger.streams[i].ended,
		      "stream %" PRIu64 ": %" PRIu64 " bytes to its end, by \"%s\", none released",
		      i, run->ledger.streams[i].received, run->ledger.streams[i].how);
}

static void receive_and_release(struct run *run, int64_t timeout_ms)
{
	run_receive(run, timeout_ms);
	run_release(run);
	check_no_stalled_ended(run);
}

/* Receive until the stalled streams all rest and nothing comes any more. */
static void receive_until_rest(struct run *run)
{
	uint64_t begun = now_ms(), paused;

	do {
		keeper_drain(&run->keeper); /* of what is back, the last receive knows */
		receive_and_release(run, QUIET_MS);
		paused = truth_paused(run);
		CHECK(now_ms() - begun < REST_MS,
		      "%" PRIu64 " of %" PRIu64 " stalled streams rest after %d s", paused,
		      run->scenario->stalled, REST_MS / 1000);
	} while (!run->quiet || paused < run->scenario->stalled);
	truth_check(run);
}

static void add(struct run *run, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last; i++) {
		run_add(run, i, run->scenario->limit);
		run->ledger.added++;
	}
}

static uint64_t live_bytes(const struct run *run)
{
	uint64_t bytes = 0;

	for (uint64_t i = run->scenario->stalled; i < run->scenario->connections; i++)
		bytes += run->ledger.streams[i].received;
	return bytes;
}

/* Receive until the streams that are not stalled have so many bytes, or, NEVER, until they end. */
static void receive_live(struct run *run, uint64_t bytes, uint64_t begun, uint64_t alone_ms)
{
	uint64_t live = run->scenario->connections - run->scenario->stalled;
	uint64_t most_ms = alone_ms ? SLOWEST * alone_ms + SLACK_MS : UINT64_MAX;

	while (run->ledger.ended < live && live_bytes(run) < bytes) {
		receive_and_release(run, QUIET_MS);
		CHECK(now_ms() - begun <= most_ms,
		      "%" PRIu64 " bytes in %" PRIu64 " ms beside %" PRIu64
		      " stalled streams; alone all in %" PRIu64 " ms",
		      live_bytes(run), now_ms() - begun, run->scenario->stalled, alone_ms);
	}
}

/* Releases what is kept while the owner sleeps. */
static void *let_go(void *argument)
{
	struct run *run = argument;

	sleep_ms(RELEASE_MS);
	keeper_let_go(&run->keeper);
	keeper_release(&run->keeper, &run->judge->channels[WATCHER], 0);
	return NULL;
}

/* They are let go of, by another thread, and go on to their ends. */
static void receive_stalled(struct run *run)
{
	pthread_t thread;

	run->keep = 0;
	thread_start(&thread, let_go, run);
	do
		run_receive(run, -1);
	while (run->quiet);
	pthread_join(thread, NULL);
	while (run->ledger.ended < run->ledger.added) {
		run_release(run);
		run_receive(run, run->scenario->timeout_ms);
	}
}

uint64_t stalled_receive(struct run *run, uint64_t alone_ms)
{
	const struct scenario *s = run->scenario;
	uint64_t count = s->connections, begun, took;

	run->keep = s->stalled;
	for (uint64_t i = 0; i < count; i++) {
		run_accept(run, i);
		run_go(run, i);
	}
	if (s->stalled && !s->live_before) {
		add(run, 0, s->stalled);
		receive_until_rest(run);
	}
	begun = now_ms();
	add(run, s->stalled, count);
	if (s->stalled && s->live_before) {
		receive_live(run, scenario_bytes(s, count - 1) / 4, begun, alone_ms);
		add(run, 0, s->stalled);
	}
	receive_live(run, UINT64_MAX, begun, alone_ms);
	took = now_ms() - begun;
	if (s->stalled) {
		receive_until_rest(run);
		receive_stalled(run);
	}
	ledger_check(&run->ledger);
	return took + 1;
}

void stalled_leave_out(struct scenario *alone, const struct scenario *scenario, char *text)
{
	uint64_t live = scenario->connections - scenario->stalled;
	unsigned count = 0;
	static char none[] = "";
	int length;

	*alone = *scenario;
	alone->connections = live;
	alone->stalled = 0;
	alone->at_least = none;
	/* The sender takes the last word of each key. */
	while (alone->words[count])
		count++;
	CHECK(count + 2 <= SCENARIO_WORDS, "too many words");
	length = snprintf(text, STALLED_WORDS, "connections=%" PRIu64, live);
	alone->words[count] = text;
	alone->words[count + 1] = text + length + 1;
	snprintf(text + length + 1, STALLED_WORDS - (size_t)length - 1, "stalled=0");
	alone->words[count + 2] = NULL;
}
