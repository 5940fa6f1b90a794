/* SPDX-License-Identifier: MIT */
/* Groups: several queues of a NIC as one, which connections are led to by the NIC. */
#include "nic.h"
#include "payload.h"
#include "rx.h"
#include "scenarios.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEED      1
#define RECEIVERS 3u
#define FLOWS     12u
#define BYTES     (2u << 20)
#define BATCH     64
/* Each sender is a fork, and has a copy of what is pinned: three areas. */
#define AREA_BYTES (12u << 20)
#define HELD_BYTES (64u << 10)

struct grouped {
	struct zrx_group *group;
	struct flow flows[FLOWS];
	atomic_uint receiver[FLOWS]; /* + 1, of each flow */
	atomic_uint ended, copied;
};

struct member {
	struct grouped *of;
	uint32_t index;
	pthread_t thread;
};

static void grouped_data(struct flow *flow, const struct zrx_buffer *buffer)
{
	size_t good =
		payload_check(buffer->data, buffer->length, SEED, flow->number, flow->received);

	CHECK(good == buffer->length, "stream %" PRIu64 ": wrong byte at %" PRIu64, flow->number,
	      flow->received + good);
	flow->received += buffer->length;
}

static void grouped_take(struct member *member, const struct zrx_event *event)
{
	struct grouped *grouped = member->of;
	struct flow *flow = &grouped->flows[event->tag];
	struct zrx_error error = ZRX_ERROR_INIT;

	switch (event->kind) {
	case ZRX_EVENT_ADDED:
		CHECK(event->error == flow->fd, "stream %" PRIu64 ": another descriptor",
		      flow->number);
		atomic_store(&grouped->receiver[event->tag], member->index + 1);
		if (event->flags & ZRX_ADDED_COPIED)
			atomic_fetch_add(&grouped->copied, 1);
		flow->handle = event->stream;
		flow_go(flow);
		break;
	case ZRX_EVENT_DATA:
		CHECK(event->stream == flow->handle, "an event of another stream");
		grouped_data(flow, &event->buffer);
		break;
	case ZRX_EVENT_END:
		flow->ended = 1;
		atomic_fetch_add(&grouped->ended, 1);
		break;
	default:
		zrx_receiver_error(zrx_group_receiver(grouped->group, member->index), &error);
		fail("stream %" PRIu64 ": %s after %" PRIu64 " bytes (%s)", flow->number,
		     strerror(-event->error), flow->received, event->stream ? "" : error.message);
	}
}

static void *member_receive(void *argument)
{
	struct member *member = argument;
	struct zrx_receiver *receiver = zrx_group_receiver(member->of->group, member->index);
	struct zrx_event events[BATCH];

	while (atomic_load(&member->of->ended) < FLOWS) {
		int count = zrx_receiver_receive(receiver, events, BATCH, SECOND_NS / 10);

		CHECK(count >= 0 || count == -EINTR, "receive: %s", strerror(-count));
		for (int i = 0; i < count; i++)
			grouped_take(member, &events[i]);
		if (count > 0)
			CHECK(!zrx_event_release(events, (uint32_t)count), "release");
	}
	CHECK(zrx_receiver_close(receiver) >= 0, "close");
	return NULL;
}

static struct zrx_group *grouped_open(uint32_t count, uint32_t flags, uint32_t steer, uint16_t port)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = rx_options();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_group *group;
	int result;

	receiver.steer = steer;
	receiver.steer_port = port;
	receiver.area_bytes = AREA_BYTES;
	receiver.flags = ZRX_SMALL_AREA;
	options.flags = flags;
	options.count = count;
	options.receiver = &receiver;
	result = zrx_group_open(&group, &options, &error);
	CHECK(!result, "group: %s: %s. Hint: %s", strerror(-result), error.message, error.hint);
	return group;
}

/* Each flow is added by this thread, and received by that of the queue at which it arrives. */
static void grouped_run(struct grouped *grouped, struct listener *listener)
{
	struct member members[RECEIVERS];
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;

	for (uint32_t i = 0; i < RECEIVERS; i++) {
		members[i] = (struct member){.of = grouped, .index = i};
		thread_start(&members[i].thread, member_receive, &members[i]);
	}
	for (uint32_t i = 0; i < FLOWS; i++) {
		flow_connect(&grouped->flows[i], listener, i, BYTES);
		options.tag = i;
		CHECK(!zrx_group_add(grouped->group, grouped->flows[i].fd, &options, &error),
		      "add: %s", error.message);
	}
	for (uint32_t i = 0; i < RECEIVERS; i++)
		pthread_join(members[i].thread, NULL);
}

static void grouped_check(struct grouped *grouped, int zero_copy)
{
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;
	struct zrx_stats sum = ZRX_STATS_INIT;
	uint32_t per_receiver[RECEIVERS] = {0}, served = 0;

	stats.sum = &sum;
	CHECK(!zrx_group_stats(grouped->group, &stats), "stats");
	for (uint32_t i = 0; i < FLOWS; i++) {
		CHECK(grouped->flows[i].received == BYTES, "stream %u has %" PRIu64 " bytes", i,
		      grouped->flows[i].received);
		per_receiver[atomic_load(&grouped->receiver[i]) - 1]++;
	}
	/* By hash, 12 flows miss one of three receivers once in 43 times, and two of them never. */
	for (uint32_t i = 0; i < RECEIVERS; i++)
		served += per_receiver[i] != 0;
	CHECK(served > 1, "%u of %u receivers have got %u flows", served, RECEIVERS, FLOWS);
	CHECK(stats.added == FLOWS && !stats.refused && sum.bytes == (uint64_t)FLOWS * BYTES,
	      "%" PRIu64 " added, %" PRIu64 " refused, %" PRIu64 " bytes", stats.added,
	      stats.refused, sum.bytes);
	/* What lay in a socket before its flow was led to its queue is copied. */
	CHECK(!zero_copy || sum.copied_bytes == ZRX_UNKNOWN || sum.copied_bytes <= sum.bytes / 1000,
	      "%" PRIu64 " of %" PRIu64 " bytes were copied", sum.copied_bytes, sum.bytes);
	CHECK(!zero_copy || !stats.copied, "%" PRIu64 " flows were copied", stats.copied);
}

static void grouped_close(struct grouped *grouped)
{
	CHECK(zrx_group_close(grouped->group) >= 0, "close");
	for (uint32_t i = 0; i < FLOWS; i++)
		flow_close(&grouped->flows[i]);
}

static void group_of(uint32_t flags, uint32_t steer)
{
	struct grouped *grouped = calloc(1, sizeof(*grouped));
	struct listener listener;

	CHECK(grouped, "out of memory");
	listener_open(&listener, AF_INET6);
	grouped->group = grouped_open(RECEIVERS, flags, steer, listener.port);
	grouped_run(grouped, &listener);
	listener_close(&listener);
	grouped_check(grouped, 1);
	grouped_close(grouped);
	free(grouped);
}

void group_by_port(void)
{
	group_of(0, ZRX_STEER_PORT);
}

void group_by_connection(void)
{
	group_of(0, ZRX_STEER_CONNECTION);
}

/* ---- one queue for all ---- */

static int group_kernel_has(uint32_t feature)
{
	struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

	CHECK(!zrx_probe(&capabilities), "probe");
	return (capabilities.features & feature) != 0;
}

/* Since Linux 6.19. */
static int group_can_share(void)
{
	return group_kernel_has(ZRX_FEATURE_SHARED_QUEUE);
}

void group_shared_by_port(void)
{
	if (group_can_share())
		group_of(ZRX_GROUP_SHARED_QUEUE,
			 nic_is("gve") ? ZRX_STEER_CONNECTION : ZRX_STEER_PORT);
}

void group_shared_by_connection(void)
{
	if (group_can_share())
		group_of(ZRX_GROUP_SHARED_QUEUE, ZRX_STEER_CONNECTION);
}

/*
 * A receiver that is closed with views out: the NIC writes into none of them, while the other
 * receives more than the area has; and has their chunks when they are released.
 */
void group_shared_held(void)
{
	struct rx rx[2] = {0};
	struct flow flows[2];
	struct listener listener;
	struct zrx_group *group;

	if (!group_can_share())
		return;
	listener_open(&listener, AF_INET6);
	group = grouped_open(2, ZRX_GROUP_SHARED_QUEUE, ZRX_STEER_CONNECTION, 0);
	for (uint32_t i = 0; i < 2; i++) {
		rx[i].receiver = zrx_group_receiver(group, i);
		rx[i].info.size = sizeof(rx[i].info);
		CHECK(!zrx_receiver_info(rx[i].receiver, &rx[i].info), "info");
		flow_connect(&flows[i], &listener, i, 3ull * AREA_BYTES);
		rx_start(&rx[i], &flows[i]);
	}
	listener_close(&listener);
	rx[0].hold = 1;
	rx_until(&rx[0], &flows[0], HELD_BYTES);
	CHECK(rx_close_receiver(&rx[0]) >= 0, "close");
	rx_until(&rx[1], &flows[1], 2ull * AREA_BYTES);
	CHECK(!rx_changed(&rx[0]), "%zu of %zu views have changed", rx_changed(&rx[0]),
	      rx[0].held_count);
	rx_release(&rx[0]);
	rx_until_ended(&rx[1]);
	rx_check_whole(&rx[1]);
	flow_abandon(&flows[0]);
	flow_close(&flows[1]);
	CHECK(zrx_group_close(group) >= 0, "close");
}

/* A port that the group does not have: all comes by queues that are nobody's, is served, and
 * counted. */
void group_of_another_port(void)
{
	struct grouped *grouped;
	struct listener listener, other;

	/* Before Linux 6.19 chunks that were copied into come back for packets of the queue alone.
	 */
	if (!nic_is("gve") && !group_kernel_has(ZRX_FEATURE_FLUSH))
		return;
	grouped = calloc(1, sizeof(*grouped));
	CHECK(grouped, "out of memory");
	listener_open(&listener, AF_INET6);
	listener_open(&other, AF_INET6);
	grouped->group = grouped_open(RECEIVERS, 0, ZRX_STEER_PORT, other.port);
	grouped_run(grouped, &listener);
	listener_close(&listener);
	listener_close(&other);
	grouped_check(grouped, 0);
	/* Where there are no RSS contexts, each is led to its queue. */
	CHECK(atomic_load(&grouped->copied) == (nic_is("gve") ? 0 : FLOWS), "%u flows were copied",
	      atomic_load(&grouped->copied));
	grouped_close(grouped);
	free(grouped);
}

/* More queues than are free: told which, and nothing is left. */
void group_too_large(void)
{
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options receiver = rx_options();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_group *group;
	int result;

	options.count = nic_queue_count() + 1;
	options.receiver = &receiver;
	result = zrx_group_open(&group, &options, &error);
	CHECK(result == -EBUSY && strstr(error.message, "receiver ") && error.hint[0],
	      "%s: %s (%s)", strerror(-result), error.message, error.hint);
	/* As many as there are, if nobody says how many. */
	options.count = 0;
	CHECK(!zrx_group_open(&group, &options, &error), "group: %s", error.message);
	CHECK(zrx_group_count(group) >= 1 && zrx_group_count(group) < nic_queue_count(),
	      "%u receivers", zrx_group_count(group));
	CHECK(zrx_group_close(group) >= 0, "close");
}
