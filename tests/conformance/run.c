/* SPDX-License-Identifier: MIT */
#include "run.h"
#include "disturb.h"
#include "judge.h"
#include "keeper.h"
#include "leaks.h"
#include "ledger.h"
#include "payload.h"
#include "peer.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LATE_MS       200
#define NIC_SHARE     (64u << 20) /* what a NIC's own rings hold of an area */
#define NIC_RULES     32          /* flows that are led to the queue one by one */
#define TIMEOUT_SLACK 10000       /* ms */
#define SETTLE_MS     10000       /* for what a runtime lets go of by and by */
#define PATIENCE_MS   1000        /* for an executor that may hang */

struct run {
	const struct scenario *scenario;
	const struct run_setup *setup;
	struct judge *judge;
	struct ledger ledger;
	struct keeper keeper;
	struct disturber disturber;
	pid_t sender;
	int open, forked;
	int quiet;        /* the last receive returned nothing */
	unsigned batch;   /* how many events the last receive gave */
	const char *mode; /* of receiving: hold, or use: give back at once what is received */
};

static struct run *current;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(uint64_t ms)
{
	nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}, NULL);
}

static struct channel *owner(const struct run *run)
{
	return &run->judge->channels[OWNER];
}

static const char *read_stats(struct run *run)
{
	const char *stats;
	int result = call(owner(run), NULL, NULL, &stats, "stats");

	CHECK(result == 0, "stats: %s: %.400s", strerror(-result), stats);
	return stats;
}

/* ---- open and add ---- */

static void check_engine(const struct run *run, const char *got)
{
	const char *engine = run->setup->engine;

	CHECK(!strcmp(engine, "auto") || !strcmp(engine, got), "open: engine %.20s instead of %s",
	      got, engine);
}

static void open_receiver(struct run *run)
{
	const struct scenario *s = run->scenario;
	const char *engine = run->setup->engine, *text;
	int nic = !strcmp(engine, "zcrx"), result;
	char steering[128] = "";

	if (nic)
		snprintf(steering, sizeof(steering), " interface=%.64s steer_port=%u",
			 run->setup->interface ? run->setup->interface : "none",
			 s->connections > NIC_RULES ? run->setup->executor->port : 0);
	result = call(owner(run), NULL, NULL, &text,
		      "open engine=%s area_bytes=%" PRIu64 " buffer_bytes=%" PRIu64
		      " ring_entries=%" PRIu64 " refill_entries=%" PRIu64 " batch=%" PRIu64
		      " through=%s%s",
		      engine, s->area_bytes + (nic ? NIC_SHARE : 0), s->buffer_bytes,
		      s->ring_entries, s->refill_entries, s->batch,
		      s->iterate ? "iterator" : "events", steering);
	if (result && run->setup->may_refuse)
		stop(RUN_SKIPPED, "engine refused: %.900s", text);
	CHECK(result == 0, "open: %s: %.900s", strerror(-result), text);
	run->open = 1;
	if (!s->iterate)
		check_engine(run, text);
}

static void add_stream(struct run *run, uint64_t number, uint64_t limit)
{
	const char *handle;
	int result =
		call(owner(run), NULL, NULL, &handle, "add %" PRIu64 " %" PRIu64, number, limit);

	CHECK(result == 0, "add of stream %" PRIu64 ": %s: %.900s", number, strerror(-result),
	      handle);
	snprintf(run->ledger.streams[number].handle, WORD, "%s", handle);
}

static void remove_stream(struct run *run, uint64_t number)
{
	call_ok(owner(run), "remove %" PRIu64, number);
	run->ledger.streams[number].removed = 1;
}

static void add_accepted(struct run *run, uint64_t number)
{
	add_stream(run, number, run->scenario->limit);
	run->ledger.added++;
	if (run->scenario->remove_at == 0)
		remove_stream(run, number);
	if (!run->scenario->add_late)
		call_ok(owner(run), "go %" PRIu64, number);
	if (run->scenario->close_fd)
		call_ok(owner(run), "shut %" PRIu64, number);
}

/* Accept and add streams first to last - 1. */
static void accept_streams(struct run *run, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last; i++) {
		call_ok(owner(run), "accept %" PRIu64 " %" PRIu64, i,
			payload_start(run->scenario->seed, i));
		if (run->scenario->add_late)
			call_ok(owner(run), "go %" PRIu64, i);
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

/* One event of an answer to receive. */
static void take_event(void *context, char *line)
{
	struct run *run = context;
	struct held item;

	run->batch++;
	if (ledger_take(&run->ledger, line, &item) && !strcmp(run->mode, "hold"))
		keeper_hold(&run->keeper, &item);
}

static void check_quiet(const struct run *run, uint64_t waited_ms)
{
	uint64_t timeout_ms = (uint64_t)run->scenario->timeout_ms;

	if (run->scenario->until == UNTIL_TIMEOUT)
		CHECK(waited_ms + 1 >= timeout_ms && waited_ms < timeout_ms + TIMEOUT_SLACK,
		      "receive waited %" PRIu64 " ms, timeout %" PRIu64, waited_ms, timeout_ms);
}

/* One receive, and its events booked and held. Returns whether it was filled. */
static int receive_batch(struct run *run, int64_t timeout_ms)
{
	const struct scenario *s = run->scenario;
	uint64_t begun = now_ms();
	const char *text;
	int result;

	run->batch = 0;
	result = call(owner(run), take_event, run, &text, "receive %" PRIu64 " %" PRId64 " %s",
		      s->batch, timeout_ms, run->mode);
	if (result == -EINTR && s->signal_ms)
		return 0;
	CHECK(result == 0, "receive: %s: %.400s", strerror(-result), text);
	CHECK(run->batch <= s->batch, "receive: %u events of %" PRIu64, run->batch, s->batch);
	run->quiet = run->batch == 0;
	if (run->quiet)
		check_quiet(run, now_ms() - begun);
	return run->batch == s->batch;
}

/* What the scenario does between two receives: fork, remove, release. */
static void between_receives(struct run *run)
{
	const struct scenario *s = run->scenario;
	int parked = s->remove_at == SCENARIO_PARKED && stats_value(read_stats(run), "parked");

	if (s->fork_at <= run->ledger.bytes && !run->forked) {
		run->forked = 1;
		keeper_fork(&run->keeper);
	}
	for (uint64_t i = 0; s->remove_at != SCENARIO_NEVER && i < run->ledger.added; i++) {
		const struct stream *stream = &run->ledger.streams[i];

		if (!stream->removed && !stream->ended &&
		    (parked || stream->received >= s->remove_at))
			remove_stream(run, i);
	}
	if (s->hold == HOLD_COUNT)
		keeper_release(&run->keeper, owner(run), s->hold_count);
}

static void receive_some(struct run *run)
{
	int64_t timeout_ms = run->scenario->timeout_ms;

	if (run->scenario->wait == WAIT_RECEIVE) {
		receive_batch(run, timeout_ms);
		between_receives(run);
		return;
	}
	while (receive_batch(run, 0))
		between_receives(run);
	between_receives(run);
	if (run->ledger.ended < run->ledger.added)
		call_ok(owner(run), "poll %" PRId64, timeout_ms);
}

static int finished(struct run *run)
{
	switch (run->scenario->until) {
	case UNTIL_ENDS:
		return run->ledger.ended == run->ledger.added;
	case UNTIL_BYTES:
		CHECK(run->ledger.ended == 0, "a stream ended before the scenario did");
		return run->ledger.bytes >= run->scenario->until_bytes;
	case UNTIL_TIMEOUT:
		return run->quiet;
	case UNTIL_WAKE:
		return run->quiet && stats_value(read_stats(run), "wakes");
	}
	return 1;
}

/* through=iterator: the one connection, by what the language has for that. */
static void iterate(struct run *run)
{
	const char *text;
	int result;

	call_ok(owner(run), "accept 0 %" PRIu64, payload_start(run->scenario->seed, 0));
	call_ok(owner(run), "go 0");
	snprintf(run->ledger.streams[0].handle, WORD, "-");
	run->ledger.added = 1;
	disturb_start(&run->disturber, run->scenario, run->judge);
	result = call(owner(run), take_event, run, &text, "iterate 0 %" PRIu64,
		      run->scenario->limit);
	disturb_stop(&run->disturber);
	CHECK(result == 0, "iterate: %s: %.400s", strerror(-result), text);
	check_engine(run, text);
	ledger_check(&run->ledger);
}

/* Streams first to last - 1. */
static void close_sockets(struct run *run, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last && !run->scenario->close_fd; i++)
		call_ok(owner(run), "shut %" PRIu64, i);
}

static void receive_all(struct run *run)
{
	uint64_t count = run->scenario->connections;
	uint64_t group = run->scenario->connect_each ? 1 : count;

	for (uint64_t first = 0; first < count; first += group) {
		accept_streams(run, first, first + group);
		if (!first)
			disturb_start(&run->disturber, run->scenario, run->judge);
		while (!finished(run))
			receive_some(run);
		if (run->scenario->connect_each)
			close_sockets(run, first, first + group);
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
		int result = call(owner(run), NULL, NULL, &text, "recv %" PRIu64, i);

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
		add_stream(run, i, 0);
	}
	while (run->ledger.ended < run->ledger.added) {
		receive_batch(run, 1000);
		keeper_release(&run->keeper, owner(run), 0);
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

/* Whether buffers are held past close makes the difference in order. */
static void finish(struct run *run)
{
	const struct scenario *s = run->scenario;
	int past_close = s->hold == HOLD_CLOSED;

	keeper_stop_watching(&run->keeper);
	if (!past_close)
		keeper_drain(&run->keeper);
	do_rest(run);
	if (s->close_fd)
		peer_wait(run->sender);
	ledger_check_stats(&run->ledger, read_stats(run), keeper_held(&run->keeper),
			   run->judge->ahead && s->until == UNTIL_BYTES);
	close_receiver(run);
	if (past_close)
		sleep_ms(s->closed_ms);
	keeper_stop(&run->keeper);
	if (!s->connect_each)
		close_sockets(run, 0, run->ledger.added);
	if (!s->close_fd)
		peer_wait(run->sender);
}

/* What the executor itself counts, such as goroutines; to be freed. */
static char *settle(const struct run *run)
{
	const char *text;
	int result = call(owner(run), NULL, NULL, &text, "settle");

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

static void run_once(const struct scenario *scenario, const struct run_setup *setup,
		     struct judge *judge)
{
	struct run run = {.scenario = scenario, .setup = setup, .judge = judge};
	char *settled = settle(&run);
	struct holdings before = count_holdings(judge), after;
	uint64_t area_bytes = scenario->area_bytes;

	/* Nothing is to be done between receive and release: then one call does both. */
	run.mode = scenario->hold == HOLD_COUNT && !scenario->hold_count &&
				   !scenario->release_threads && !scenario->release_batch &&
				   !scenario->double_release &&
				   scenario->remove_at == SCENARIO_NEVER
			   ? "use"
			   : "hold";
	ledger_open(&run.ledger, scenario);
	current = &run;
	open_receiver(&run);
	keeper_start(&run.keeper, scenario, judge);
	run.sender = peer_start(scenario, setup->python, setup->sender, setup->executor->port);
	if (scenario->iterate)
		iterate(&run);
	else
		receive_all(&run);
	finish(&run);
	current = NULL;
	ledger_close(&run.ledger);
	check_settled(&run, settled);
	after = count_holdings(judge);
	holdings_compare(&before, &after, area_bytes >= judge->own_mappings ? area_bytes : 0);
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
		if (!strncmp(*word, key, length) && (*word)[length] == '=')
			return 1;
	return 0;
}

/* Skips a scenario that gives all of these keys. */
static void note_cannot(const struct scenario *scenario, const char *keys, const char *reason)
{
	char copy[WORD], *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", keys);
	for (char *key = strtok_r(copy, ",", &rest); key; key = strtok_r(NULL, ",", &rest))
		if (!has_key(scenario, key))
			return;
	stop(RUN_SKIPPED, "%s: %s", keys, reason);
}

/* cannot KEY[,KEY...] REASON | own threads | own mappings BYTES | ahead */
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
	else if (sscanf(line, "own mappings %" SCNu64, &judge->own_mappings) != 1)
		fail("hello: answered by: %.200s", line);
}

void scenario_run(const struct scenario *scenario, const struct run_setup *setup)
{
	struct judge judge = {.process = setup->executor->process};
	struct hello hello = {scenario, &judge};
	const char *name;

	for (int i = 0; i < EXECUTOR_CHANNELS; i++)
		channel_open(&judge.channels[i], setup->executor->channels[i]);
	CHECK(call(&judge.channels[OWNER], note_trait, &hello, &name, "hello") == 0, "hello: %s",
	      name);
	if (setup->sanitized) {
		judge.any_threads = 1;
		judge.own_mappings = UINT64_MAX;
	}
	for (uint64_t i = 0; i < scenario->repeat; i++)
		run_once(scenario, setup, &judge);
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
