/* SPDX-License-Identifier: MIT */
/* Areas that grow. The linker leads the core here when it commits memory. */
#include "check.h"
#include "grow.h"
#include "net.h"
#include "parts.h"
#include "receiver.h"
#include "rig.h"
#include "sys.h"

#include <errno.h>
#include <unistd.h>

#define PAGE        4096u
#define MIB         (1ull << 20)
#define LARGEST     65536u /* page of a system */
#define BATCH       16
#define VIEWS       4096
#define QUIET       2 /* receives without an event */
#define MOMENT_NS   5000000
#define RETRIES     80 /* of them: longer than two failures put it off */
#define PATIENCE_NS 5000000000

static struct {
	int refused; /* the next so many times there is no memory */
	int asked;
} memory;

static struct zrx_buffer views[VIEWS];
static uint32_t view_count;
static uint64_t seen; /* bytes */

/* Of receivers: by the pages that there are. */
static uint32_t own_page(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

static uint64_t first_bytes(void)
{
	return 64ull * own_page();
}

static uint64_t most_bytes(void)
{
	return 8 * first_bytes();
}

int __real_zrx_sys_commit(void *address, size_t size);
int __wrap_zrx_sys_commit(void *address, size_t size);

int __wrap_zrx_sys_commit(void *address, size_t size)
{
	memory.asked++;
	return memory.refused-- > 0 ? -ENOMEM : __real_zrx_sys_commit(address, size);
}

/* ---- how far ---- */

static struct zrx_area sized(uint64_t bytes, uint64_t most, uint32_t chunk, uint64_t grain)
{
	return (struct zrx_area){
		.bytes = bytes,
		.max_bytes = most,
		.grain = grain,
		.chunk_shift = (uint32_t)__builtin_ctz(chunk),
	};
}

static uint64_t next_of(uint64_t bytes, uint64_t most, uint32_t chunk, uint64_t grain)
{
	struct zrx_area area = sized(bytes, most, chunk, grain);

	return zrx_growth_next(&area);
}

static void test_steps(void)
{
	CHECK_EQUAL(next_of(64 * MIB, 64 * MIB, PAGE, PAGE), 64 * MIB);
	CHECK_EQUAL(next_of(64 * MIB, 1024 * MIB, PAGE, PAGE), 96 * MIB);
	CHECK_EQUAL(next_of(64 * MIB, 70 * MIB, PAGE, PAGE), 70 * MIB);
	CHECK_EQUAL(next_of(16 * MIB, 64 * MIB, PAGE, PAGE), 32 * MIB);
	CHECK_EQUAL(next_of(8 * MIB, 64 * MIB, PAGE, PAGE), 16 * MIB);
	CHECK_EQUAL(next_of(2 * PAGE, 64 * MIB, PAGE, PAGE), 4 * PAGE);
	/* Whole chunks, and where steps are large, to the end of a huge page. */
	CHECK_EQUAL(next_of(3 * PAGE, 64 * MIB, 2 * PAGE, PAGE), 6 * PAGE);
	CHECK_EQUAL(next_of(3 * PAGE, 9 * PAGE, 4 * PAGE, PAGE), 4 * PAGE);
	CHECK_EQUAL(next_of(65 * MIB, 1024 * MIB, PAGE, PAGE), 96 * MIB);
	CHECK_EQUAL(next_of(64 * MIB, 64 * MIB + PAGE, 65536, PAGE), 64 * MIB);
	/* Whole huge pages. */
	CHECK_EQUAL(next_of(6 * MIB, 1024 * MIB, PAGE, 2 * MIB), 12 * MIB);
	CHECK_EQUAL(next_of(1024 * MIB, 4096 * MIB, PAGE, 1024 * MIB), 2048 * MIB);
}

/* From the smallest to the largest in no more steps than there are places for. */
static void test_number_of_steps(void)
{
	struct zrx_area area = sized(2 * PAGE, (1ull << 47) - PAGE, PAGE, PAGE);
	uint32_t steps = 0;

	for (uint64_t next; (next = zrx_growth_next(&area)) != area.bytes; area.bytes = next) {
		CHECK(next > area.bytes && next <= 2 * area.bytes);
		steps++;
	}
	CHECK_EQUAL(area.bytes, area.max_bytes);
	CHECK(steps <= ZRX_PARTS_MAX);
}

/* ---- an area that a receiver runs out of ---- */

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 31 + offset / 251);
}

static void send_piece(const struct rig *rig, uint64_t *sent)
{
	static char bytes[8 * LARGEST];
	uint32_t count = 8 * own_page();

	for (uint32_t i = 0; i < count; i++)
		bytes[i] = (char)byte_at(*sent + i);
	send_bytes(rig->pair[1], bytes, count);
	*sent += count;
}

static void hold(const struct zrx_event *event, const uint8_t *base)
{
	CHECK_EQUAL(event->kind, ZRX_EVENT_DATA);
	CHECK(event->buffer.data == base + event->buffer.offset);
	for (uint32_t i = 0; i < event->buffer.length; i++)
		CHECK(((const uint8_t *)event->buffer.data)[i] == byte_at(seen + i));
	seen += event->buffer.length;
	CHECK(view_count < VIEWS);
	views[view_count++] = event->buffer;
}

static void check_views(void)
{
	uint64_t at = 0;

	for (uint32_t v = 0; v < view_count; v++)
		for (uint32_t i = 0; i < views[v].length; i++)
			CHECK(((const uint8_t *)views[v].data)[i] == byte_at(at++));
}

/* Receive what there is, and release nothing. */
static void receive_all(struct rig *rig, const uint8_t *base)
{
	struct zrx_event events[BATCH];

	for (int quiet = 0; quiet < QUIET;) {
		int count = zrx_receiver_receive(rig->receiver, events, BATCH, MOMENT_NS);

		if (count == -EINTR) /* a ring that was closed before is still torn down */
			continue;
		CHECK(count >= 0);
		quiet = count ? 0 : quiet + 1;
		for (int i = 0; i < count; i++)
			hold(&events[i], base);
	}
}

static struct zrx_options small_area(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;

	options.area_bytes = first_bytes();
	options.area_max_bytes = most_bytes();
	options.buffer_bytes = own_page();
	memory.asked = memory.refused = 0;
	view_count = 0;
	seen = 0;
	return options;
}

/* Engine zcrx-nodev on a kernel without ADD_AREA. */
static int cannot_grow(uint32_t engine)
{
	struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

	CHECK_EQUAL(zrx_probe(&capabilities), 0);
	return engine == ZRX_ENGINE_ZCRX_NODEV && !(capabilities.features & ZRX_FEATURE_ADD_AREA);
}

static void check_refused(uint32_t engine)
{
	struct zrx_options options = small_area();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver;

	options.engine = engine;
	CHECK_EQUAL(zrx_receiver_open(&receiver, &options, &error), -EOPNOTSUPP);
	CHECK_SAYS(error.message, "area_max_bytes");
	CHECK_SAYS(error.hint, "7.3");
}

static const uint8_t *base_of(const struct rig *rig)
{
	struct zrx_info info = ZRX_INFO_INIT;

	CHECK_EQUAL(zrx_receiver_info(rig->receiver, &info), 0);
	CHECK_EQUAL(info.area_bytes, first_bytes());
	CHECK_EQUAL(info.area_max_bytes, most_bytes());
	CHECK_EQUAL(rig_stats(rig).area_bytes, first_bytes());
	return info.area_base;
}

/* Releasing nothing, a stream gets as much as the area may become, and is told when that is all. */
static void check_grows(uint32_t engine)
{
	struct zrx_options options = small_area();
	struct zrx_stats stats;
	const uint8_t *base;
	uint64_t sent = 0;
	struct rig rig;

	rig_open(&rig, engine, &options);
	base = base_of(&rig);
	while (rig_stats(&rig).area_bytes < most_bytes()) {
		uint64_t before = seen;

		send_piece(&rig, &sent);
		receive_all(&rig, base);
		CHECK(seen > before);
	}
	check_views();
	stats = rig_stats(&rig);
	CHECK(stats.held_bytes > first_bytes() && stats.held_bytes <= most_bytes());
	CHECK_EQUAL(memory.asked, 4); /* at open, and each time twice as much */
	CHECK_EQUAL(zrx_buffer_release(views, view_count), 0);
	rig_close(&rig);
}

static void test_grows(uint32_t engine)
{
	if (cannot_grow(engine))
		check_refused(engine);
	else
		check_grows(engine);
}

/* A view in what was added outlives the receiver. */
static void test_views_outlive(uint32_t engine)
{
	struct zrx_options options = small_area();
	uint64_t sent = 0;
	struct rig rig;
	const uint8_t *base;

	if (cannot_grow(engine))
		return;
	rig_open(&rig, engine, &options);
	base = base_of(&rig);
	while (rig_stats(&rig).area_bytes < most_bytes()) {
		send_piece(&rig, &sent);
		receive_all(&rig, base);
	}
	rig_close(&rig);
	check_views();
	CHECK_EQUAL(zrx_buffer_release(views, view_count), 0);
}

/* One event, in no more than so many receives of a moment. */
static int receive_one(struct rig *rig, struct zrx_event *event, int patience)
{
	int count = 0;

	while (!count && patience--)
		count = zrx_receiver_receive(rig->receiver, event, 1, MOMENT_NS);
	CHECK(count >= 0);
	return count;
}

/*
 * Without memory all stays as it was. It is tried again, not all the time, and by a receive that
 * sleeps: nobody releases.
 */
static void test_tried_again(uint32_t engine)
{
	struct zrx_options options = small_area();
	struct zrx_event event;
	struct rig rig;
	const uint8_t *base;
	uint64_t sent = 0;

	if (cannot_grow(engine))
		return;
	rig_open(&rig, engine, &options);
	base = base_of(&rig);
	memory.asked = 0;
	memory.refused = INT32_MAX;
	while (!memory.asked) {
		send_piece(&rig, &sent);
		receive_all(&rig, base);
	}
	send_piece(&rig, &sent);
	receive_all(&rig, base);
	CHECK_EQUAL(rig_stats(&rig).area_bytes, first_bytes());
	CHECK_EQUAL(rig_stats(&rig).parked + rig_stats(&rig).paused, 1);
	CHECK(!receive_one(&rig, &event, RETRIES));
	CHECK(memory.asked >= 2 && memory.asked <= 5);
	memory.refused = 0;
	CHECK_EQUAL(zrx_receiver_receive(rig.receiver, &event, 1, PATIENCE_NS), 1);
	hold(&event, base);
	CHECK(rig_stats(&rig).area_bytes > first_bytes());
	check_views();
	CHECK_EQUAL(zrx_buffer_release(views, view_count), 0);
	rig_close(&rig);
}

/* A stream's own window may be as large as the area may become; where all of it is out, it grows.
 */
static void test_own_window(uint32_t engine)
{
	struct zrx_options options = small_area();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver;
	const uint8_t *base;
	uint64_t sent = 0;
	struct rig rig;

	if (cannot_grow(engine))
		return;
	options.window_bytes = most_bytes() + own_page();
	options.engine = engine;
	CHECK_EQUAL(zrx_receiver_open(&receiver, &options, &error), -EINVAL);
	CHECK_SAYS(error.message, "window_bytes");
	options.window_bytes = most_bytes();
	rig_open(&rig, engine, &options);
	base = base_of(&rig);
	while (rig_stats(&rig).area_bytes < most_bytes()) {
		send_piece(&rig, &sent);
		receive_all(&rig, base);
	}
	check_views();
	CHECK_EQUAL(zrx_buffer_release(views, view_count), 0);
	rig_close(&rig);
}

int main(void)
{
	test_steps();
	test_number_of_steps();
	for_each_engine(test_grows);
	for_each_engine(test_views_outlive);
	for_each_engine(test_tried_again);
	for_each_engine(test_own_window);
	return 0;
}
