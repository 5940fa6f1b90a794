/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define AREA_BYTES (2u << 20)
#define THREADS    4
#define MESSAGES   32

static void test_once(uint32_t engine)
{
	struct zrx_event events[3];
	struct rig rig;

	rig_open(&rig, engine, NULL);
	for (int i = 0; i < 3; i++)
		events[i] = rig_message(&rig, "one of three");
	CHECK_EQUAL(rig_stats(&rig).outstanding, 3);
	CHECK_EQUAL(zrx_buffer_release(&events[1].buffer, 1), 0);
	CHECK_EQUAL(zrx_buffer_release(&events[1].buffer, 1), -EALREADY);
	CHECK_EQUAL(rig_stats(&rig).outstanding, 2);
	/* The one that is wrong does not keep the others. */
	CHECK_EQUAL(zrx_event_release(events, 3), -EALREADY);
	CHECK_EQUAL(rig_stats(&rig).outstanding, 0);
	CHECK_EQUAL(rig_stats(&rig).released, 3);
	CHECK_EQUAL(zrx_event_release(events, 3), -EALREADY);
	CHECK_EQUAL(zrx_event_release(events, 0), 0);
	events[0] = rig_message(&rig, "still in order");
	CHECK_EQUAL(zrx_event_release(events, 1), 0);
	rig_close(&rig);
}

static void test_not_a_buffer(uint32_t engine)
{
	struct zrx_event event, other = {.kind = ZRX_EVENT_END};
	struct zrx_buffer wrong;
	static char not_an_area[4096];
	struct rig rig;

	rig_open(&rig, engine, NULL);
	event = rig_message(&rig, "mine");
	wrong = event.buffer;
	wrong.slot = 0x7fffffff;
	CHECK_EQUAL(zrx_buffer_release(&wrong, 1), -EINVAL);
	wrong = event.buffer;
	wrong.generation = 0; /* of another time */
	CHECK_EQUAL(zrx_buffer_release(&wrong, 1), -EALREADY);
	wrong.area = (struct zrx_area *)(void *)not_an_area;
	CHECK_EQUAL(zrx_buffer_release(&wrong, 1), -EINVAL);
	CHECK_EQUAL(zrx_buffer_release(&other.buffer, 1), -EINVAL);
	CHECK_EQUAL(zrx_event_release(&other, 1), 0); /* an event without one */
	CHECK_EQUAL(rig_stats(&rig).outstanding, 1);
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

static void count_free(void *memory, uint64_t bytes, void *context)
{
	CHECK(!munmap(memory, bytes));
	++*(int *)context;
}

/* The view outlives receiver, stream and socket; the memory goes with the last one. */
static void test_after_close(uint32_t engine)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_event events[2];
	struct rig rig;
	int freed = 0;

	options.area_bytes = AREA_BYTES;
	options.area_kind = ZRX_AREA_CALLER;
	options.area_memory =
		mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	options.area_free = count_free;
	options.area_context = &freed;
	rig_open(&rig, engine, &options);
	events[0] = rig_message(&rig, "kept");
	events[1] = rig_message(&rig, "kept too");
	rig_close(&rig);
	CHECK(!memcmp(events[0].buffer.data, "kept", 4));
	CHECK_EQUAL(zrx_event_release(&events[0], 1), 0);
	CHECK_EQUAL(zrx_event_release(&events[0], 1), -EALREADY);
	CHECK_EQUAL(freed, 0);
	CHECK(!memcmp(events[1].buffer.data, "kept too", 8));
	CHECK_EQUAL(zrx_event_release(&events[1], 1), 0);
	CHECK_EQUAL(freed, 1);
}

/* One call may release buffers of several receivers. */
static void test_two_receivers(uint32_t engine)
{
	struct zrx_event events[4];
	struct rig one, other;

	rig_open(&one, engine, NULL);
	rig_open(&other, engine, NULL);
	for (int i = 0; i < 4; i++)
		events[i] = rig_message(i % 2 ? &one : &other, "to and fro");
	CHECK_EQUAL(zrx_event_release(events, 4), 0);
	CHECK_EQUAL(rig_stats(&one).outstanding, 0);
	CHECK_EQUAL(rig_stats(&other).outstanding, 0);
	rig_close(&one);
	rig_close(&other);
}

static struct zrx_event contested[MESSAGES];
static atomic_int won;

static void *release_all(void *unused)
{
	(void)unused;
	for (int i = 0; i < MESSAGES; i++) {
		int result = zrx_event_release(&contested[i], 1);

		CHECK(result == 0 || result == -EALREADY);
		won += result == 0;
	}
	return NULL;
}

/* Of all who release the same buffer at the same time, one does. */
static void test_race(uint32_t engine)
{
	pthread_t threads[THREADS];
	struct rig rig;

	rig_open(&rig, engine, NULL);
	for (int round = 0; round < 20; round++) {
		won = 0;
		for (int i = 0; i < MESSAGES; i++)
			contested[i] = rig_message(&rig, "x");
		for (int i = 0; i < THREADS; i++)
			CHECK(!pthread_create(&threads[i], NULL, release_all, NULL));
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQUAL(won, MESSAGES);
		CHECK_EQUAL(rig_stats(&rig).outstanding, 0);
	}
	rig_close(&rig);
}

int main(void)
{
	for_each_engine(test_once);
	for_each_engine(test_not_a_buffer);
	for_each_engine(test_after_close);
	for_each_engine(test_two_receivers);
	for_each_engine(test_race);
	return 0;
}
