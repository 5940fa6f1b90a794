/* SPDX-License-Identifier: MIT */
/* What happens around the receiver: peers, other threads, the driver. */
#include "app.h"
#include "area.h"
#include "others.h"
#include "receiver.h"
#include "uring.h"
#include "zcrx_model.h"

#define LEAPS_IN_VAIN 20u
/* How long a receiver may sleep without a look at what nobody announces. */
#define PARKED_NS  64000000u
#define BACKLOG_NS 64000000u
/* So many sleeps as short as this, one after the other, are too many. */
#define SHORT_SLEEPS_MOST 8u
#define BACKLOG_SPIN_NS   2000000u
#define GROWTH_NS         10000000000u

static int release_elsewhere(void)
{
	if (!app->released_elsewhere)
		return 0;
	if (sim_chance(50) && others_step())
		return 1;
	return others_release(sim_chance(30) ? APP_VIEWS : sim_between(1, 4)) || others_step();
}

int sim_world_step(void)
{
	uint32_t choices = sim_socket_count + 2 + !!app_group_is_open();
	uint32_t start = sim_below(choices);
	int done = 0;

	if (sim.inside)
		return 0;
	sim.inside = 1;
	for (uint32_t i = 0; i < choices && !done; i++) {
		uint32_t choice = (start + i) % choices;

		if (choice < sim_socket_count)
			done = sim_socket_arrive(&sim_sockets[choice]);
		else if (choice == sim_socket_count)
			done = release_elsewhere();
		else if (choice == sim_socket_count + 1)
			done = sim_zcrx_driver_step();
		else
			done = app_group_elsewhere();
	}
	sim.inside = 0;
	return done;
}

void sim_world_maybe(void)
{
	while (sim_chance(30) && sim_world_step())
		;
	if (!sim.inside && sim_chance(30))
		sim_uring_run_somewhere();
}

/* ---- what is owed ---- */

static const char *owed_by(const struct app_stream *stream)
{
	const struct sim_socket *socket = stream->socket;

	if (!stream->live)
		return NULL;
	if (stream->removing)
		return "a stream was removed and has not ended";
	if (stream->limit && stream->received == stream->limit)
		return "a stream is at its limit and has not ended";
	if (socket->consumed != stream->start + stream->received)
		return "bytes were read from a socket and not delivered";
	if (stream->paused)
		return NULL;
	if (sim_zcrx_starved(socket))
		return NULL;
	if (socket->consumed != socket->arrived)
		return "bytes wait in a socket";
	if (socket->finished)
		return "a peer has closed, and its stream has not ended";
	return NULL;
}

const char *app_owed(void)
{
	/* The receiver tells, and is good for nothing but to be closed. */
	if (sim_uring.cq_overflow)
		return NULL;
	if (app_group_owed())
		return app_group_owed();
	/* Views that only the owner would release may be all the chunks there are. */
	if (app->view_count || app->releasing)
		return NULL;
	for (uint32_t i = 0; i < app->stream_count; i++) {
		const char *owed = owed_by(&app->streams[i]);

		if (owed)
			return owed;
	}
	/* A driver without chunks drops packets, and nobody is told. */
	if (sim_zcrx_user_references() > sim_zcrx_pending() && !sim_zcrx_refill_full())
		return "released buffers have not gone back to the kernel";
	return NULL;
}

/* Whether this stream, for which there is no request, would get bytes if there were one. */
static int would_receive(const struct app_stream *stream)
{
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;
	struct sim_socket *socket = stream->socket;

	if (!stream->live || stream->removing || socket->requests || !socket->segment_count)
		return 0;
	zrx_stream_stats(app->receiver, stream->handle, &stats);
	if (stats.paused || stats.at_window)
		return 0;
	if (app->engine == ZRX_ENGINE_MULTISHOT)
		return !stream->limit && sim_receive_has_buffers();
	return sim_socket_front(socket)->chunk < 0 && sim_zcrx_came_back();
}

/* A stream rests at its window although half of it, and a chunk, is free again. */
static int rests_in_vain(const struct app_stream *stream)
{
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;

	if (!stream->live || stream->socket->requests || /* its end is still to come */
	    zrx_stream_stats(app->receiver, stream->handle, &stats) || !stats.at_window ||
	    stats.paused)
		return 0;
	return stats.held_bytes * 2 <= stats.window_bytes &&
	       stats.held_bytes + app->chunk_bytes <= stats.window_bytes;
}

/* An automatic window, or the want of chunks, keeps a stream from going on. */
static int starves(const struct app_stream *stream)
{
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;

	return stream->live && !stream->window && !stream->socket->requests &&
	       !zrx_stream_stats(app->receiver, stream->handle, &stats) && stats.at_window &&
	       !stats.paused;
}

/* Where growth was refused it is tried again, also if nothing happens meanwhile. */
static void check_growth(const struct zrx_stats *stats)
{
	int starving = stats->parked != 0;

	if (zrx_growth_next(app->receiver->area) == stats->area_bytes)
		return;
	for (uint32_t i = 0; stats->paused && i < app->stream_count; i++)
		starving |= starves(&app->streams[i]);
	if (!starving)
		return;
	if (!sim_growth_put_off())
		sim_fail("the receiver sleeps, streams have not enough, and the area could grow");
	if (sim.sleeps_until > sim.now_ns + GROWTH_NS)
		sim_fail("the receiver sleeps for ever, and does not try growth again");
}

/* Where nothing comes it looks for room in the refill ring ever more rarely. */
static void check_pace(int looks, uint64_t left)
{
	if (!looks || left >= BACKLOG_SPIN_NS || sim.progress != app->progress)
		app->short_sleeps = 0;
	else if (++app->short_sleeps > SHORT_SLEEPS_MOST)
		sim_fail("nothing comes, and the receiver looks at the backlog each %llu ns",
			 (unsigned long long)left);
	app->progress = sim.progress;
}

/* Others that release, or wake, at this moment change what is so. */
void sim_world_sleeps(uint64_t timer)
{
	uint64_t left = timer > sim.now_ns ? timer - sim.now_ns : 0;
	struct zrx_stats stats = ZRX_STATS_INIT;

	/* Real threads may do so between the look and the sleep. */
	if (sim.threads || app->closing || app->releasing ||
	    atomic_load(&app->receiver->area->wake_asked))
		return;
	zrx_receiver_stats(app->receiver, &stats);
	if (sim_uring.cq_overflow)
		sim_fail("the receiver sleeps, and a completion was lost");
	for (uint32_t i = 0; stats.parked && i < app->stream_count; i++) {
		if (would_receive(&app->streams[i]))
			sim_fail("the receiver sleeps, and there are buffers for stream %u, which "
				 "is parked",
				 i);
	}
	check_growth(&stats);
	for (uint32_t i = 0; stats.paused && i < app->stream_count; i++) {
		if (rests_in_vain(&app->streams[i]))
			sim_fail("the receiver sleeps, and the window of stream %u is open", i);
	}
	if (app->engine == ZRX_ENGINE_ZCRX && stats.parked && (!timer || left > PARKED_NS))
		sim_fail("the receiver sleeps for %llu ns without a look at what is parked",
			 (unsigned long long)left);
	if (stats.backlog && (!timer || left > BACKLOG_NS))
		sim_fail("the receiver sleeps for %llu ns without a look at the backlog",
			 (unsigned long long)left);
	check_pace(stats.backlog && timer, left);
}

/* In a group one receiver may wake another. */
static int nobody_polls(int fd)
{
	for (uint32_t i = 0; i < APPS; i++) {
		const struct zrx_area *area = apps[i].receiver ? apps[i].area : NULL;

		if (area && (fd == area->wake_fd || fd == area->poll_fd))
			return !apps[i].polls;
	}
	return 0;
}

void sim_world_signalled(int fd)
{
	if (!sim.threads && !others_running() && app->receiving && !sim.inside && nobody_polls(fd))
		sim_fail("a receive signals an eventfd, and nobody polls");
}

/* Somebody else's. */
static void wake(void)
{
	uint32_t receiving = app->receiving;

	app->receiving = 0;
	zrx_receiver_wake(app->receiver);
	app->receiving = receiving;
}

void sim_world_quiet(void)
{
	if (app_owed())
		sim_fail("deadlock: the receiver sleeps for ever, but %s", app_owed());
	if (atomic_load(&app->receiver->area->wake_asked))
		sim_fail("deadlock: the receiver was woken, and sleeps for ever");
	sim_trace("nothing left to do: wake");
	wake();
}

void sim_world_leapt(void)
{
	if (++app->leaps % LEAPS_IN_VAIN == 0 && !app_owed())
		wake();
}
