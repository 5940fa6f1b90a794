/* SPDX-License-Identifier: MIT */
#include "group.h"
#include "peer.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PORTS      65536
#define TAG        4711 /* of connections that the group accepts */
#define RECEIVE_MS 200
#define ADDERS     4 /* channels that are no receiver's: RELEASERS and those behind it */
#define UNADDED    UINT32_MAX
#define NIC_QUEUES 3 /* of a modelled NIC's four: one is for other traffic */

_Static_assert(RELEASERS + ADDERS <= EXECUTOR_CHANNELS, "a channel for each");

/* What came of one connection. Its receiver's thread alone writes it, once it is added. */
struct connection {
	char handle[WORD];
	uint32_t receiver; /* UNADDED: not yet */
	int ended;
	uint64_t received;
};

struct group {
	struct run *run;
	uint64_t count;                 /* receivers */
	struct connection *connections; /* by number */
	uint64_t *numbers;              /* listen: by the port of the peer; else NULL */
	pthread_mutex_t lock;           /* of what follows */
	uint64_t ended, added, bytes;
	uint32_t finding; /* listen: the next number */
};

struct member {
	struct group *group;
	uint32_t index;
	pthread_t thread;
	struct channel *channel;
	uint64_t added;
	char *release; /* the request that gives back what a receive has brought */
	size_t length;
};

static int listens(const struct group *group)
{
	return group->run->scenario->group_listen;
}

/* ---- events ---- */

/* The connection of a number as the executor has it: the driver's, or the port of the peer. */
static struct connection *connection_of(struct group *group, uint64_t number, const char *line)
{
	uint64_t count = group->run->scenario->connections;

	if (!listens(group)) {
		CHECK(number < count, "event of an unknown connection: %.200s", line);
		return &group->connections[number];
	}
	CHECK(number < PORTS && group->numbers[number] < count,
	      "event of an unknown connection: %.200s", line);
	return &group->connections[group->numbers[number]];
}

/* A port that has not been seen before is the next connection's. */
static void find_number(struct group *group, uint64_t port, const char *line)
{
	CHECK(port < PORTS, "added: %.200s", line);
	pthread_mutex_lock(&group->lock);
	if (group->numbers[port] == UINT64_MAX) {
		CHECK(group->finding < group->run->scenario->connections,
		      "more connections than there are: %.200s", line);
		group->numbers[port] = group->finding++;
	}
	pthread_mutex_unlock(&group->lock);
}

static void take_added(struct member *member, const char *line)
{
	struct group *group = member->group;
	char handle[WORD], flags[WORD];
	struct connection *connection;
	uint64_t number, tag;

	CHECK(sscanf(line, "added %39s %" SCNu64 " %" SCNu64 " %39s", handle, &number, &tag,
		     flags) == 4,
	      "receive: answered by: %.200s", line);
	if (listens(group))
		find_number(group, number, line);
	connection = connection_of(group, number, line);
	CHECK(connection->receiver == UNADDED, "added twice: %.200s", line);
	CHECK(tag == (listens(group) ? TAG : number), "added with another tag: %.200s", line);
	CHECK(!strncmp(flags, listens(group) ? "accepted" : "-", 1) || !strcmp(flags, "copied"),
	      "added with other flags: %.200s", line);
	memcpy(connection->handle, handle, WORD);
	connection->receiver = member->index;
	member->added++;
	pthread_mutex_lock(&group->lock);
	group->added++;
	pthread_mutex_unlock(&group->lock);
}

static void take_data(struct member *member, struct connection *connection, const char *line)
{
	uint64_t length, good, id;
	char number[32];

	CHECK(sscanf(line, "data %*s %*s %" SCNu64 " %" SCNu64 " %" SCNu64, &length, &good, &id) ==
		      3,
	      "receive: answered by: %.200s", line);
	CHECK(length && good == length, "wrong byte at offset %" PRIu64 ": %.200s",
	      connection->received + good, line);
	connection->received += length;
	snprintf(number, sizeof(number), " %" PRIu64, id);
	member->release = realloc(member->release, member->length + sizeof(number));
	CHECK(member->release, "no memory for a request");
	strcpy(member->release + member->length, number);
	member->length += strlen(number);
}

static void take_end(struct group *group, struct connection *connection, const char *line)
{
	char how[WORD] = "";

	sscanf(line, "end %*s %*s %39s", how);
	CHECK(!strcmp(how, "peer"), "not the peer's end: %.200s", line);
	connection->ended = 1;
	pthread_mutex_lock(&group->lock);
	group->ended++;
	group->bytes += connection->received;
	pthread_mutex_unlock(&group->lock);
	CHECK(connection->received == group->run->scenario->bytes,
	      "%" PRIu64 " bytes, not %" PRIu64 ": %.200s", connection->received,
	      group->run->scenario->bytes, line);
}

static void take_event(void *context, char *line)
{
	struct member *member = context;
	char kind[WORD], handle[WORD];
	struct connection *connection;
	uint64_t number;

	CHECK(sscanf(line, "%39s %39s %" SCNu64, kind, handle, &number) == 3,
	      "receive: answered by: %.200s", line);
	if (!strcmp(kind, "added")) {
		take_added(member, line);
		return;
	}
	CHECK(!strcmp(kind, "data") || !strcmp(kind, "end"), "event that is not wanted: %.200s",
	      line);
	connection = connection_of(member->group, number, line);
	CHECK(connection->receiver == member->index && !strcmp(connection->handle, handle),
	      "event of a stream that was not added here: %.200s", line);
	CHECK(!connection->ended, "event after its end: %.200s", line);
	if (!strcmp(kind, "data"))
		take_data(member, connection, line);
	else
		take_end(member->group, connection, line);
}

/* ---- receivers ---- */

static int is_over(struct group *group)
{
	int over;

	pthread_mutex_lock(&group->lock);
	over = group->ended == group->run->scenario->connections;
	pthread_mutex_unlock(&group->lock);
	return over;
}

static void receive(struct member *member, int64_t timeout_ms)
{
	const char *text;
	int result = call(member->channel, take_event, member, &text,
			  "receive %" PRIu64 " %" PRId64 " hold",
			  member->group->run->scenario->batch, timeout_ms);

	/* The kernel may still be tearing down a ring that this thread closed before. */
	CHECK(result == 0 || result == -EINTR, "receive: %s: %.400s", strerror(-result), text);
	if (!member->length)
		return;
	result = call(member->channel, NULL, NULL, &text, "release%s", member->release);
	CHECK(result == 0, "release: %s: %.400s", strerror(-result), text);
	member->length = 0;
}

static void *member_run(void *argument)
{
	struct member *member = argument;

	while (!is_over(member->group))
		receive(member, RECEIVE_MS);
	return NULL;
}

/* ---- adders ---- */

struct adder {
	struct group *group;
	uint64_t index;
	pthread_t thread;
};

static void *adder_run(void *argument)
{
	const struct adder *adder = argument;
	const struct scenario *s = adder->group->run->scenario;
	struct channel *channel = &adder->group->run->judge->channels[RELEASERS + adder->index];

	for (uint64_t i = adder->index; i < s->connections; i += s->adders)
		call_ok(channel, "group-add %" PRIu64 " 0", i);
	return NULL;
}

static void add_all(struct group *group)
{
	struct adder adders[ADDERS];

	for (uint64_t i = 0; i < group->run->scenario->adders; i++) {
		adders[i] = (struct adder){.group = group, .index = i};
		thread_start(&adders[i].thread, adder_run, &adders[i]);
	}
	for (uint64_t i = 0; i < group->run->scenario->adders; i++)
		pthread_join(adders[i].thread, NULL);
}

/* ---- what must have come out ---- */

static void check_stats(struct group *group, const struct member *members)
{
	const struct scenario *s = group->run->scenario;
	uint64_t count = s->connections, total = count * s->bytes;
	const char *stats;
	int result = call(run_owner(group->run), NULL, NULL, &stats, "group-stats");

	CHECK(result == 0, "group-stats: %s: %.400s", strerror(-result), stats);
	CHECK(stats_value(stats, "added") == count && !stats_value(stats, "refused") &&
		      !stats_value(stats, "waiting"),
	      "not %" PRIu64 " added, none refused, none waiting: %.700s", count, stats);
	CHECK(stats_value(stats, "accepted") == (listens(group) ? count : 0),
	      "not %" PRIu64 " accepted: %.700s", listens(group) ? count : 0, stats);
	CHECK(stats_value(stats, "sum_bytes") == total && !stats_value(stats, "sum_outstanding"),
	      "not %" PRIu64 " bytes, none outstanding: %.700s", total, stats);
	CHECK(stats_value(stats, "receiver_count") == group->count, "receivers: %.700s", stats);
	for (uint64_t i = 0; i < group->count && count >= 8 * group->count; i++)
		CHECK(members[i].added,
		      "receiver %" PRIu64 " has got none of %" PRIu64 " connections", i, count);
}

/* ---- close ---- */

static void close_by(struct channel *channel, const char *request)
{
	const char *text;
	int result = call(channel, NULL, NULL, &text, "%s", request);

	CHECK(result == 0 && !strcmp(text, "done"), "%s: %s %.200s", request, strerror(-result),
	      text);
}

/* The receivers that leave by themselves: all, in either order, every second, or none. */
static void close_all(struct group *group, const struct member *members)
{
	const struct scenario *s = group->run->scenario;

	for (uint64_t i = 0; i < group->count; i++) {
		uint64_t which = s->group_close == CLOSE_REVERSE ? group->count - 1 - i : i;

		if (s->group_close == CLOSE_GROUP || (s->group_close == CLOSE_HALF && which % 2))
			continue;
		close_by(members[which].channel, "leave");
	}
	close_by(run_owner(group->run), "close");
}

/* ---- all of it ---- */

static void group_open(struct group *group)
{
	struct run *run = group->run;
	char options[512];
	const char *text;
	int result;

	run_list_options(run, options, sizeof(options));
	result = call(run_owner(run), NULL, NULL, &text, "group %" PRIu64 " %s", group->count,
		      options);
	/* Before Linux 6.19 a queue cannot be shared, and open says so. */
	if (run->scenario->shared_queue && result == -EOPNOTSUPP &&
	    !strncmp(run->setup->engine, "zcrx", 4) && strstr(text, "cannot share a queue"))
		stop(RUN_SKIPPED, "engine refused: %.900s", text);
	if (result && run->setup->may_refuse)
		stop(RUN_SKIPPED, "engine refused: %.900s", text);
	CHECK(result == 0, "group: %s: %.900s", strerror(-result), text);
	run_check_engine(run, text);
}

/* They are accepted before there is anybody to receive: on channels that receivers have later. */
static void accept_all(struct group *group)
{
	for (uint64_t i = 0; i < group->run->scenario->connections; i++) {
		run_accept(group->run, i);
		run_go(group->run, i);
	}
}

static void shut_all(struct group *group)
{
	for (uint64_t i = 0; !listens(group) && i < group->run->scenario->connections; i++)
		call_ok(run_owner(group->run), "shut %" PRIu64, i);
}

static void begin(struct group *group)
{
	struct run *run = group->run;

	if (listens(group))
		call_ok(run_owner(run), "group-listen %d", TAG);
	run->sender = peer_start(run->scenario, run->setup->python, run->setup->sender,
				 run->setup->executor->port);
	if (!listens(group))
		accept_all(group);
}

void group_run(struct run *run)
{
	const struct scenario *s = run->scenario;
	struct member members[RELEASERS] = {0};
	struct group group = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER, .count = s->group};

	if (!strcmp(run->setup->engine, "zcrx") && group.count > NIC_QUEUES)
		group.count = NIC_QUEUES;
	CHECK(s->group <= RELEASERS && s->adders <= ADDERS, "too many receivers, or adders");
	group.connections = calloc(s->connections, sizeof(*group.connections));
	group.numbers = malloc(PORTS * sizeof(*group.numbers));
	CHECK(group.connections && group.numbers, "no memory");
	memset(group.numbers, 0xff, PORTS * sizeof(*group.numbers));
	for (uint64_t i = 0; i < s->connections; i++)
		group.connections[i].receiver = UNADDED;
	group_open(&group);
	begin(&group);
	for (uint32_t i = 0; i < group.count; i++) {
		members[i] = (struct member){.group = &group, .index = i};
		members[i].channel = &run->judge->channels[i];
		thread_start(&members[i].thread, member_run, &members[i]);
	}
	if (!listens(&group))
		add_all(&group);
	for (uint32_t i = 0; i < group.count; i++)
		pthread_join(members[i].thread, NULL);
	check_stats(&group, members);
	close_all(&group, members);
	shut_all(&group);
	peer_wait(run->sender);
	for (uint32_t i = 0; i < group.count; i++)
		free(members[i].release);
	free(group.connections);
	free(group.numbers);
}
