/* SPDX-License-Identifier: MIT */
#include "run.h"
#include "disturb.h"
#include "keeper.h"
#include "leaks.h"
#include "ledger.h"
#include "payload.h"
#include "peer.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LATE_MS       200
#define NIC_SHARE     (64u << 20) /* what a NIC's own rings hold of an area */
#define NIC_RULES     32          /* flows that are led to the queue one by one */
#define TIMEOUT_SLACK 2000000000  /* ns */

struct run {
	const struct scenario *scenario;
	const struct run_setup *setup;
	struct zrx_receiver *receiver; /* NULL: closed */
	struct zrx_event *events;
	struct ledger ledger;
	struct keeper keeper;
	struct peer peer;
	struct disturber disturber;
	int forked;
	int quiet; /* the last receive returned nothing */
};

static struct run *current;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_ms(uint64_t ms)
{
	nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}, NULL);
}

static struct zrx_stats read_stats(struct run *run)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	int result = zrx_receiver_stats(run->receiver, &stats);

	CHECK(result == 0, "stats: %s", strerror(-result));
	return stats;
}

/* ---- open and add ---- */

static void ask_for_nic(const struct run *run, struct zrx_options *options)
{
	options->interface = run->setup->interface;
	options->area_bytes += NIC_SHARE;
	if (run->scenario->connections > NIC_RULES) {
		options->steer = ZRX_STEER_PORT;
		options->steer_port = run->peer.port;
	}
}

static void open_receiver(struct run *run)
{
	const struct scenario *s = run->scenario;
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	int result;

	options.engine = run->setup->engine;
	options.area_bytes = s->area_bytes;
	options.buffer_bytes = (uint32_t)s->buffer_bytes;
	options.ring_entries = (uint32_t)s->ring_entries;
	options.refill_entries = (uint32_t)s->refill_entries;
	if (options.engine == ZRX_ENGINE_ZCRX)
		ask_for_nic(run, &options);
	result = zrx_receiver_open(&run->receiver, &options, &error);
	if (result < 0) {
		printf("open: %s: %s (%s; %s) hint: %s\n", strerror(-result), error.message,
		       zrx_stage_name(error.stage), error.kernel_text, error.hint);
		fflush(stdout);
		if (run->setup->may_refuse)
			_exit(RUN_REFUSED);
		fail("open: %s: %s. Hint: %s", strerror(-result), error.message, error.hint);
	}
	zrx_receiver_info(run->receiver, &info);
	CHECK(options.engine == ZRX_ENGINE_AUTO || info.engine == options.engine,
	      "open: engine %s instead of %s", zrx_engine_name(info.engine),
	      zrx_engine_name(options.engine));
}

static void add_stream(struct run *run, uint64_t number, uint64_t limit)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct stream *stream = &run->ledger.streams[number];
	int result;

	options.limit_bytes = limit;
	options.tag = number;
	result = zrx_receiver_add(run->receiver, stream->fd, &options, &stream->handle);
	if (result < 0)
		zrx_receiver_error(run->receiver, &error);
	CHECK(result == 0, "add of stream %" PRIu64 ": %s: %s. Hint: %s", number, strerror(-result),
	      error.message, error.hint);
}

static void remove_stream(struct run *run, uint64_t number)
{
	struct stream *stream = &run->ledger.streams[number];
	int result = zrx_receiver_remove(run->receiver, stream->handle);

	CHECK(result == 0, "remove of stream %" PRIu64 ": %s", number, strerror(-result));
	stream->removed = 1;
}

static void add_accepted(struct run *run, uint64_t number)
{
	struct stream *stream = &run->ledger.streams[number];

	add_stream(run, number, run->scenario->limit);
	run->ledger.added++;
	if (run->scenario->remove_at == 0)
		remove_stream(run, number);
	if (!run->scenario->add_late)
		peer_go_on(stream->fd);
	if (run->scenario->close_fd) {
		close(stream->fd);
		stream->fd = -1;
	}
}

/* Accept and add streams first to last - 1. */
static void accept_streams(struct run *run, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last; i++) {
		run->ledger.streams[i].fd = peer_accept(&run->peer);
		if (run->scenario->add_late)
			peer_go_on(run->ledger.streams[i].fd);
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

static void check_quiet(const struct run *run, uint64_t waited_ns)
{
	uint64_t timeout_ns = (uint64_t)run->scenario->timeout_ms * 1000000;

	if (run->scenario->until == UNTIL_TIMEOUT)
		CHECK(waited_ns >= timeout_ns && waited_ns - timeout_ns < TIMEOUT_SLACK,
		      "receive waited %" PRIu64 " ns, timeout %" PRIu64, waited_ns, timeout_ns);
}

/* One receive, and its events booked and held. Returns how many there were. */
static uint32_t receive_batch(struct run *run, int64_t timeout_ns)
{
	uint64_t begun = now_ns();
	int count = zrx_receiver_receive(run->receiver, run->events, (uint32_t)run->scenario->batch,
					 timeout_ns);

	if (count == -EINTR && run->scenario->signal_ms)
		return 0;
	CHECK(count >= 0, "receive: %s", strerror(-count));
	CHECK((uint64_t)count <= run->scenario->batch, "receive: %d events of %" PRIu64, count,
	      run->scenario->batch);
	run->quiet = count == 0;
	if (run->quiet)
		check_quiet(run, now_ns() - begun);
	for (int i = 0; i < count; i++) {
		const struct zrx_event *event = &run->events[i];
		uint64_t offset = ledger_take(&run->ledger, event);

		if (event->kind == ZRX_EVENT_DATA)
			keeper_hold(&run->keeper,
				    &(struct held){event->buffer, event->tag, offset});
	}
	return (uint32_t)count;
}

/* What the scenario does between two receives: release, remove, fork. */
static void between_receives(struct run *run)
{
	const struct scenario *s = run->scenario;
	int parked = s->remove_at == SCENARIO_PARKED && read_stats(run).parked;

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
		keeper_release(&run->keeper, s->hold_count);
}

static void receive_some(struct run *run)
{
	int64_t timeout_ns = run->scenario->timeout_ms * 1000000;
	struct pollfd poll_fd = {.fd = zrx_receiver_fd(run->receiver), .events = POLLIN};

	if (run->scenario->wait == WAIT_RECEIVE) {
		receive_batch(run, timeout_ns);
		between_receives(run);
		return;
	}
	while (receive_batch(run, 0) == run->scenario->batch)
		between_receives(run);
	between_receives(run);
	if (run->ledger.ended < run->ledger.added)
		poll(&poll_fd, 1, (int)run->scenario->timeout_ms);
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
		return run->quiet && read_stats(run).wakes;
	}
	return 1;
}

static void close_sockets(struct run *run)
{
	for (uint64_t i = 0; i < run->ledger.added; i++) {
		if (run->ledger.streams[i].fd >= 0)
			close(run->ledger.streams[i].fd);
		run->ledger.streams[i].fd = -1;
	}
}

static void receive_all(struct run *run)
{
	uint64_t count = run->scenario->connections;
	uint64_t group = run->scenario->connect_each ? 1 : count;

	for (uint64_t first = 0; first < count; first += group) {
		accept_streams(run, first, first + group);
		if (!first)
			disturb_start(&run->disturber, run->scenario, run->receiver);
		while (!finished(run))
			receive_some(run);
		if (run->scenario->connect_each)
			close_sockets(run);
	}
	disturb_stop(&run->disturber);
	ledger_check(&run->ledger);
}

/* ---- the rest ---- */

static void recv_rest(struct run *run)
{
	static unsigned char bytes[65536];

	for (uint64_t i = 0; i < run->ledger.added; i++) {
		struct stream *stream = &run->ledger.streams[i];
		ssize_t count;

		while ((count = recv(stream->fd, bytes, sizeof(bytes), 0)) > 0) {
			size_t good = payload_check(bytes, (size_t)count, run->scenario->seed, i,
						    stream->received);

			CHECK(good == (size_t)count,
			      "stream %" PRIu64 ": wrong byte at %" PRIu64 " by recv", i,
			      stream->received + good);
			stream->received += (uint64_t)count;
		}
		CHECK(count == 0, "stream %" PRIu64 ": recv after its end: %s", i, strerror(errno));
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
		receive_batch(run, 1000000000);
		keeper_release(&run->keeper, 0);
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

static void *close_in_thread(void *argument)
{
	return (void *)(intptr_t)zrx_receiver_close(argument);
}

static void close_receiver(struct run *run)
{
	struct zrx_receiver *receiver = run->receiver;
	size_t out = keeper_held(&run->keeper);
	intptr_t result;

	run->receiver = NULL;
	if (run->scenario->close_on_thread) {
		void *returned = NULL;
		pthread_t thread;

		thread_start(&thread, close_in_thread, receiver);
		pthread_join(thread, &returned);
		result = (intptr_t)returned;
		CHECK(result == (out ? ZRX_CLOSE_DEFERRED : 0),
		      "close on another thread with %zu buffers out: %d", out, (int)result);
		return;
	}
	result = zrx_receiver_close(receiver);
	CHECK(result == 0, "close: %d", (int)result);
}

/* Whether buffers are held past close makes the difference in order. */
static void finish(struct run *run)
{
	int past_close = run->scenario->hold == HOLD_CLOSED;
	struct zrx_stats stats;

	keeper_stop_watching(&run->keeper);
	if (!past_close)
		keeper_drain(&run->keeper);
	do_rest(run);
	if (run->scenario->close_fd)
		peer_wait(&run->peer);
	stats = read_stats(run);
	ledger_check_stats(&run->ledger, &stats, keeper_held(&run->keeper));
	close_receiver(run);
	if (past_close)
		sleep_ms(run->scenario->closed_ms);
	keeper_stop(&run->keeper);
	close_sockets(run);
	if (!run->scenario->close_fd)
		peer_wait(&run->peer);
}

static void run_once(const struct scenario *scenario, const struct run_setup *setup)
{
	struct holdings before = holdings_count(scenario->area_bytes), after;
	struct run run = {.scenario = scenario, .setup = setup};

	run.events = calloc(scenario->batch, sizeof(*run.events));
	CHECK(run.events, "no memory for events");
	ledger_open(&run.ledger, scenario);
	current = &run;
	peer_listen(&run.peer, scenario);
	open_receiver(&run);
	keeper_start(&run.keeper, scenario, run.receiver);
	peer_start(&run.peer, scenario, setup->sender);
	receive_all(&run);
	finish(&run);
	current = NULL;
	ledger_close(&run.ledger);
	free(run.events);
	after = holdings_count(scenario->area_bytes);
	holdings_compare(&before, &after);
}

void scenario_run(const struct scenario *scenario, const struct run_setup *setup)
{
	for (uint64_t i = 0; i < scenario->repeat; i++)
		run_once(scenario, setup);
}

void scenario_describe(char *text, size_t size)
{
	struct zrx_stats stats = ZRX_STATS_INIT;

	snprintf(text, size, "between runs");
	if (!current)
		return;
	if (current->receiver)
		zrx_receiver_stats(current->receiver, &stats);
	snprintf(text, size,
		 "%" PRIu64 " streams added, %" PRIu64 " ended, %" PRIu64 " bytes in %" PRIu64
		 " buffers; stats: outstanding %" PRIu64 " parked %" PRIu64 " parks %" PRIu64
		 " backlog %" PRIu64 " stall %u rearms %" PRIu64 "/%" PRIu64 "/%" PRIu64 "/%" PRIu64
		 " flushes %" PRIu64 " waits %" PRIu64,
		 current->ledger.added, current->ledger.ended, current->ledger.bytes,
		 current->ledger.buffers, stats.outstanding, stats.parked, stats.parks,
		 stats.backlog, stats.stall, stats.rearms_ring_full, stats.rearms_no_buffer,
		 stats.rearms_silent, stats.rearms_interrupted, stats.flushes, stats.waits);
}
