/* SPDX-License-Identifier: MIT */
/* What is an engine's own: engine_recv.c, engine_multishot.c, engine_zcrx.c, ifq.c. */
#include "check.h"
#include "net.h"
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define SMALL 200

static int pins_little(const struct rig *rig, uint32_t engine)
{
	struct zrx_info info = {.size = sizeof(info)};

	CHECK_EQUAL(zrx_receiver_info(rig->receiver, &info), 0);
	return engine == ZRX_ENGINE_RECV || info.features & ZRX_FEATURE_INCREMENTAL;
}

/* Where the engine can, one byte does not pin a chunk: many fit into an area of few chunks. */
static void test_small_buffers_held(uint32_t engine)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_event events[SMALL];
	struct rig rig;

	options.area_bytes = 512 << 10;
	options.buffer_bytes = engine == ZRX_ENGINE_ZCRX_NODEV ? 0 : 64 << 10;
	rig_open(&rig, engine, &options);
	if (pins_little(&rig, engine)) {
		for (int i = 0; i < SMALL; i++)
			events[i] = rig_message(&rig, "x");
		CHECK_EQUAL(rig_stats(&rig).parks, 0);
		CHECK_EQUAL(rig_stats(&rig).outstanding, SMALL);
		CHECK_EQUAL(zrx_event_release(events, SMALL), 0);
	}
	rig_close(&rig);
}

/* Every engine tried here copies each byte once, and says so or says that it cannot tell. */
static void test_copies_are_counted(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;
	uint64_t copied;

	rig_open(&rig, engine, NULL);
	event = rig_message(&rig, "0123456789");
	copied = rig_stats(&rig).copied_bytes;
	CHECK(copied == 10 || (engine == ZRX_ENGINE_ZCRX_NODEV && copied == ZRX_UNKNOWN));
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

/* The area turned over many times: what is released is used again, all of it. */
static void test_turnover(uint32_t engine)
{
	static char bytes[64 << 10];
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct rig rig;

	options.buffer_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	options.area_bytes = 32ull * options.buffer_bytes;
	rig_open(&rig, engine, &options);
	for (int i = 0; i < 100; i++) {
		size_t left = sizeof(bytes);

		memset(bytes, i, sizeof(bytes));
		send_bytes(rig.pair[1], bytes, sizeof(bytes));
		while (left) {
			struct zrx_event event;

			rig_receive(&rig, &event, 1);
			CHECK_EQUAL(event.kind, ZRX_EVENT_DATA);
			CHECK(!memcmp(event.buffer.data, bytes, event.buffer.length));
			CHECK(event.buffer.offset <= options.area_bytes - event.buffer.length);
			left -= event.buffer.length;
			CHECK_EQUAL(zrx_event_release(&event, 1), 0);
		}
	}
	if (engine == ZRX_ENGINE_ZCRX_NODEV)
		CHECK(rig_stats(&rig).flushes > 0);
	CHECK_EQUAL(rig_stats(&rig).bytes, 100 * sizeof(bytes));
	rig_close(&rig);
}

/* The refill ring in memory that the kernel allocates. */
static void test_kernel_refill_ring(uint32_t engine)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_event event;
	struct rig rig;

	options.area_bytes = 1 << 20;
	options.flags = ZRX_REFILL_RING_KERNEL;
	rig_open(&rig, engine, &options);
	for (int i = 0; i < 500; i++) {
		event = rig_message(&rig, "through the kernel's ring");
		CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	}
	rig_close(&rig);
}

static uint64_t window_of(const struct rig *rig)
{
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;

	CHECK_EQUAL(zrx_stream_stats(rig->receiver, rig->stream, &stats), 0);
	return stats.window_bytes;
}

/* A chunk that has taken some bytes and waits for more is not taken off anyone's window. */
static void test_begun_chunk_is_free(uint32_t engine)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_event event;
	struct rig rig;
	uint64_t before;

	options.area_bytes = 1 << 20;
	rig_open(&rig, engine, &options);
	before = window_of(&rig);
	event = rig_message(&rig, "a little");
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	CHECK_EQUAL(window_of(&rig), before);
	rig_close(&rig);
}

/* As many streams as have a little each of few chunks, and each keeps it. */
#define CROWD  80
#define LITTLE 2

struct crowd {
	struct rig rig;
	int pairs[CROWD][2];
	struct zrx_event held[CROWD * LITTLE];
	uint32_t count; /* held */
	uint32_t seen[CROWD];
};

static void crowd_open(struct crowd *crowd, uint32_t engine)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_stream_options of = ZRX_STREAM_OPTIONS_INIT;

	memset(crowd, 0, sizeof(*crowd));
	options.area_bytes = 128 << 10;
	options.buffer_bytes = engine == ZRX_ENGINE_ZCRX_NODEV ? 0 : 64 << 10;
	rig_open(&crowd->rig, engine, &options);
	for (uint32_t i = 0; i < CROWD; i++) {
		uint64_t stream;

		tcp_pair(crowd->pairs[i]);
		of.tag = i;
		CHECK_EQUAL(zrx_receiver_add(crowd->rig.receiver, crowd->pairs[i][0], &of, &stream),
			    0);
	}
}

/* Whatever comes; what it has no room for is an error that the descriptor announces. */
static int crowd_receive(struct crowd *crowd)
{
	struct zrx_event *at = &crowd->held[crowd->count];
	int got = zrx_receiver_receive(crowd->rig.receiver, at, CROWD * LITTLE - crowd->count,
				       50000000);

	if (got == -ENOBUFS) {
		struct pollfd polled = {.fd = zrx_receiver_fd(crowd->rig.receiver),
					.events = POLLIN};

		CHECK_EQUAL(poll(&polled, 1, 1000), 1);
	}
	for (int i = 0; i < got; i++) {
		CHECK_EQUAL(at[i].kind, ZRX_EVENT_DATA);
		for (uint32_t byte = 0; byte < at[i].buffer.length; byte++)
			CHECK_EQUAL(((const uint8_t *)at[i].buffer.data)[byte],
				    crowd->seen[at[i].tag]++);
	}
	crowd->count += got > 0 ? (uint32_t)got : 0;
	return got;
}

static uint32_t crowd_seen(const struct crowd *crowd)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < CROWD; i++)
		seen += crowd->seen[i];
	return seen;
}

/* More views of shared chunks than can be told apart: those wait, none is lost, and nobody is asked
 * twice. */
static void test_crowd(uint32_t engine)
{
	static struct crowd crowd;

	crowd_open(&crowd, engine);
	for (uint8_t round = 0; round < LITTLE; round++) {
		for (uint32_t i = 0; i < CROWD; i++)
			send_bytes(crowd.pairs[i][1], &round, 1);
		for (int i = 0; i < 4 && crowd_seen(&crowd) < (round + 1u) * CROWD; i++)
			crowd_receive(&crowd);
	}
	for (int i = 0; i < 100 && crowd_seen(&crowd) < LITTLE * CROWD; i++) {
		CHECK_EQUAL(zrx_event_release(crowd.held, crowd.count), 0);
		crowd.count = 0;
		crowd_receive(&crowd);
	}
	CHECK_EQUAL(crowd_seen(&crowd), LITTLE * CROWD);
	CHECK_EQUAL(zrx_event_release(crowd.held, crowd.count), 0);
	rig_close(&crowd.rig);
	for (uint32_t i = 0; i < CROWD; i++)
		close_pair(crowd.pairs[i]);
}

int main(void)
{
	for_each_engine(test_small_buffers_held);
	for_each_engine(test_copies_are_counted);
	for_each_engine(test_turnover);
	for_each_engine(test_kernel_refill_ring);
	for_each_engine(test_begun_chunk_is_free);
	for_each_engine(test_crowd);
	return 0;
}
