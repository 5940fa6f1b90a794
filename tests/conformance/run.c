/* SPDX-License-Identifier: MIT */
#include "run.h"
#include "by_hand.h"
#include "group.h"
#include "leaks.h"
#include "peer.h"
#include "stalled.h"
#include "steps.h"
#include "truth.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL    3 /* of PROTOCOL.md */
#define LATE_MS     200
#define SETTLE_MS   10000 /* for what a runtime lets go of by and by */
#define PATIENCE_MS 1000  /* for an executor that may hang */

static struct run *current;

static void add_accepted(struct run *run, uint64_t number)
{
	run_add(run, number, run->scenario->limit);
	run->ledger.added++;
	if (run->scenario->remove_at == 0)
		run_remove(run, number);
	if (!run->scenario->add_late)
		run_go(run, number);
	if (run->scenario->close_fd)
		call_ok(run_owner(run), "shut %" PRIu64, number);
}

/* Accept and add streams first to last - 1. */
static void accept_streams(struct run *run, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last; i++) {
		run_accept(run, i);
		if (run->scenario->add_late)
			run_go(run, i);
		else
			add_accepted(run, i);
	}
	if (!run->scenario->add_late)
		return;
	sleep_ms(LATE_MS);
	for (uint64_t i = first; i < last; i++)
		add_accepted(run, i);
}

/* ---- receive ---- */

/* Does the sender leave while the receiver is open? A stream's end lets go of its socket, and so
 * does an iterator that was left. */
static int leaves_by_itself(const struct run *run)
{
	return run->scenario->close_fd || run->scenario->drop_at != SCENARIO_NEVER;
}

/* remove_at=parked, remove_at=paused */
static int removal_is_due(struct run *run)
{
	switch (run->scenario->remove_at) {
	case SCENARIO_PARKED:
		return stats_value(run_read_stats(run), "parked") > 0;
	case SCENARIO_PAUSED:
		return truth_paused(run) >= run->ledger.added;
	default:
		return 0;
	}
}

/* What the scenario does between two receives: fork, remove, release. */
static void between_receives(struct run *run)
{
	const struct scenario *s = run->scenario;
	int due = removal_is_due(run);

	if (s->fork_at <= run->ledger.bytes && !run->forked) {
		run->forked = 1;
		keeper_fork(&run->keeper);
	}
	for (uint64_t i = 0; s->remove_at != SCENARIO_NEVER && i < run->ledger.added; i++) {
		const struct stream *stream = &run->ledger.streams[i];

		if (!stream->removed && !stream->ended && (due || stream->received >= s->remove_at))
			run_remove(run, i);
	}
	run_release(run);
}

static void receive_some(struct run *run)
{
	int64_t timeout_ms = run->scenario->timeout_ms;

	if (run->scenario->wait == WAIT_RECEIVE) {
		run_receive(run, timeout_ms);
		between_receives(run);
		return;
	}
	while (run_receive(run, 0))
		between_receives(run);
	between_receives(run);
	if (run->ledger.ended < run->ledger.added)
		call_ok(run_owner(run), "poll %" PRId64, timeout_ms);
}

static int finished(struct run *run)
{
	switch (run->scenario->until) {
	case UNTIL_ENDS:
		return run->over || run->ledger.ended == run->ledger.added;
	case UNTIL_BYTES:
		CHECK(run->ledger.ended == 0, "a stream ended before the scenario did");
		return run->ledger.bytes >= run->scenario->until_bytes;
	case UNTIL_TIMEOUT:
		return run->quiet;
	case UNTIL_WAKE:
		return run->quiet && stats_value(run_read_stats(run), "wakes");
	}
	return 1;
}

/* Receive a connection by an iterator; all but the last may be let go of before their end. */
static void iterate_one(struct run *run, uint64_t number)
{
	const struct scenario *s = run->scenario;
	int leave = s->drop_at != SCENARIO_NEVER && number + 1 < s->connections, result;
	const char *text;
	char bytes[32] = "";

	if (leave)
		snprintf(bytes, sizeof(bytes), " %" PRIu64, s->drop_at);
	result = call(run_owner(run), run_take_event, run, &text,
		      "iterate %" PRIu64 " %" PRIu64 "%s", number, s->limit, bytes);
	CHECK(result == 0, "iterate: %s: %.400s", strerror(-result), text);
	run_check_engine(run, text);
	if (leave)
		ledger_leave(&run->ledger, number);
	if (leaves_by_itself(run))
		call_ok(run_owner(run), "shut %" PRIu64, number);
}

/* through=iterator: one connection after the other, by what the language has for that. */
static void iterate(struct run *run)
{
	uint64_t count = run->scenario->connections;

	for (uint64_t i = 0; i < count; i++) {
		run_accept(run, i);
		run_go(run, i);
		snprintf(run->ledger.streams[i].handle, WORD, "-");
	}
	run->ledger.added = count;
	disturb_start(&run->disturber, run->scenario, run->judge);
	for (uint64_t i = 0; i < count; i++)
		iterate_one(run, i);
	disturb_stop(&run->disturber);
	ledger_check(&run->ledger);
}

static void receive_all(struct run *run)
{
	uint64_t count = run->scenario->connections;
	uint64_t group = run->scenario->connect_each ? 1 : count;

	for (uint64_t first = 0; first < count; first += group) {
		accept_streams(run, first, first + group);
		if (!first)
			disturb_start(&run->disturber, run->scenario, run->judge);
		for (;;) {
			by_hand_pause(run);
			by_hand_rest(run);
			if (finished(run))
				break;
			receive_some(run);
		}
		if (run->scenario->connect_each)
			run_shut(run, first, first + group);
	}
	disturb_stop(&run->disturber);
	ledger_check(&run->ledger);
}

/* ---- the rest ---- */

static void recv_rest(struct run *run)
{
	for (uint64_t i = 0; i < run->ledger.added; i++) {
		struct stream *stream = &run->ledger.streams[i];
		uint64_t count, good;
		const char *text;
		int result = call(run_owner(run), NULL, NULL, &text, "recv %" PRIu64, i);

		CHECK(result == 0, "stream %" PRIu64 ": recv after its end: %s", i,
		      strerror(-result));
		CHECK(sscanf(text, "%" SCNu64 " %" SCNu64, &count, &good) == 2,
		      "recv: answered by: ok %.200s", text);
		CHECK(good == count, "stream %" PRIu64 ": wrong byte at %" PRIu64 " by recv", i,
		      stream->received + good);
		stream->received += count;
	}
}

static void receive_rest(struct run *run)
{
	run->ledger.ended = 0;
	for (uint64_t i = 0; i < run->ledger.added; i++) {
		struct stream *stream = &run->ledger.streams[i];

		stream->ended = 0;
		run_add(run, i, 0);
	}
	while (run->ledger.ended < run->ledger.added) {
		run_receive(run, 1000);
		keeper_release(&run->keeper, run_owner(run), 0);
	}
	keeper_drain(&run->keeper);
}

static void do_rest(struct run *run)
{
	if (run->scenario->rest == REST_NONE)
		return;
	if (run->scenario->rest == REST_RECV)
		recv_rest(run);
	else
		receive_rest(run);
	ledger_check_rest(&run->ledger);
}

/* ---- close ---- */

/* On a queue it depends on the kernel whether the ring outlives the owner's close, too. */
static void check_closed(struct run *run, int other, const char *text)
{
	const char *wanted = other && keeper_held(&run->keeper) ? "deferred" : "done";
	int either = !strcmp(run->setup->engine, "zcrx") && keeper_held(&run->keeper);

	if (!either || strcmp(text, "deferred"))
		CHECK(!strcmp(text, wanted), "close: %.40s, not %s", text, wanted);
}

static void close_receiver(struct run *run)
{
	int other = run->scenario->close_on_thread, result;
	const char *text;

	run->open = 0;
	result = call(&run->judge->channels[other ? WATCHER : OWNER], NULL, NULL, &text, "close");
	CHECK(result == 0, "close: %s: %.400s", strerror(-result), text);
	check_closed(run, other, text);
}

/* When all is over and given back, nothing comes, holds memory or rests. */
static void check_at_end(struct run *run)
{
	const struct scenario *s = run->scenario;

	if (s->iterate || s->until != UNTIL_ENDS || run->over || keeper_held(&run->keeper))
		return;
	run_receive(run, 0);
	CHECK(run->quiet, "an event after every stream has ended");
	truth_check(run);
	if (s->hand_pause_at != SCENARIO_NEVER)
		by_hand_check_ended(run);
}

/* Whether buffers are held past close makes the difference in order. */
static void finish(struct run *run)
{
	const struct scenario *s = run->scenario;
	int past_close = s->hold == HOLD_CLOSED;

	keeper_stop_watching(&run->keeper);
	if (!past_close)
		keeper_drain(&run->keeper);
	do_rest(run);
	if (leaves_by_itself(run))
		peer_wait(run->sender);
	ledger_check_stats(&run->ledger, run_read_stats(run), keeper_held(&run->keeper),
			   run->judge->ahead && s->until == UNTIL_BYTES);
	check_at_end(run);
	close_receiver(run);
	if (past_close)
		sleep_ms(s->closed_ms);
	keeper_stop(&run->keeper);
	if (!s->connect_each && !leaves_by_itself(run))
		run_shut(run, 0, run->ledger.added);
	if (!leaves_by_itself(run))
		peer_wait(run->sender);
}

/* What the executor itself counts, such as goroutines; to be freed. */
static char *settle(const struct run *run)
{
	const char *text;
	int result = call(run_owner(run), NULL, NULL, &text, "settle");

	CHECK(result == 0, "settle: %s: %.400s", strerror(-result), text);
	return strdup(text);
}

static void check_settled(const struct run *run, char *before)
{
	char *now = settle(run);

	for (int waited = 0; waited < SETTLE_MS && strcmp(now, before); waited++) {
		sleep_ms(1);
		free(now);
		now = settle(run);
	}
	CHECK(!strcmp(now, before), "left behind: %.200s, was %.200s", now, before);
	free(now);
	free(before);
}

static struct holdings count_holdings(const struct judge *judge)
{
	struct holdings holdings = holdings_count(judge->process);

	if (judge->any_threads)
		holdings.threads = 0;
	return holdings;
}

/* How received buffers are asked for. Where nothing is to be done between receive and release, one
 * call does both. */
static const char *choose_mode(const struct scenario *s)
{
	int both = s->hold == HOLD_COUNT && !s->hold_count && !s->release_threads &&
		   !s->release_batch && !s->double_release && s->remove_at == SCENARIO_NEVER &&
		   !s->window_bytes && !s->stream_window_bytes && !s->stalled &&
		   s->hand_pause_at != SCENARIO_WINDOW;

	return both ? "use" : "hold";
}

/* Once a receiver is open. Returns what stalled_receive does. */
static uint64_t run_opened(struct run *run, uint64_t alone_ms)
{
	const struct scenario *s = run->scenario;
	uint64_t took = 0;

	keeper_start(&run->keeper, s, run->judge);
	run->sender =
		peer_start(s, run->setup->python, run->setup->sender, run->setup->executor->port);
	if (s->iterate)
		iterate(run);
	else if (run->measured)
		took = stalled_receive(run, alone_ms);
	else
		receive_all(run);
	finish(run);
	return took;
}

/* Returns what stalled_receive does, if `measured`. */
static uint64_t run_once(const struct scenario *scenario, const struct run_setup *setup,
			 struct judge *judge, int measured, uint64_t alone_ms)
{
	struct run run = {.scenario = scenario, .setup = setup, .judge = judge};
	char *settled = settle(&run);
	struct holdings before = count_holdings(judge), after;
	uint64_t area_bytes = scenario->area_bytes, took = 0;

	run.mode = measured ? "hold" : choose_mode(scenario);
	run.measured = measured;
	run.resting = scenario->hand_pause_at == SCENARIO_WINDOW;
	ledger_open(&run.ledger, scenario);
	current = &run;
	if (scenario->group)
		group_run(&run);
	else if (run_open(&run))
		took = run_opened(&run, alone_ms);
	current = NULL;
	ledger_close(&run.ledger);
	check_settled(&run, settled);
	after = count_holdings(judge);
	holdings_compare(&before, &after, area_bytes >= judge->own_mappings ? area_bytes : 0);
	return took;
}

/* First those that do not stall alone, and then all. */
static void run_stalled(const struct scenario *scenario, const struct run_setup *setup,
			struct judge *judge)
{
	char text[STALLED_WORDS];
	struct scenario alone;
	uint64_t alone_ms;

	stalled_leave_out(&alone, scenario, text);
	alone_ms = alone.connections ? run_once(&alone, setup, judge, 1, 0) : 0;
	run_once(scenario, setup, judge, 1, alone_ms);
}

/* ---- the executor's own words ---- */

struct hello {
	const struct scenario *scenario;
	struct judge *judge;
};

static int has_key(const struct scenario *scenario, const char *key)
{
	size_t length = strlen(key);

	for (char *const *word = scenario->words; *word; word++)
		if (!strncmp(*word, key, length) &&
		    (*word)[length] == (strchr(key, '=') ? '\0' : '='))
			return 1;
	return 0;
}

/* Skips a scenario that gives all of these keys, or KEY=VALUE. */
static void note_cannot(const struct scenario *scenario, const char *keys, const char *reason)
{
	char copy[WORD], *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", keys);
	for (char *key = strtok_r(copy, ",", &rest); key; key = strtok_r(NULL, ",", &rest))
		if (!has_key(scenario, key))
			return;
	stop(RUN_SKIPPED, "%s: %s", keys, reason);
}

/* cannot KEY[,KEY...] REASON | own threads | own mappings BYTES | ahead | protocol NUMBER */
static void note_trait(void *context, char *line)
{
	const struct hello *hello = context;
	struct judge *judge = hello->judge;
	char keys[WORD];
	int reason = 0;

	if (sscanf(line, "cannot %39s %n", keys, &reason) == 1 && reason)
		note_cannot(hello->scenario, keys, line + reason);
	else if (!strcmp(line, "own threads"))
		judge->any_threads = 1;
	else if (!strcmp(line, "ahead"))
		judge->ahead = 1;
	else if (sscanf(line, "protocol %d", &judge->protocol) == 1)
		return;
	else if (sscanf(line, "own mappings %" SCNu64, &judge->own_mappings) != 1)
		fail("hello: answered by: %.200s", line);
}

void scenario_run(const struct scenario *scenario, const struct run_setup *setup)
{
	struct judge judge = {.process = setup->executor->process, .protocol = 1};
	struct hello hello = {scenario, &judge};
	const char *name;

	for (int i = 0; i < EXECUTOR_CHANNELS; i++)
		channel_open(&judge.channels[i], setup->executor->channels[i]);
	CHECK(call(&judge.channels[OWNER], note_trait, &hello, &name, "hello") == 0, "hello: %s",
	      name);
	CHECK(judge.protocol == PROTOCOL, "hello: %.100s speaks protocol %d, not %d", name,
	      judge.protocol, PROTOCOL);
	if (setup->sanitized) {
		judge.any_threads = 1;
		judge.own_mappings = UINT64_MAX;
	}
	for (uint64_t i = 0; i < scenario->repeat; i++) {
		if (scenario->stalled)
			run_stalled(scenario, setup, &judge);
		else
			run_once(scenario, setup, &judge, 0, 0);
	}
}

/* The executor's counters, if its thread for this answers in time. */
static const char *ask_stats(const struct run *run)
{
	struct channel *channel = &run->judge->channels[WATCHDOG];
	struct pollfd answer = {.fd = channel->fd, .events = POLLIN};
	ssize_t length;
	static char stats[768];

	if (!run->open || write(channel->fd, "stats\n", 6) != 6 ||
	    poll(&answer, 1, PATIENCE_MS) != 1)
		return "(not answered)";
	length = read(channel->fd, stats, sizeof(stats) - 1);
	stats[length > 0 ? length : 0] = '\0';
	stats[strcspn(stats, "\n")] = '\0';
	return stats;
}

void scenario_describe(char *text, size_t size)
{
	snprintf(text, size, "between runs");
	if (current)
		snprintf(text, size,
			 "%" PRIu64 " streams added, %" PRIu64 " ended, %" PRIu64
			 " bytes in %" PRIu64 " buffers; stats: %s",
			 current->ledger.added, current->ledger.ended, current->ledger.bytes,
			 current->ledger.buffers, ask_stats(current));
}
