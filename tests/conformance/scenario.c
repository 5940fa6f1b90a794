/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Parses a value into the scenario; returns 0 if it is not one of the key's values. */
typedef int (*parse_fn)(struct scenario *s, const char *value, size_t at);

static int parse_number(const char *value, int64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoll(value, &end, 10);
	return end != value && *end == '\0' && !errno;
}

static int number(struct scenario *s, const char *value, size_t at)
{
	int64_t n;

	if (!parse_number(value, &n) || n < 0)
		return 0;
	memcpy((char *)s + at, &n, sizeof(n));
	return 1;
}

static int signed_number(struct scenario *s, const char *value, size_t at)
{
	int64_t n;

	if (!parse_number(value, &n))
		return 0;
	memcpy((char *)s + at, &n, sizeof(n));
	return 1;
}

/* The index of value among the words; enums and flags are numbered like their words. */
static int choice(struct scenario *s, const char *value, size_t at, const char *const words[])
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], value)) {
			memcpy((char *)s + at, &i, sizeof(i));
			return 1;
		}
	}
	return 0;
}

#define CHOICE(function, ...)                                                 \
	static int function(struct scenario *s, const char *value, size_t at) \
	{                                                                     \
		static const char *const words[] = {__VA_ARGS__, NULL};       \
		return choice(s, value, at, words);                           \
	}

CHOICE(flag, "0", "1")
CHOICE(connect_choice, "together", "each")
CHOICE(add_choice, "accept", "late")
CHOICE(wait_choice, "receive", "poll")
CHOICE(through_choice, "events", "iterator")
CHOICE(order_choice, "fifo", "lifo", "random")
CHOICE(rest_choice, "none", "recv", "add")
CHOICE(close_choice, "owner", "thread")
CHOICE(expect_choice, "exact", "prefix")
CHOICE(end_choice, "fin", "limit", "removed", "reset", "none")
CHOICE(size_choice, "small", "large")
CHOICE(live_choice, "after", "before")
CHOICE(then_choice, "resume", "remove", "close")
CHOICE(by_choice, "add", "listen")
CHOICE(group_close_choice, "owners", "reverse", "half", "group")

static int text(struct scenario *s, const char *value, size_t at)
{
	memcpy((char *)s + at, &value, sizeof(value));
	return 1;
}

/* Keys that are the sender's alone. */
static int ignored(struct scenario *s, const char *value, size_t at)
{
	(void)s, (void)value, (void)at;
	return 1;
}

static int hold(struct scenario *s, const char *value, size_t at)
{
	static const char *const words[] = {"", "end", "parked", "paused", "closed", NULL};

	if (choice(s, value, at, words))
		return s->hold != HOLD_COUNT;
	s->hold = HOLD_COUNT;
	return number(s, value, offsetof(struct scenario, hold_count));
}

static int remove_at(struct scenario *s, const char *value, size_t at)
{
	if (!strcmp(value, "paused"))
		s->remove_at = SCENARIO_PAUSED;
	else if (!strcmp(value, "parked"))
		s->remove_at = SCENARIO_PARKED;
	else
		return number(s, value, at);
	return 1;
}

static int hand_pause_at(struct scenario *s, const char *value, size_t at)
{
	if (strcmp(value, "window"))
		return number(s, value, at);
	s->hand_pause_at = SCENARIO_WINDOW;
	return 1;
}

static int until(struct scenario *s, const char *value, size_t at)
{
	static const char *const words[] = {"ends", "", "timeout", "wake", NULL};

	if (!strncmp(value, "bytes:", 6)) {
		s->until = UNTIL_BYTES;
		return number(s, value + 6, offsetof(struct scenario, until_bytes));
	}
	return choice(s, value, at, words) && s->until != UNTIL_BYTES;
}

#define KEY_AS(name, parse, field)                             \
	{                                                      \
#name, parse, offsetof(struct scenario, field) \
	}
#define KEY(name, parse) KEY_AS(name, parse, name)
static const struct key {
	const char *name;
	parse_fn parse;
	size_t at;
} keys[] = {
	KEY(connections, number),
	KEY(bytes, number),
	KEY(seed, number),
	KEY_AS(write, ignored, name),
	KEY_AS(pause_bytes, ignored, name),
	KEY_AS(pause_ms, ignored, name),
	KEY_AS(finish, ignored, name),
	KEY_AS(connect, connect_choice, connect_each),
	KEY(engines, text),
	KEY(area_bytes, number),
	KEY(buffer_bytes, number),
	KEY(ring_entries, number),
	KEY(refill_entries, number),
	KEY(limit, number),
	KEY_AS(add, add_choice, add_late),
	KEY(close_fd, flag),
	KEY(batch, number),
	KEY(timeout_ms, signed_number),
	KEY_AS(through, through_choice, iterate),
	KEY(wait, wait_choice),
	KEY(hold, hold),
	KEY(park_ms, number),
	KEY(order, order_choice),
	KEY(release_batch, number),
	KEY(release_threads, number),
	KEY(double_release, flag),
	KEY(remove_at, remove_at),
	KEY(fork_at, number),
	KEY(wake_ms, number),
	KEY(signal_ms, number),
	KEY(until, until),
	KEY(rest, rest_choice),
	KEY_AS(close, close_choice, close_on_thread),
	KEY(closed_ms, number),
	KEY(repeat, number),
	KEY_AS(expect, expect_choice, prefix),
	KEY(end, end_choice),
	KEY(at_least, text),
	KEY_AS(size, size_choice, large),
	KEY(window_bytes, number),
	KEY(stream_window_bytes, number),
	KEY(area_max_bytes, number),
	KEY(small_area, number),
	KEY(area, text),
	KEY(refuse, text),
	KEY(stalled, number),
	KEY(live_bytes, number),
	KEY_AS(live, live_choice, live_before),
	KEY(hand_pause_at, hand_pause_at),
	KEY(hand_pause_ms, number),
	KEY(hand_pause_streams, number),
	KEY(hand_pause_then, then_choice),
	KEY(drop_at, number),
	KEY(group, number),
	KEY_AS(by, by_choice, group_listen),
	KEY(adders, number),
	KEY(inbox_entries, number),
	KEY(shared_queue, number),
	KEY(group_close, group_close_choice),
	KEY_AS(burst, ignored, name),
};

static int parse_word(struct scenario *s, const char *word)
{
	const char *equals = strchr(word, '=');

	for (size_t i = 0; equals && i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t length = strlen(keys[i].name);

		if (length == (size_t)(equals - word) && !memcmp(word, keys[i].name, length))
			return keys[i].parse(s, equals + 1, keys[i].at);
	}
	return 0;
}

static void set_defaults(struct scenario *s)
{
	static char all[] = "all", none[] = "";

	*s = (struct scenario){
		.engines = all,
		.at_least = none,
		.refuse = none,
		.area = none,
		.connections = 1,
		.seed = 1,
		.area_bytes = 8388608,
		.batch = 64,
		.timeout_ms = 1000,
		.remove_at = SCENARIO_NEVER,
		.fork_at = SCENARIO_NEVER,
		.hand_pause_at = SCENARIO_NEVER,
		.hand_pause_ms = 300,
		.hand_pause_streams = UINT64_MAX,
		.drop_at = SCENARIO_NEVER,
		.repeat = 1,
		.adders = 1,
	};
}

/* The table is written for pages of 4 KiB: where they are larger, areas and buffers of few pages
 * are so too. */
static void fit_pages(struct scenario *s)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), times = page / 4096;

	if (s->area_bytes % page || s->area_bytes < 2 * page ||
	    (s->buffer_bytes && s->buffer_bytes < page)) {
		s->area_bytes *= times;
		s->buffer_bytes *= times;
	}
}

/* Cuts the line into words, which stay where they are. Returns the word that is wrong, or NULL. */
static const char *parse_line(struct scenario *s, char *line)
{
	char *rest = NULL;
	unsigned count = 0;

	set_defaults(s);
	s->name = strtok_r(line, " \t", &rest);
	for (char *word; (word = strtok_r(NULL, " \t", &rest));) {
		if (count == SCENARIO_WORDS || !parse_word(s, word))
			return word;
		s->words[count++] = word;
	}
	fit_pages(s);
	return NULL;
}

static char *read_text(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file || getdelim(&text, &size, '\0', file) < 0) {
		perror(path);
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

int scenario_table_read(struct scenario_table *table, const char *path)
{
	char *rest, *text = read_text(path);
	unsigned capacity = 0;

	*table = (struct scenario_table){.text = text};
	if (!text)
		return -1;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *wrong;

		if (line[strspn(line, " \t")] == '\0' || line[0] == '#')
			continue;
		if (table->count == capacity) {
			capacity = capacity ? 2 * capacity : 64;
			table->scenarios =
				realloc(table->scenarios, capacity * sizeof(*table->scenarios));
			if (!table->scenarios)
				abort();
		}
		wrong = parse_line(&table->scenarios[table->count], line);
		if (wrong) {
			fprintf(stderr, "%s: %s: not known: %s\n", path,
				table->scenarios[table->count].name, wrong);
			scenario_table_free(table);
			return -1;
		}
		table->count++;
	}
	return 0;
}

void scenario_table_free(struct scenario_table *table)
{
	free(table->scenarios);
	free(table->text);
	*table = (struct scenario_table){0};
}

uint64_t scenario_bytes(const struct scenario *scenario, uint64_t stream)
{
	return stream >= scenario->stalled && scenario->live_bytes ? scenario->live_bytes
								   : scenario->bytes;
}

int scenario_list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	if (!strcmp(list, "all"))
		return 1;
	for (const char *at = list; *at; at += strspn(at, ",")) {
		size_t item = strcspn(at, ",");

		if (item == length && !memcmp(at, word, length))
			return 1;
		at += item;
	}
	return 0;
}
