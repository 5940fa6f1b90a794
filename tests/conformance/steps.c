/* SPDX-License-Identifier: MIT */
#include "steps.h"
#include "payload.h"
#include "truth.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NIC_SHARE     (64u << 20) /* what a NIC's own rings hold of an area */
#define NIC_RULES     32          /* flows that are led to the queue one by one */
#define TIMEOUT_SLACK 10000       /* ms */

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(uint64_t ms)
{
	nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}, NULL);
}

struct channel *run_owner(const struct run *run)
{
	return &run->judge->channels[OWNER];
}

const char *run_read_stats(struct run *run)
{
	const char *stats;
	int result = call(run_owner(run), NULL, NULL, &stats, "stats");

	CHECK(result == 0, "stats: %s: %.400s", strerror(-result), stats);
	return stats;
}

/* ---- open and add ---- */

void run_check_engine(const struct run *run, const char *got)
{
	const char *engine = run->setup->engine;

	CHECK(!strcmp(engine, "auto") || !strcmp(engine, got), "open: engine %.20s instead of %s",
	      got, engine);
}

void run_list_options(const struct run *run, char *text, size_t size)
{
	const struct scenario *s = run->scenario;
	const char *engine = run->setup->engine;
	int nic = !strcmp(engine, "zcrx");
	FILE *out = fmemopen(text, size, "w");

	CHECK(out, "no memory for a request");
	fprintf(out,
		"engine=%s area_bytes=%" PRIu64 " buffer_bytes=%" PRIu64 " ring_entries=%" PRIu64
		" refill_entries=%" PRIu64 " batch=%" PRIu64 " through=%s",
		engine, s->area_bytes + (nic ? NIC_SHARE : 0), s->buffer_bytes, s->ring_entries,
		s->refill_entries, s->batch, s->iterate ? "iterator" : "events");
	if (nic)
		fprintf(out, " interface=%.64s steer_port=%u",
			run->setup->interface ? run->setup->interface : "none",
			s->group || s->connections > NIC_RULES ? run->setup->executor->port : 0);
	/* Of those that follow, an executor hears only what the scenario gives. */
	if (s->window_bytes)
		fprintf(out, " window_bytes=%" PRIu64, s->window_bytes);
	if (s->area_max_bytes)
		fprintf(out, " area_max_bytes=%" PRIu64, s->area_max_bytes);
	if (s->small_area)
		fprintf(out, " small_area=%" PRIu64, s->small_area);
	if (*s->area)
		fprintf(out, " area=%.20s", s->area);
	if (s->inbox_entries)
		fprintf(out, " inbox_entries=%" PRIu64, s->inbox_entries);
	if (s->shared_queue)
		fprintf(out, " shared_queue=%" PRIu64, s->shared_queue);
	fclose(out);
}

/* The field that this call must refuse, or NULL. */
static const char *refused_field(const struct scenario *s, const char *call)
{
	size_t length = strlen(call);

	if (strncmp(s->refuse, call, length) || s->refuse[length] != ':')
		return NULL;
	return s->refuse + length + 1;
}

static void check_refused(const char *call, const char *field, int result, const char *text)
{
	CHECK(result == -EINVAL, "%s: %s: %.400s: not refused as it must be, for %s", call,
	      strerror(-result), text, field);
	CHECK(strstr(text, field), "%s: refused without a word of %s: %.800s", call, field, text);
}

int run_open(struct run *run)
{
	const struct scenario *s = run->scenario;
	const char *engine = run->setup->engine, *field = refused_field(s, "open"), *text;
	char options[512];
	int result;

	run_list_options(run, options, sizeof(options));
	result = call(run_owner(run), NULL, NULL, &text, "open %s", options);
	if (field) {
		check_refused("open", field, result, text);
		return 0;
	}
	/* Before Linux 7.3 the area of a zcrx engine cannot grow, and open says so. */
	if (s->area_max_bytes && result == -EOPNOTSUPP && !strncmp(engine, "zcrx", 4) &&
	    strstr(text, "area_max_bytes"))
		stop(RUN_SKIPPED, "engine refused: %.900s", text);
	if (result && run->setup->may_refuse)
		stop(RUN_SKIPPED, "engine refused: %.900s", text);
	CHECK(result == 0, "open: %s: %.900s", strerror(-result), text);
	run->open = 1;
	if (!s->iterate)
		run_check_engine(run, text);
	return 1;
}

void run_accept(struct run *run, uint64_t number)
{
	call_ok(run_owner(run), "accept %" PRIu64 " %" PRIu64, number,
		payload_start(run->scenario->seed, number));
}

void run_go(struct run *run, uint64_t number)
{
	call_ok(run_owner(run), "go %" PRIu64, number);
}

void run_add(struct run *run, uint64_t number, uint64_t limit)
{
	const struct scenario *s = run->scenario;
	const char *handle, *field = refused_field(s, "add");
	char window[32] = "";
	int result;

	if (s->stream_window_bytes)
		snprintf(window, sizeof(window), " %" PRIu64, s->stream_window_bytes);
	result = call(run_owner(run), NULL, NULL, &handle, "add %" PRIu64 " %" PRIu64 "%s", number,
		      limit, window);
	if (field) {
		check_refused("add", field, result, handle);
		result = call(run_owner(run), NULL, NULL, &handle, "add %" PRIu64 " %" PRIu64,
			      number, limit);
	}
	CHECK(result == 0, "add of stream %" PRIu64 ": %s: %.900s", number, strerror(-result),
	      handle);
	snprintf(run->ledger.streams[number].handle, WORD, "%s", handle);
}

void run_remove(struct run *run, uint64_t number)
{
	call_ok(run_owner(run), "remove %" PRIu64, number);
	run->ledger.streams[number].removed = 1;
}

/* ---- receive ---- */

void run_take_event(void *context, char *line)
{
	struct run *run = context;
	struct held item;
	uint64_t out;

	run->batch++;
	if (!ledger_take(&run->ledger, line, &item) || strcmp(run->mode, "hold"))
		return;
	out = keeper_hold(&run->keeper, &item, item.stream < run->keep);
	truth_check_window(run, item.stream, out);
}

static void check_quiet(const struct run *run, uint64_t waited_ms)
{
	uint64_t timeout_ms = (uint64_t)run->scenario->timeout_ms;

	if (run->scenario->until == UNTIL_TIMEOUT)
		CHECK(waited_ms + 1 >= timeout_ms && waited_ms < timeout_ms + TIMEOUT_SLACK,
		      "receive waited %" PRIu64 " ms, timeout %" PRIu64, waited_ms, timeout_ms);
}

int run_receive(struct run *run, int64_t timeout_ms)
{
	const struct scenario *s = run->scenario;
	uint64_t begun = now_ms();
	const char *text;
	int result;

	run->batch = 0;
	result = call(run_owner(run), run_take_event, run, &text,
		      "receive %" PRIu64 " %" PRId64 " %s", s->batch, timeout_ms, run->mode);
	if (result == -EINTR && s->signal_ms)
		return 0;
	CHECK(result == 0, "receive: %s: %.400s", strerror(-result), text);
	CHECK(run->batch <= s->batch, "receive: %u events of %" PRIu64, run->batch, s->batch);
	run->quiet = run->batch == 0;
	if (run->quiet)
		check_quiet(run, now_ms() - begun);
	return run->batch == s->batch;
}

void run_release(struct run *run)
{
	if (run->scenario->hold == HOLD_COUNT && !run->resting)
		keeper_release(&run->keeper, run_owner(run), run->scenario->hold_count);
}

void run_shut(struct run *run, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last && !run->scenario->close_fd; i++)
		call_ok(run_owner(run), "shut %" PRIu64, i);
}
