/* SPDX-License-Identifier: MIT */
#include "rx.h"
#include "nic.h"
#include "payload.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SEED       1
#define BATCH      64
#define AREA_BYTES (32u << 20)
#define DESCRIBED  4

static const struct rx *described[DESCRIBED];

/* ---- open ---- */

struct zrx_options rx_options(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;

	options.engine = ZRX_ENGINE_ZCRX;
	options.interface = nic_interface();
	options.area_bytes = AREA_BYTES;
	return options;
}

static void describe_too(const struct rx *rx, const struct rx *instead)
{
	for (unsigned i = 0; i < DESCRIBED; i++) {
		if (described[i] == instead) {
			described[i] = rx;
			return;
		}
	}
}

void rx_open(struct rx *rx, const struct zrx_options *options)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	memset(rx, 0, sizeof(*rx));
	rx->info.size = sizeof(rx->info);
	result = zrx_receiver_open(&rx->receiver, options, &error);
	CHECK(!result, "open: %s: %s. Hint: %s", strerror(-result), error.message, error.hint);
	CHECK(!zrx_receiver_info(rx->receiver, &rx->info), "info");
	CHECK(rx->info.engine == ZRX_ENGINE_ZCRX && rx->info.zero_copy, "engine %s",
	      zrx_engine_name(rx->info.engine));
	describe_too(rx, NULL);
}

int rx_try_add(struct rx *rx, struct flow *flow, struct zrx_error *error)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	int result;

	CHECK(rx->count < RX_FLOWS, "too many flows");
	options.tag = rx->count;
	result = zrx_receiver_add(rx->receiver, flow->fd, &options, &flow->handle);
	if (result)
		zrx_receiver_error(rx->receiver, error);
	else
		rx->flows[rx->count++] = flow;
	return result;
}

void rx_add(struct rx *rx, struct flow *flow)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result = rx_try_add(rx, flow, &error);

	CHECK(!result, "add: %s: %s", strerror(-result), error.message);
}

void rx_start(struct rx *rx, struct flow *flow)
{
	rx_add(rx, flow);
	flow_go(flow);
}

/* ---- receive ---- */

static void check_bytes(const struct rx *rx, const struct rx_held *held)
{
	const struct zrx_buffer *buffer = &held->buffer;
	size_t good;

	CHECK(buffer->offset < rx->info.area_max_bytes &&
		      buffer->length <= rx->info.area_max_bytes - buffer->offset,
	      "a buffer outside of the area: %" PRIu64 " + %u", buffer->offset, buffer->length);
	good = payload_check(buffer->data, buffer->length, SEED, held->flow, held->offset);
	CHECK(good == buffer->length, "stream %" PRIu64 ": wrong byte at %" PRIu64, held->flow,
	      held->offset + good);
	CHECK(!rx->memory || !memcmp(rx->memory + buffer->offset, buffer->data, buffer->length),
	      "what is at offset %" PRIu64 " is not what the buffer shows", buffer->offset);
}

static void keep(struct rx *rx, const struct rx_held *held)
{
	if (rx->held_count == rx->held_capacity) {
		rx->held_capacity = rx->held_capacity ? 2 * rx->held_capacity : BATCH;
		rx->held = realloc(rx->held, rx->held_capacity * sizeof(*rx->held));
		CHECK(rx->held, "out of memory");
	}
	rx->held[rx->held_count++] = *held;
}

static void take_data(struct rx *rx, struct flow *flow, const struct zrx_buffer *buffer)
{
	struct rx_held held = {*buffer, flow->number, flow->received};

	check_bytes(rx, &held);
	flow->received += buffer->length;
	CHECK(flow->received <= flow->bytes, "stream %" PRIu64 " has too many bytes", flow->number);
	if (buffer->length > rx->largest)
		rx->largest = buffer->length;
	if (rx->hold || flow->hold)
		keep(rx, &held);
	else
		CHECK(!zrx_buffer_release(buffer, 1), "release");
}

static void take(struct rx *rx, const struct zrx_event *event)
{
	struct flow *flow = rx->flows[event->tag];

	CHECK(event->stream == flow->handle, "an event of another stream");
	CHECK(!flow->ended, "stream %" PRIu64 ": an event after its end", flow->number);
	if (event->kind == ZRX_EVENT_DATA) {
		take_data(rx, flow, &event->buffer);
		return;
	}
	flow->ended = 1;
	flow->error = event->error;
}

uint32_t rx_turn(struct rx *rx, int64_t timeout_ns)
{
	struct zrx_event events[BATCH];
	int count = zrx_receiver_receive(rx->receiver, events, BATCH, timeout_ns);

	CHECK(count >= 0, "receive: %s", strerror(-count));
	for (int i = 0; i < count; i++)
		take(rx, &events[i]);
	return (uint32_t)count;
}

void rx_until(struct rx *rx, const struct flow *flow, uint64_t bytes)
{
	while (flow->received < bytes) {
		rx_turn(rx, SECOND_NS);
		CHECK(!flow->ended, "stream %" PRIu64 " ended after %" PRIu64 " bytes: %s",
		      flow->number, flow->received, strerror(-flow->error));
	}
}

static int all_ended(const struct rx *rx)
{
	for (uint32_t i = 0; i < rx->count; i++)
		if (!rx->flows[i]->ended)
			return 0;
	return 1;
}

void rx_until_ended(struct rx *rx)
{
	while (!all_ended(rx))
		rx_turn(rx, SECOND_NS);
}

size_t rx_changed(const struct rx *rx)
{
	size_t changed = 0;

	for (size_t i = 0; i < rx->held_count; i++) {
		const struct rx_held *held = &rx->held[i];

		changed += payload_check(held->buffer.data, held->buffer.length, SEED, held->flow,
					 held->offset) != held->buffer.length;
	}
	return changed;
}

void rx_forget(struct rx *rx)
{
	for (size_t i = 0; i < rx->held_count; i++)
		CHECK(!zrx_buffer_release(&rx->held[i].buffer, 1), "release");
	free(rx->held);
	rx->held = NULL;
	rx->held_count = rx->held_capacity = 0;
}

void rx_release(struct rx *rx)
{
	for (size_t i = 0; i < rx->held_count; i++)
		check_bytes(rx, &rx->held[i]);
	rx_forget(rx);
}

/* ---- what came out ---- */

struct zrx_stats rx_stats(const struct rx *rx)
{
	struct zrx_stats stats = ZRX_STATS_INIT;

	CHECK(!zrx_receiver_stats(rx->receiver, &stats), "stats");
	return stats;
}

void rx_check_whole(const struct rx *rx)
{
	struct zrx_stats stats = rx_stats(rx);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < rx->count; i++) {
		const struct flow *flow = rx->flows[i];

		CHECK(flow->ended && !flow->error && flow->received == flow->bytes,
		      "stream %" PRIu64 ": %" PRIu64 " of %" PRIu64 " bytes, error %d",
		      flow->number, flow->received, flow->bytes, flow->error);
		bytes += flow->bytes;
	}
	CHECK(stats.bytes == bytes, "%" PRIu64 " bytes are counted, %" PRIu64 " came", stats.bytes,
	      bytes);
	CHECK(stats.stall == ZRX_STALL_NONE && !stats.parked, "stall %u after the end",
	      stats.stall);
}

void rx_check_uncopied(const struct rx *rx)
{
	struct zrx_stats stats = rx_stats(rx);

	CHECK(stats.copied_bytes == ZRX_UNKNOWN || !stats.copied_bytes,
	      "%" PRIu64 " bytes were copied in %" PRIu64 " pieces", stats.copied_bytes,
	      stats.copied_buffers);
}

int rx_close_receiver(struct rx *rx)
{
	describe_too(NULL, rx);
	return zrx_receiver_close(rx->receiver);
}

void rx_close(struct rx *rx)
{
	struct zrx_stats stats;
	int result;

	for (uint32_t i = 0; i < rx->count; i++)
		if (rx->flows[i]->received == rx->flows[i]->bytes)
			flow_close(rx->flows[i]);
	rx_release(rx);
	stats = rx_stats(rx);
	CHECK(!stats.outstanding && stats.released == stats.buffers,
	      "%" PRIu64 " of %" PRIu64 " buffers are out", stats.outstanding, stats.buffers);
	result = rx_close_receiver(rx);
	CHECK(!result, "close: %d", result);
	/* Now that the receiver has let go of their sockets too, their senders see the end. */
	for (uint32_t i = 0; i < rx->count; i++)
		if (rx->flows[i]->received != rx->flows[i]->bytes)
			flow_abandon(rx->flows[i]);
}

void rx_receive_one(struct rx *rx, const struct zrx_options *options, struct flow *flow,
		    uint64_t bytes)
{
	const uint8_t *memory = rx->memory;
	struct listener listener;

	listener_open(&listener, AF_INET6);
	rx_open(rx, options);
	rx->memory = memory;
	flow_connect(flow, &listener, 0, bytes);
	listener_close(&listener);
	rx_start(rx, flow);
	rx_until_ended(rx);
	rx_check_whole(rx);
}

void rx_describe(char *text, size_t size)
{
	size_t length = 0;

	snprintf(text, size, "no receiver is open");
	for (unsigned i = 0; i < DESCRIBED && length < size; i++) {
		struct zrx_stats stats = ZRX_STATS_INIT;

		if (!described[i])
			continue;
		zrx_receiver_stats(described[i]->receiver, &stats);
		length += (size_t)snprintf(
			text + length, size - length,
			"queue %u: bytes %" PRIu64 " streams %" PRIu64 " outstanding %" PRIu64
			" parked %" PRIu64 " paused %" PRIu64 " held %" PRIu64 " of %" PRIu64
			" stall %u backlog %" PRIu64 " copied %" PRId64 " alloc_failures %" PRId64
			" rearms %" PRIu64 "/%" PRIu64 "/%" PRIu64 " waits %" PRIu64 "; ",
			described[i]->info.queue, stats.bytes, stats.streams, stats.outstanding,
			stats.parked, stats.paused, stats.held_bytes, stats.area_bytes, stats.stall,
			stats.backlog, (int64_t)stats.copied_bytes, (int64_t)stats.alloc_failures,
			stats.rearms_ring_full, stats.rearms_no_buffer, stats.rearms_silent,
			stats.waits);
	}
}
