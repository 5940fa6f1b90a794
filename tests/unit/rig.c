/* SPDX-License-Identifier: MIT */
#include "rig.h"
#include "check.h"
#include "net.h"

#define PATIENCE 100 /* receives of 100 ms */

void for_each_engine(void (*test)(uint32_t engine))
{
	struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

	CHECK_EQUAL(zrx_probe(&capabilities), 0);
	for (uint32_t engine = ZRX_ENGINE_ZCRX_NODEV; engine < ZRX_ENGINE_COUNT; engine++)
		if (capabilities.engines >> engine & 1)
			test(engine);
}

void rig_open(struct rig *rig, uint32_t engine, const struct zrx_options *options)
{
	struct zrx_options small = ZRX_OPTIONS_INIT;

	small.area_bytes = 2 << 20;
	if (options)
		small = *options;
	small.engine = engine;
	CHECK_EQUAL(zrx_receiver_open(&rig->receiver, &small, NULL), 0);
	tcp_pair(rig->pair);
	CHECK_EQUAL(zrx_receiver_add(rig->receiver, rig->pair[0], NULL, &rig->stream), 0);
}

void rig_close(struct rig *rig)
{
	CHECK_EQUAL(zrx_receiver_close(rig->receiver), 0);
	close_pair(rig->pair);
}

void rig_receive(struct rig *rig, struct zrx_event *events, uint32_t count)
{
	uint32_t have = 0;

	for (int i = 0; have < count && i < PATIENCE; i++) {
		int more =
			zrx_receiver_receive(rig->receiver, events + have, count - have, 100000000);

		CHECK(more >= 0);
		have += (uint32_t)more;
	}
	CHECK_EQUAL(have, count);
}

struct zrx_event rig_message(struct rig *rig, const char *text)
{
	struct zrx_event event;

	send_bytes(rig->pair[1], text, strlen(text));
	rig_receive(rig, &event, 1);
	CHECK_EQUAL(event.kind, ZRX_EVENT_DATA);
	CHECK_EQUAL(event.stream, rig->stream);
	CHECK_EQUAL(event.buffer.length, strlen(text));
	CHECK(!memcmp(event.buffer.data, text, strlen(text)));
	return event;
}

struct zrx_stats rig_stats(const struct rig *rig)
{
	struct zrx_stats stats = ZRX_STATS_INIT;

	CHECK_EQUAL(zrx_receiver_stats(rig->receiver, &stats), 0);
	return stats;
}
