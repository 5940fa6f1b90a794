/* SPDX-License-Identifier: MIT */
/* What is an engine's own: engine_recv.c, engine_multishot.c, engine_zcrx.c, ifq.c. */
#include "check.h"
#include "net.h"
#include "rig.h"

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

	options.area_bytes = 256 << 10;
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

int main(void)
{
	for_each_engine(test_small_buffers_held);
	for_each_engine(test_copies_are_counted);
	for_each_engine(test_turnover);
	for_each_engine(test_kernel_refill_ring);
	return 0;
}
