/* SPDX-License-Identifier: MIT */
/* What happens around the receiver: peers, other threads, the driver. */
#include "app.h"
#include "area.h"
#include "others.h"
#include "receiver.h"
#include "uring.h"
#include "zcrx_model.h"

#define LEAPS_IN_VAIN 20u

static int release_elsewhere(void)
{
	if (!app.released_elsewhere)
		return 0;
	if (sim_chance(50) && others_step())
		return 1;
	return others_release(sim_chance(30) ? APP_VIEWS : sim_between(1, 4)) || others_step();
}

int sim_world_step(void)
{
	uint32_t choices = sim_socket_count + 2;
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
		else
			done = sim_zcrx_driver_step();
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
	/* Views that only the owner would release may be all the chunks there are. */
	if (app.view_count || app.releasing)
		return NULL;
	for (uint32_t i = 0; i < app.stream_count; i++) {
		const char *owed = owed_by(&app.streams[i]);

		if (owed)
			return owed;
	}
	/* A driver without chunks drops packets, and nobody is told. */
	if (sim_zcrx_user_references() > sim_zcrx_pending())
		return "released buffers have not gone back to the kernel";
	return NULL;
}

void sim_world_quiet(void)
{
	if (app_owed())
		sim_fail("deadlock: the receiver sleeps for ever, but %s", app_owed());
	if (atomic_load(&app.receiver->area->wake_asked))
		sim_fail("deadlock: the receiver was woken, and sleeps for ever");
	sim_trace("nothing left to do: wake");
	zrx_receiver_wake(app.receiver);
}

void sim_world_leapt(void)
{
	if (++app.leaps % LEAPS_IN_VAIN == 0 && !app_owed())
		zrx_receiver_wake(app.receiver);
}
