/* SPDX-License-Identifier: MIT */
/* One line of scenarios.txt; README.md says what each key means. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdint.h>

#define SCENARIO_WORDS  32
#define SCENARIO_NEVER  UINT64_MAX       /* remove_at, fork_at: not given */
#define SCENARIO_PARKED (UINT64_MAX - 1) /* remove_at=parked */
#define SCENARIO_PAUSED (UINT64_MAX - 2) /* remove_at=paused */
#define SCENARIO_WINDOW (UINT64_MAX - 1) /* hand_pause_at=window */

enum wait_kind { WAIT_RECEIVE, WAIT_POLL };
enum hold_kind { HOLD_COUNT, HOLD_END, HOLD_PARKED, HOLD_PAUSED, HOLD_CLOSED };
enum order_kind { ORDER_FIFO, ORDER_LIFO, ORDER_RANDOM };
enum until_kind { UNTIL_ENDS, UNTIL_BYTES, UNTIL_TIMEOUT, UNTIL_WAKE };
enum rest_kind { REST_NONE, REST_RECV, REST_ADD };
enum then_kind { THEN_RESUME, THEN_REMOVE, THEN_CLOSE };
enum close_kind { CLOSE_OWNERS, CLOSE_REVERSE, CLOSE_HALF, CLOSE_GROUP };
enum end_kind { END_FIN, END_LIMIT, END_REMOVED, END_RESET, END_NONE };

struct scenario {
	char *name;
	char *words[SCENARIO_WORDS + 1]; /* after the name, for the sender; NULL ends them */
	char *engines;                   /* comma-separated, or "all" */
	char *at_least;                  /* field:minimum,... or "" */
	uint64_t connections, bytes, seed;
	uint64_t area_bytes, buffer_bytes, ring_entries, refill_entries, limit;
	uint64_t batch, hold_count, park_ms, release_batch, release_threads;
	uint64_t remove_at, fork_at, wake_ms, signal_ms, until_bytes, closed_ms, repeat;
	char *refuse, *area; /* CALL:FIELD or ""; what the area is made of, or "" */
	uint64_t window_bytes, stream_window_bytes, area_max_bytes, small_area;
	uint64_t stalled, live_bytes; /* the first so many connections; of each of the others */
	uint64_t hand_pause_at, hand_pause_ms, hand_pause_streams, drop_at;
	uint64_t group, adders, inbox_entries; /* receivers of a group; 0: there is none */
	uint64_t shared_queue;                 /* they take from one queue */
	int group_listen;
	enum close_kind group_close;
	int64_t timeout_ms;
	int live_before;
	enum then_kind hand_pause_then;
	int connect_each, add_late, close_fd, double_release, close_on_thread, prefix, large,
		iterate;
	enum wait_kind wait;
	enum hold_kind hold;
	enum order_kind order;
	enum until_kind until;
	enum rest_kind rest;
	enum end_kind end;
};

struct scenario_table {
	struct scenario *scenarios;
	unsigned count;
	char *text; /* what the scenarios' strings point into */
};

/* Returns 0, or -1 after it has said on standard error what is wrong, and in which line. */
int scenario_table_read(struct scenario_table *table, const char *path);
void scenario_table_free(struct scenario_table *table);

/* How many bytes this stream's peer sends. */
uint64_t scenario_bytes(const struct scenario *scenario, uint64_t stream);

/* Is `word` one of the comma-separated `list`, or `list` the word "all"? */
int scenario_list_has(const char *list, const char *word);

#endif
