/* SPDX-License-Identifier: MIT */
/*
 * The application's side of a group: sockets that it, or other threads, hand over, peers that
 * connect, and what becomes of each of them: it is added once, or refused once.
 */
#include <errno.h>
#include <string.h>

#include "app.h"
#include "inbox.h"
#include "nic_model.h"
#include "others.h"
#include "receiver.h"
#include "uring.h"

#define FIRST_SEED  160000u /* seeds below it were kept before there were groups */
#define ARRIVALS    512u
#define ARRIVAL_TAG (1ull << 32)
#define LISTEN_TAG  (1ull << 33)
#define FIRST_NS    20000000u /* so long who lacks a descriptor goes first */

/* A socket on its way to a receiver. */
struct arrival {
	struct sim_socket *socket; /* NULL: it has arrived */
	int fd;
	uint32_t handing; /* the call has not returned */
	uint64_t start, limit, window;
};

static struct {
	struct zrx_group *group; /* NULL: there is none */
	uint32_t count;          /* of receivers */
	uint32_t entries;        /* of an inbox */
	uint32_t by_queue;
	struct sim_listener listener;
	int listen_fd; /* -1: nobody listens */
	uint32_t blocking;
	struct zrx_stream_options listen_options;
	uint32_t told; /* that the listener failed */
	/* Whose accepted connection lacks a descriptor, which is the next one's until then. */
	const struct app *lacks;
	uint64_t lacks_until;
	uint32_t arrival_count, under_way;
	struct arrival arrivals[ARRIVALS];
	/* What became of sockets. */
	uint32_t given, added, refused;
} group;

int app_group_wanted(void)
{
	return sim.seed > FIRST_SEED && !sim.fuzzed && sim.seed / 4 % 3 == 1;
}

void app_group_begin(void)
{
	memset(&group, 0, sizeof(group));
	group.listen_fd = -1;
}

int app_group_is_open(void)
{
	return group.group != NULL;
}

/* ---- open and listen ---- */

/* There is one ring in this world, and as many epoll instances as one likes. */
static uint32_t choose_count(void)
{
	return app->engine == ZRX_ENGINE_RECV && !sim.threads ? sim_between(1, APPS) : 1;
}

static void listen_to(void)
{
	int result;

	group.listener.blocking = group.blocking = sim_chance(50);
	group.listen_options = (struct zrx_stream_options)ZRX_STREAM_OPTIONS_INIT;
	group.listen_options.tag = LISTEN_TAG;
	group.listen_options.limit_bytes = sim_chance(20) ? sim_between(1, 3000) : 0;
	group.listen_options.window_bytes = app_choose_window();
	group.listen_fd = sim_fd_new(SIM_FD_LISTENER, &group.listener);
	result = zrx_group_listen(group.group, group.listen_fd, &group.listen_options, NULL);
	sim_trace("listen: %d", result);
	if (result && !(result == -EMFILE && sim.kernel.short_memory))
		sim_fail("listening gives %d", result);
	if (!result && !sim_chance(20))
		return;
	zrx_sys_close(group.listen_fd); /* the group has its own */
	group.listen_fd = result ? -1 : -2;
}

static int listens(void)
{
	return group.listen_fd != -1 && !group.listener.error;
}

int app_group_open(const struct zrx_options *receiver, struct zrx_error *error)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options changed = *receiver;
	int result;

	options.receiver = &changed;
	group.count = options.count = choose_count();
	options.inbox_entries = sim_between(1, 4);
	group.entries = options.inbox_entries > 2 ? 4 : 2;
	if (app->engine == ZRX_ENGINE_ZCRX && sim_chance(50)) {
		changed.steer = ZRX_STEER_PORT;
		changed.steer_port = 1;
		group.by_queue = 1;
	}
	if (group.count > 1) { /* the model knows one that grows */
		changed.area_max_bytes = 0;
		app->area_most = app->area_bytes;
	}
	result = zrx_group_open(&group.group, &options, error);
	for (uint32_t i = 0; !result && i < group.count; i++) {
		if (i)
			memcpy(&apps[i], app, offsetof(struct app, streams));
		apps[i].receiver = zrx_group_receiver(group.group, i);
		apps[i].area = apps[i].receiver->area;
	}
	if (!result && sim_chance(70))
		listen_to();
	return result;
}

/* ---- hand over ---- */

int app_group_has(const struct sim_socket *socket)
{
	for (uint32_t i = 0; i < group.arrival_count; i++)
		if (group.arrivals[i].socket == socket)
			return 1;
	return 0;
}

static int is_the_applications(int fd)
{
	for (uint32_t i = 0; i < sim_socket_count; i++)
		if (app_fds[i] == fd)
			return 1;
	return 0;
}

void sim_world_duplicated(int fd, int lacking)
{
	if (!group.group || app->closing || is_the_applications(fd))
		return;
	group.lacks = lacking ? app : NULL;
	group.lacks_until = sim.now_ns + FIRST_NS;
}

void sim_world_accepts(void)
{
	if (group.lacks && group.lacks != app && sim.now_ns < group.lacks_until)
		sim_fail("a receiver accepts, and another lacks a descriptor for what it has "
			 "accepted");
}

/* The application may close its own once it is handed over, and the number be another's then. */
void sim_world_asked(int fd)
{
	if (sim_fd_kind(fd) != SIM_FD_FREE && !is_the_applications(fd))
		return;
	for (uint32_t i = 0; i < group.arrival_count; i++)
		if (group.arrivals[i].fd == fd && group.arrivals[i].handing)
			return;
	sim_fail("descriptor %d, which is the application's, is asked where it belongs", fd);
}

/* Where it arrives: at the queue, at one that is nobody's, or that is not told. */
static struct sim_socket *place(struct sim_socket *socket)
{
	static const uint32_t queues[] = {SIM_NIC_QUEUE, 7};

	if (socket && !socket->napi_id && sim_chance(70))
		socket->napi_id = sim_nic_napi_id(queues[sim_chance(30)]);
	return socket;
}

/* most: so many may have been on their way at some time of the call. */
static int may_refuse(int result, uint32_t most)
{
	if (result == -EMFILE)
		return sim.kernel.short_memory != 0;
	if (result == -ESHUTDOWN) {
		for (uint32_t i = 0; i < group.count; i++)
			if (apps[i].receiver && !apps[i].closing)
				return 0;
		return 1;
	}
	/* What others accepted goes through the same inboxes. */
	return result == -ENOBUFS && (most > group.entries || group.count > 1);
}

static int add(struct sim_socket *socket)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct arrival *arrival = &group.arrivals[group.arrival_count];
	uint32_t others = group.under_way - group.arrival_count;
	int result;

	if (!socket || group.arrival_count == ARRIVALS)
		return 0;
	options.tag = ARRIVAL_TAG | group.arrival_count++;
	options.limit_bytes = sim_chance(25) ? sim_between(1, 3000) : 0;
	options.window_bytes = app_choose_window();
	*arrival = (struct arrival){
		.socket = socket,
		.fd = app_fds[app_number(socket)],
		.handing = 1,
		.start = socket->consumed,
		.limit = options.limit_bytes,
		.window = options.window_bytes,
	};
	group.under_way++;
	result = zrx_group_add(group.group, arrival->fd, &options, NULL);
	arrival->handing = 0;
	sim_trace("hand over socket %u: %d", app_number(socket), result);
	sim_step();
	if (!result) {
		group.given++;
		app_perhaps_close(socket);
		return 1;
	}
	if (!may_refuse(result, others + group.arrival_count))
		sim_fail("handing over a socket gives %d, and %u are under way", result,
			 group.under_way - 1);
	arrival->socket = NULL;
	group.under_way--;
	return 1;
}

int app_group_add(void)
{
	return add(place(app_connect()));
}

static int peer_connects(void)
{
	struct sim_socket *socket;

	if (!listens() || !app_group_turn_left())
		return 0;
	socket = place(app_connect());
	if (!socket)
		return 0;
	zrx_sys_close(app_fds[app_number(socket)]); /* accept gives one */
	app_fds[app_number(socket)] = -1;
	sim_listener_connect(&group.listener, socket);
	return 1;
}

int app_group_act(void)
{
	uint32_t choice = sim_below(10);

	if (!group.group)
		return 0;
	if (choice < 3)
		return peer_connects();
	if (choice < 5)
		return add(place(app_pick_again()));
	if (choice < 9)
		return app_group_add();
	return 0;
}

int app_group_elsewhere(void)
{
	if (!group.group)
		return 0;
	/* Who has begun comes to its end, too, where views are released by nobody else. */
	if ((sim_chance(50) || sim_socket_count == SIM_SOCKETS ||
	     group.arrival_count == ARRIVALS) &&
	    others_step())
		return 1;
	if (sim_socket_count == SIM_SOCKETS || group.arrival_count == ARRIVALS)
		return 0;
	if (sim_chance(50) && peer_connects())
		return 1;
	if (sim_chance(80) && !sim.threads)
		return others_add() || others_step();
	return app_group_add();
}

/* ---- events ---- */

static void check_copied(const struct zrx_event *event)
{
	if (event->flags & ZRX_ADDED_COPIED && app->engine != ZRX_ENGINE_ZCRX)
		sim_fail("a socket is said to be served by copies");
}

static void added_accepted(const struct zrx_event *event)
{
	struct sim_socket *socket = sim_fd_object(event->error, SIM_FD_SOCKET);

	if (event->tag != LISTEN_TAG || !socket || app_fds[app_number(socket)] >= 0)
		sim_fail("a connection is added that was not accepted: descriptor %d",
			 event->error);
	app_fds[app_number(socket)] = event->error;
	app_new_stream(&(struct app_stream){
		.socket = socket,
		.handle = event->stream,
		.tag = event->tag,
		.start = socket->consumed,
		.limit = group.listen_options.limit_bytes,
		.window = group.listen_options.window_bytes ? group.listen_options.window_bytes
							    : app->window,
	});
	if (socket->consumed)
		sim_fail("bytes of a connection were read before it was added");
	app_perhaps_close(socket);
}

/* The one that the tag says; it has arrived now. */
static struct arrival take_arrival(const struct zrx_event *event)
{
	uint64_t index = event->tag - ARRIVAL_TAG;
	struct arrival arrival;

	if (index >= group.arrival_count || !group.arrivals[index].socket)
		sim_fail("an event of a socket that is not under way: tag %llx",
			 (unsigned long long)event->tag);
	arrival = group.arrivals[index];
	group.arrivals[index].socket = NULL;
	group.under_way--;
	return arrival;
}

static void added_given(const struct zrx_event *event)
{
	struct arrival arrival = take_arrival(event);

	if (event->error != arrival.fd || arrival.socket->consumed != arrival.start)
		sim_fail("a socket is added as descriptor %d, handed over was %d", event->error,
			 arrival.fd);
	app_new_stream(&(struct app_stream){
		.socket = arrival.socket,
		.handle = event->stream,
		.tag = event->tag,
		.start = arrival.start,
		.limit = arrival.limit,
		.window = arrival.window ? arrival.window : app->window,
	});
}

void app_group_added(const struct zrx_event *event)
{
	sim_trace("event: added, tag %llx, flags %x, descriptor %d, stream %llx",
		  (unsigned long long)event->tag, event->flags, event->error,
		  (unsigned long long)event->stream);
	if (!group.group || event->buffer.area ||
	    event->flags & ~(ZRX_ADDED_ACCEPTED | ZRX_ADDED_COPIED))
		sim_fail("an event of a socket that was added: flags %x", event->flags);
	check_copied(event);
	group.added++;
	if (event->flags & ZRX_ADDED_ACCEPTED)
		added_accepted(event);
	else
		added_given(event);
}

void app_group_refused(const struct zrx_event *event)
{
	sim_trace("event: refused, tag %llx, flags %x, error %d", (unsigned long long)event->tag,
		  event->flags, event->error);
	if (event->flags & ZRX_ADDED_LISTENER) {
		if (event->tag != LISTEN_TAG || event->error != group.listener.error ||
		    group.told++)
			sim_fail("the listener is told to have failed, with %d", event->error);
		return;
	}
	/* Each reason is a shortage of some kind. */
	if (!sim.kernel.short_memory || event->error >= 0)
		sim_fail("a socket is refused with %d", event->error);
	group.refused++;
	if (!(event->flags & ZRX_ADDED_ACCEPTED))
		take_arrival(event);
	else if (event->tag != LISTEN_TAG)
		sim_fail("a connection is refused that was not accepted");
}

const char *app_group_owed(void)
{
	const struct zrx_inbox *inbox;

	if (!group.group || !app->receiver)
		return NULL;
	inbox = app->receiver->inbox;
	if (zrx_inbox_first(app->receiver->inbox))
		return "a socket waits in the inbox";
	if (inbox->kept.given >= 0)
		return "a connection was accepted, and is not handed over";
	if (listens() && group.listener.waiting_count)
		return "a connection waits to be accepted";
	if (group.listener.error && group.listen_fd != -1 && !group.told)
		return "the listener has failed, and nobody was told";
	return NULL;
}

void app_group_sleeps(void)
{
	const struct zrx_inbox *inbox = app->receiver->inbox;
	uint64_t timer;

	if (!inbox || !inbox->retry_at)
		return;
	timer = inbox->timer_fd >= 0 ? sim_timer_at(inbox->timer_fd) : sim_uring_next_timer();
	if (!timer || timer > inbox->retry_at)
		sim_fail("accepting is to be tried again, and nobody reminds the event loop");
}

/* ---- turns, and the end ---- */

int app_group_turn_left(void)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < group.count; i++)
		left += apps[i].receiver != NULL;
	return left != 0;
}

int app_group_turn(void)
{
	uint32_t first;

	if (!group.group)
		return app->receiver != NULL;
	first = sim_below(group.count);
	for (uint32_t i = 0; i < group.count; i++) {
		struct app *next = &apps[(first + i) % group.count];

		if (!next->receiver)
			continue;
		app = next;
		return 1;
	}
	return 0;
}

/* Each socket that was handed over, or accepted, was added or refused, once. */
static void check_account(void)
{
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;

	if (zrx_group_stats(group.group, &stats))
		sim_fail("a group has no figures");
	if (stats.receiver_count || stats.waiting)
		sim_fail("all receivers are closed: %u are open, %u sockets wait",
			 stats.receiver_count, stats.waiting);
	if (stats.accepted != group.listener.accepted || stats.added != group.added ||
	    stats.refused < group.refused)
		sim_fail("the group counts %llu accepted, %llu added, %llu refused; it was %u, %u, "
			 "%u at least",
			 (unsigned long long)stats.accepted, (unsigned long long)stats.added,
			 (unsigned long long)stats.refused, group.listener.accepted, group.added,
			 group.refused);
	if (stats.added + stats.refused != group.given + group.listener.accepted)
		sim_fail("%u sockets were handed over, %u accepted: %llu were added, %llu refused",
			 group.given, group.listener.accepted, (unsigned long long)stats.added,
			 (unsigned long long)stats.refused);
}

void app_group_close(void)
{
	if (!group.group)
		return;
	others_finish();
	check_account();
	if (group.listener.blocking != group.blocking)
		sim_fail("the listener stays as the group has set it");
	if (zrx_group_close(group.group))
		sim_fail("closing a group without receivers fails");
	if (group.listen_fd >= 0)
		zrx_sys_close(group.listen_fd);
	group.group = NULL;
}
