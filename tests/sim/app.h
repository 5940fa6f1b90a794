/* SPDX-License-Identifier: MIT */
/*
 * The application: it adds sockets, receives, holds views and releases them, and checks at each
 * step what the contract promises.
 */
#ifndef SIM_APP_H
#define SIM_APP_H

#include <stdint.h>

#include "sim.h"
#include "tcp_model.h"

#define APP_STREAMS 512
#define APP_VIEWS   8192
#define APP_BATCH   64
#define APPS        3 /* receivers of a group */

struct app_stream {
	struct sim_socket *socket;
	uint64_t handle;
	uint64_t tag;
	uint64_t start; /* offset of its first byte in the socket's payload */
	uint64_t received;
	uint64_t limit;  /* 0: none */
	uint64_t window; /* 0: automatic */
	uint32_t live;
	uint32_t removing;
	uint32_t paused; /* by hand */
};

struct app_view {
	struct zrx_buffer buffer;
	const struct sim_socket *socket;
	uint64_t offset; /* in the socket's payload */
};

struct app {
	struct zrx_receiver *receiver; /* NULL: closed */
	struct zrx_area *area;
	uint32_t engine;
	uint64_t area_bytes; /* at open */
	uint64_t area_most;  /* how far it may grow */
	uint64_t chunk_bytes;
	uint64_t window;             /* of streams that have none of their own; 0: automatic */
	uint32_t released_elsewhere; /* other threads release views */
	uint32_t polls;              /* it waits for the receiver's descriptor */
	uint32_t hold;               /* views it likes to keep */
	uint32_t capacity;           /* of its receives, at most */
	uint32_t stream_count, live;
	uint64_t bytes, buffers, ended;
	void *area_memory; /* the caller's; NULL: the library's own */
	uint32_t area_freed;
	uint32_t leaps;        /* of time, in vain */
	uint32_t short_sleeps; /* with a backlog, since the last long one */
	uint64_t progress;     /* at the last of them */
	/* Inside of a receive. Atomic, so that no compiler reads it where it need not be read. */
	_Atomic uint32_t receiving;
	uint32_t closing; /* inside of a close */
	uint32_t broken;  /* the ring has lost a completion: nothing is left but to close */
	struct app_stream streams[APP_STREAMS];
	_Atomic uint32_t releasing; /* views whose release has begun */
	uint32_t view_count;
	struct app_view views[APP_VIEWS];
};

extern struct app apps[APPS];
extern struct app *app;          /* whose thread has the processor */
extern int app_fds[SIM_SOCKETS]; /* the application's own descriptor of each socket; -1: closed */

void app_begin(void);
uint32_t app_number(const struct sim_socket *socket);
/* A new connection, which the application has a descriptor of; NULL: there are enough. */
struct sim_socket *app_connect(void);
/* A socket whose stream is over, but that the application still has; NULL: none. */
struct sim_socket *app_pick_again(void);
/* A stream of this receiver, with the fields that it is known by. */
struct app_stream *app_new_stream(const struct app_stream *stream);
/* The application has no more use for its own descriptor of a socket that is added. */
void app_perhaps_close(struct sim_socket *socket);
void app_add_socket(void); /* a new connection, or one whose stream is over */
void app_remove(void);
void app_pause_or_resume(void);
uint64_t app_choose_window(void);
void app_receive(int64_t timeout_ns);
void app_wait_for_descriptor(void);
void app_check_stats(void);

/* ---- views.c ---- */

void app_hold(const struct zrx_buffer *buffer, const struct sim_socket *socket, uint64_t offset);
/* Release some views, chosen at random. */
void app_release(uint32_t count);
void app_release_wrongly(void);
struct app_view app_take_view(void);
void app_check_view(const struct app_view *view, const char *when);
void app_check_views(void);

/* ---- app_group.c ---- */

void app_group_begin(void);
int app_group_wanted(void); /* whether this run's receivers are a group's */
/* Returns what opening gives; the receivers are apps[] then. */
int app_group_open(const struct zrx_options *options, struct zrx_error *error);
int app_group_is_open(void);
/* Sockets are handed over, peers connect. 0: nothing of that is due. */
int app_group_act(void);
/* The same by others, while a receiver is at work or sleeps. 0: there are no more sockets. */
int app_group_elsewhere(void);
/* A socket is handed over: by this thread, or another one in its place. */
int app_group_add(void);
void app_group_added(const struct zrx_event *event);
void app_group_refused(const struct zrx_event *event);
/* Whether a socket is on its way to a receiver. */
int app_group_has(const struct sim_socket *socket);
/* What it owes to this receiver's thread; NULL: nothing. */
const char *app_group_owed(void);
/* The receiver's event loop is about to sleep: where accepting waits it is woken in time. */
void app_group_sleeps(void);
/* Another receiver's thread has its turn. 0: all are closed. */
int app_group_turn(void);
int app_group_turn_left(void); /* the same, without the turn */
void app_group_close(void);

/* ---- around.c ---- */

/* What the receiver owes: text, or NULL if it may sleep. */
const char *app_owed(void);

#endif
