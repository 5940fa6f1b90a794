/* SPDX-License-Identifier: MIT */
/* Received bytes share chunks: few bytes pin little. */
#include "check.h"
#include "net.h"
#include "fill.h"
#include "receiver.h"
#include "row.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK  16384u
#define CHUNKS 2u
#define FEW    20 /* views that fit into one chunk */

static struct zrx_receiver receiver;
static struct zrx_chunks *const chunks = &receiver.chunks;
static struct zrx_stream *stream;
static int pair[2];

static void set_up(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;

	options.area_bytes = CHUNK * CHUNKS;
	CHECK_EQUAL(zrx_area_open(&receiver.area, &options, CHUNK, NULL), 0);
	CHECK_EQUAL(zrx_fill_open(&receiver, NULL), 0);
	receiver.area->receiver = &receiver;
	receiver.area->owner = zrx_thread_number();
	tcp_pair(pair);
	stream = zrx_stream_new(&receiver.streams, 1);
	stream->fd = pair[0];
}

static void tear_down(void)
{
	close_pair(pair);
	zrx_chunks_close(chunks);
	zrx_streams_destroy(&receiver.streams);
	zrx_area_put(receiver.area, 1);
	memset(&receiver, 0, sizeof(receiver));
}

static int64_t receive(struct zrx_event *event)
{
	struct zrx_sink sink = {.events = event, .capacity = 1};
	uint64_t asked = 0;
	int64_t result = zrx_fill_receive(&receiver, stream, &sink, &asked);

	CHECK_EQUAL(sink.count, result > 0);
	CHECK(result <= (int64_t)asked || result < 0);
	return result;
}

/* As receive does: each buffer that is out holds the area. */
static void release(const struct zrx_event *events, uint32_t count)
{
	receiver.area->references += count;
	CHECK_EQUAL(zrx_event_release(events, count), 0);
}

static void test_few_bytes_share_a_chunk(void)
{
	struct zrx_event events[FEW];

	set_up();
	for (int i = 0; i < FEW; i++) {
		send_bytes(pair[1], "abc", 3);
		CHECK_EQUAL(receive(&events[i]), 3);
		CHECK(!memcmp(events[i].buffer.data, "abc", 3));
		CHECK_EQUAL(events[i].buffer.offset % 512, 0);
		CHECK_EQUAL(events[i].buffer.offset / CHUNK, events[0].buffer.offset / CHUNK);
	}
	CHECK_EQUAL(chunks->free_count, CHUNKS - 1);
	CHECK_EQUAL(stream->held, CHUNK); /* it holds that chunk once */
	release(events, FEW - 1);
	CHECK_EQUAL(stream->held, CHUNK);
	release(&events[FEW - 1], 1);
	CHECK_EQUAL(stream->held, 0);
	tear_down();
}

/* What one stream holds of a chunk is not what another holds of it. */
static void test_two_streams_share_a_chunk(void)
{
	struct zrx_stream *first, *other;
	struct zrx_event events[4];

	set_up();
	first = stream;
	other = zrx_stream_new(&receiver.streams, 2);
	other->fd = pair[0];
	for (int i = 0; i < 4; i++) {
		stream = i % 2 ? other : first;
		send_bytes(pair[1], "abc", 3);
		CHECK_EQUAL(receive(&events[i]), 3);
	}
	CHECK_EQUAL(events[3].buffer.offset / CHUNK, events[0].buffer.offset / CHUNK);
	CHECK_EQUAL(first->held, CHUNK); /* who was there first is charged once */
	CHECK_EQUAL(other->held, 2 * CHUNK);
	release(&events[0], 1);
	release(&events[2], 1);
	CHECK_EQUAL(first->held, 0);
	release(&events[1], 1);
	CHECK_EQUAL(other->held, CHUNK);
	release(&events[3], 1);
	CHECK_EQUAL(other->held, 0);
	CHECK_EQUAL(receiver.windows.held_bytes, 0);
	tear_down();
}

static void test_runs_out_and_recovers(void)
{
	static const char bytes[CHUNK * CHUNKS + 100];
	struct zrx_event events[CHUNKS], event;

	set_up();
	send_bytes(pair[1], bytes, sizeof(bytes));
	usleep(50000);
	for (unsigned i = 0; i < CHUNKS; i++)
		CHECK_EQUAL(receive(&events[i]), CHUNK);
	CHECK_EQUAL(zrx_fill_available(&receiver), 0);
	CHECK_EQUAL(receive(&event), -ENOBUFS);
	release(&events[1], 1);
	CHECK_EQUAL(zrx_fill_available(&receiver), 1);
	CHECK_EQUAL(receive(&event), 100);
	CHECK_EQUAL(event.buffer.offset, events[1].buffer.offset);
	tear_down();
}

static void test_limit_and_end(void)
{
	struct zrx_event event;

	set_up();
	stream->remaining = 4;
	send_bytes(pair[1], "abcdef", 6);
	CHECK_EQUAL(receive(&event), 4);
	CHECK_EQUAL(stream->remaining, 0);
	stream->remaining = UINT64_MAX;
	CHECK_EQUAL(receive(&event), 2);
	CHECK(!memcmp(event.buffer.data, "ef", 2));
	CHECK_EQUAL(receive(&event), -EAGAIN);
	close(pair[1]);
	usleep(20000);
	CHECK_EQUAL(receive(&event), 0);
	pair[1] = dup(pair[0]);
	tear_down();
}

int main(void)
{
	test_few_bytes_share_a_chunk();
	test_two_streams_share_a_chunk();
	test_runs_out_and_recovers();
	test_limit_and_end();
	return 0;
}
