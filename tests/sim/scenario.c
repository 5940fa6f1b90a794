/* SPDX-License-Identifier: MIT */
/* A run: what is opened, what the application does, how it ends. */
#include <errno.h>
#include <stdlib.h>

#include "app.h"
#include "area.h"
#include "nic_model.h"
#include "others.h"
#include "receiver.h"
#include "refill.h"
#include "scenario.h"
#include "uring.h"
#include "zcrx_model.h"

#define ACTIONS_MOST 4000
#define ACTIONS_FUZZ 250 /* many short runs teach a fuzzer more */
#define DRAINS_MOST  20000
#define PATIENCE_NS  200000000

/* ---- open ---- */

/* An engine is only worth simulating on a kernel that has it. */
static void choose_engine(struct zrx_options *options)
{
	app->engine = (uint32_t)(sim.seed % 4) + 1;
	if (app->engine == ZRX_ENGINE_ZCRX || app->engine == ZRX_ENGINE_ZCRX_NODEV)
		sim.kernel.defer_taskrun = 1;
	if (app->engine == ZRX_ENGINE_ZCRX_NODEV)
		sim.kernel.query = sim.kernel.flush = sim.kernel.rx_page_size = sim.kernel.nodev =
			1;
	options->engine = app->engine;
	options->interface = app->engine == ZRX_ENGINE_ZCRX ? "sim0" : NULL;
}

static void free_area(void *memory, uint64_t bytes, void *context)
{
	struct app *owner = context;

	if (bytes != owner->area_bytes || owner->area_freed++)
		sim_fail("the caller's area is given back wrongly");
	sim_check_unused(memory, bytes, "given back");
	sim_nic_check_unbound(memory, bytes, "given back");
	free(memory);
}

/* Engines that are named are refused where they cannot. */
static void choose_growth(struct zrx_options *options, uint32_t chunks)
{
	int zcrx = app->engine == ZRX_ENGINE_ZCRX || app->engine == ZRX_ENGINE_ZCRX_NODEV;

	if (zcrx)
		sim.kernel.query = sim.kernel.flush = sim.kernel.rx_page_size = sim.kernel.nodev =
			sim.kernel.events = sim.kernel.stops_queue_first = sim.kernel.add_area = 1;
	options->area_max_bytes = app->area_most =
		app->area_bytes + app->chunk_bytes * sim_between(1, 3 * chunks);
}

static void choose_area(struct zrx_options *options)
{
	uint32_t page = sim.kernel.page_bytes;
	uint32_t chunk = page << (sim_chance(60) ? 0 : sim_below(4));
	uint32_t chunks = sim_chance(50) ? sim_between(2, 8) : sim_between(8, 128);

	options->buffer_bytes = chunk;
	app->chunk_bytes = chunk;
	options->area_bytes = app->area_bytes = app->area_most = (uint64_t)chunk * chunks;
	if (!app_group_wanted() && sim_chance(20)) {
		options->area_kind = ZRX_AREA_CALLER;
		options->area_free = free_area;
		options->area_context = app;
		if (posix_memalign(&options->area_memory, 4096, app->area_bytes))
			abort();
		app->area_memory = options->area_memory;
	}
	options->ring_entries = 1u << sim_below(9);
	if (sim_chance(60))
		options->refill_entries = sim_between(1, chunks);
	if (sim_chance(20))
		options->flags |= ZRX_REFILL_RING_KERNEL;
	options->window_bytes = app->window = app_choose_window();
	if (sim_chance(30) && options->area_kind != ZRX_AREA_CALLER)
		choose_growth(options, chunks);
}

/* Returns 0 if the simulated shortage was in the way: then nothing may be left behind. */
static int open_receiver(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	choose_engine(&options);
	choose_area(&options);
	result = app_group_wanted() ? app_group_open(&options, &error)
				    : zrx_receiver_open(&app->receiver, &options, &error);
	sim_trace("open engine %s, %llu bytes, buffers of %u, page %u: %d %s",
		  zrx_engine_name(options.engine), (unsigned long long)options.area_bytes,
		  options.buffer_bytes, sim.kernel.page_bytes, result, error.message);
	if (!result) {
		app->area = app->receiver->area;
		return 1;
	}
	if (!sim.kernel.short_memory || error.code != result || !error.stage)
		sim_fail("open gives %d (stage %u: %s)", result, error.stage, error.message);
	/* It may not be freed while the NIC has it, as after a close. */
	if (sim_nic_bound() && result != -EBUSY)
		sim_fail("open fails with %d, and the queue stays bound", result);
	if (app->area_memory && !sim_nic_bound())
		free(app->area_memory);
	return 0;
}

static void choose_habits(struct app *app)
{
	app->released_elsewhere = sim_chance(60);
	app->polls = sim_chance(30);
	app->hold = sim_chance(50) ? sim_below(8) : sim_below(300);
	app->capacity = sim_chance(50) ? sim_between(1, 8) : APP_BATCH;
}

/* ---- in between ---- */

/* The kernel's references that holds have, or chunks of the backlog: not those of holds that are
 * done with. */
static uint32_t held_references(const struct zrx_area *area)
{
	const struct zrx_holds *holds = &area->holds;
	uint32_t references = (uint32_t)zrx_refill_backlog(area->refill);

	for (uint32_t i = 0; i < holds->total; i++)
		references += zrx_hold_references(zrx_hold_word(holds, i));
	for (uint32_t at = atomic_load(&area->settled); at; at = holds->next[at - 1])
		references -= zrx_hold_references(zrx_hold_word(holds, at - 1));
	return references;
}

/* zcrx: each reference of the user is a hold's, a completion, or in the refill ring. */
static void check_references(void)
{
	uint32_t unread = 0, held, mask = sim_uring.cq_mask;

	if (!app->area->refill || app->releasing)
		return;
	for (uint32_t i = sim_uring.cq_head; i != sim_uring.cq_tail; i++)
		unread += !!(sim_uring.cqes[(i & mask) * 2].flags & IORING_CQE_F_MORE);
	held = held_references(app->area);
	if (sim_zcrx_user_references() != held + unread + sim_zcrx_pending())
		sim_fail("%u references are out: %u in holds, %u completions, %u refill entries",
			 sim_zcrx_user_references(), held, unread, sim_zcrx_pending());
}

static void release(uint32_t count)
{
	if (!app->released_elsewhere || sim_chance(50) || !others_release(count))
		app_release(count);
}

static void receive(void)
{
	if (app->polls && sim_chance(70))
		app_wait_for_descriptor();
	else if (sim_chance(40))
		app_receive(0);
	else
		app_receive(sim_chance(50) ? -1 : (int64_t)sim_between(1, PATIENCE_NS));
	if (app->view_count > app->hold)
		release(app->view_count - app->hold);
}

static void act(void)
{
	uint32_t choice = sim_below(100);

	if (choice < 8 && app_group_is_open() && app_group_act())
		sim_step();
	else if (choice < 8)
		app_add_socket();
	else if (choice < 11)
		app_remove();
	else if (choice < 13)
		app_release_wrongly();
	else if (choice < 15)
		zrx_receiver_wake(app->receiver);
	else if (choice < 30)
		release(sim_between(1, 16));
	else if (choice < 32)
		app_check_views();
	else if (choice < 40)
		sim_world_maybe();
	else if (choice < 44)
		app_pause_or_resume();
	else
		receive();
	check_references();
}

static void resume_all(void)
{
	for (uint32_t i = 0; i < app->stream_count; i++) {
		if (app->streams[i].paused && app->streams[i].live)
			zrx_receiver_resume(app->receiver, app->streams[i].handle);
		app->streams[i].paused = 0;
	}
}

/* All were released: the next receive knows. */
static void check_nothing_held(void)
{
	struct zrx_stats stats = ZRX_STATS_INIT;

	app_receive(0);
	zrx_receiver_stats(app->receiver, &stats);
	if (!app->view_count && !app->releasing && !stats.backlog && stats.held_bytes)
		sim_fail("stats: %llu bytes are held, and no buffer is out",
			 (unsigned long long)stats.held_bytes);
}

static void receive_all(void)
{
	app_receive(PATIENCE_NS);
	app_release(app->view_count);
	others_finish();
	check_references();
}

/* What each receiver that is open does. */
static void each_receiver(void (*does)(void))
{
	for (app = apps; app < apps + APPS; app++)
		if (app->receiver)
			does();
	app = apps;
}

static const char *owed_by_any(void)
{
	const char *owed = NULL;

	for (app = apps; !owed && app < apps + APPS; app++)
		if (app->receiver)
			owed = app_owed();
	app = apps;
	return owed;
}

/* Receive until nothing is owed and nothing more will come. */
static void drain(void)
{
	each_receiver(resume_all);
	for (uint32_t i = 0; i < DRAINS_MOST; i++) {
		each_receiver(receive_all);
		if (app->broken)
			return;
		if (!owed_by_any() && !sim_world_step()) {
			each_receiver(check_nothing_held);
			return;
		}
	}
	sim_fail("after %u receives %s", DRAINS_MOST,
		 owed_by_any() ? owed_by_any() : "the world still moves");
}

/* ---- the end ---- */

/* The model of the kernel is the owner's: of real threads none may be the last to let go. */
static void keep_the_last(uint32_t kept)
{
	if (sim.threads && !kept)
		others_finish();
}

/*
 * What close has to answer: whether the ring outlives it, for views that are out. On a queue it has
 * to unless the kernel says that it stops the queue before it takes chunks back.
 */
static int expected_of_close(int elsewhere)
{
	int queue = app->engine == ZRX_ENGINE_ZCRX && !sim.kernel.events;

	if (app->view_count && ((elsewhere && zrx_area_has_owner(app->area)) || queue))
		return ZRX_CLOSE_DEFERRED;
	return 0;
}

/* The ring stays, and nothing else does that need not. */
static void check_retired(int elsewhere)
{
	if (sim_nic_leads())
		sim_fail("flows are still led to the queue of a receiver that is closed");
	for (uint32_t i = 0; !elsewhere && i < sim_socket_count; i++)
		if (sim_sockets[i].requests || sim_sockets[i].descriptors != (app_fds[i] >= 0))
			sim_fail("socket %u is still held by a receiver that is closed", i);
}

static void close_receiver(void)
{
	int elsewhere = sim_chance(30), expected = expected_of_close(elsewhere), result;
	uint32_t out = app->view_count, begun = app->releasing;

	keep_the_last(out);
	if (elsewhere)
		atomic_store(&app->area->owner, UINT64_MAX);
	sim_turns_restart();
	app->closing = 1;
	result = zrx_receiver_close(app->receiver);
	app->receiver = NULL;
	sim_trace("close with %u views out%s: %d", out, elsewhere ? ", elsewhere" : "", result);
	/* Others released the last ones during it: then nothing has to outlive it. */
	if (out && !app->view_count && result != ZRX_CLOSE_DEFERRED)
		expected = 0;
	if (result == -EBUSY && !expected && sim_nic_bound())
		return; /* the kernel has not let the queue go, and close says so */
	if (result != expected && !begun &&
	    !(sim_uring.cq_overflow && out && result == ZRX_CLOSE_DEFERRED))
		sim_fail("close with %u views out gives %d", out, result);
	if (app_group_is_open())
		others_finish(); /* who hands a socket over holds it */
	if (result == ZRX_CLOSE_DEFERRED && !sim_uring.cq_overflow)
		check_retired(elsewhere);
}

static void after_close(void)
{
	while (app->view_count || app->releasing) {
		uint32_t count = sim_between(1, 1 + app->view_count / 4);

		app_check_views();
		for (uint32_t i = 0; i < sim_socket_count; i++)
			sim_socket_arrive(
				&sim_sockets[i]); /* what the kernel still does must not show */
		if (sim_chance(50) || !(others_step() || others_release(sim_between(1, 8)))) {
			keep_the_last(app->view_count > count);
			app_release(count);
		}
	}
	others_finish();
}

/* What the NIC may still write into is left where it is, and the caller not told to free it. */
static void check_lost_area(void)
{
	if (!sim_nic_bound())
		return;
	if (app->area_freed)
		sim_fail("the area was given back while the queue is bound to it");
	if (app->area_memory)
		free(app->area_memory);
	else
		sim_memory_lost(sim_nic_bound());
}

static void check_nothing_left(void)
{
	check_lost_area();
	for (uint32_t i = 0; i < sim_socket_count; i++) {
		if (app_fds[i] >= 0)
			zrx_sys_close(app_fds[i]);
		if (sim_sockets[i].descriptors || sim_sockets[i].requests)
			sim_fail("socket %u is still held", i);
	}
	sim_fd_check_empty();
	sim_memory_check_empty();
	sim_nic_check_empty();
}

static void act_or_leave(void)
{
	if (app_group_is_open() && sim_below(1000) < 2)
		close_receiver();
	else
		act();
}

void sim_scenario(uint64_t seed)
{
	uint32_t actions;

	sim_begin(seed);
	sim_uring_begin();
	sim_sockets_begin();
	sim_nic_begin();
	app_begin();
	others_begin();
	if (open_receiver()) {
		for (uint32_t i = 0; i < APPS; i++)
			if (apps[i].receiver)
				choose_habits(&apps[i]);
		actions = sim_between(10, sim.fuzzed ? ACTIONS_FUZZ : ACTIONS_MOST);
		while (!app->broken && app_group_turn() && sim_next_action(&actions))
			act_or_leave();
		if (!app->broken && sim_chance(80))
			drain();
		each_receiver(close_receiver);
		for (app = apps; app < apps + APPS; app++)
			after_close();
		app = apps;
		app_group_close();
	}
	check_nothing_left();
}
