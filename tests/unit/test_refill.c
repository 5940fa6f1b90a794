/* SPDX-License-Identifier: MIT */
/* The refill ring against memory that this test, in the kernel's place, reads. */
#include "check.h"
#include "receiver.h"
#include "refill.h"

#include <pthread.h>

#define ENTRIES 8
#define THREADS 4
#define EACH    2000
#define TOKEN   (5ull << 48)

static struct zrx_area area;
static struct zrx_receiver receiver;
static struct zrx_stream *stream;
static struct zrx_refill refill;
static struct zrx_uapi_rqe entries[ENTRIES];
static _Atomic uint32_t head, tail;

/* A view of a whole chunk was delivered, and released: its hold is on its way back. */
static void out(uint32_t index)
{
	_Atomic uint64_t *word = &area.holds.words[index];

	zrx_hold_begin(&area.holds, index, *word,
		       stream->index << ZRX_HOLD_OWNER_BITS | ZRX_HOLD_ALONE);
	*word = (*word & ~(uint64_t)ZRX_HOLD_OUT) | ZRX_HOLD_RETURNING;
	zrx_window_charge(&receiver.windows, stream, 1, 1);
}

static void set_up(void)
{
	memset(&area, 0, sizeof(area));
	memset(&refill, 0, sizeof(refill));
	head = tail = UINT32_MAX - 3; /* the indexes wrap on the way */
	refill.head = &head;
	refill.tail = &tail;
	refill.entries = entries;
	refill.entry_count = ENTRIES;
	refill.parts.token = TOKEN;
	refill.parts.end = UINT64_MAX;
	area.refill = &refill;
	area.chunk_shift = 12;
	area.bytes = (uint64_t)THREADS * EACH << area.chunk_shift;
	area.receiver = &receiver;
	memset(&receiver, 0, sizeof(receiver));
	receiver.area = &area;
	CHECK_EQUAL(zrx_holds_open(&area.holds, THREADS * EACH, area.chunk_shift), 0);
	CHECK_EQUAL(zrx_refill_hold(&refill, THREADS * EACH), 0);
	zrx_windows_open(&receiver, area.bytes);
	stream = zrx_stream_new(&receiver.streams, 1);
	for (uint32_t i = 0; i < THREADS * EACH; i++)
		out(i);
}

static void tear_down(void)
{
	zrx_holds_close(&area.holds);
	free(refill.owed);
	zrx_streams_destroy(&receiver.streams);
}

static struct zrx_chain one(uint32_t index)
{
	area.holds.next[index] = 0;
	return (struct zrx_chain){index + 1, index + 1};
}

/* As a thread that finds the lock taken. */
static void push(uint32_t index)
{
	zrx_chain_push(&area.holds, &area.returned, one(index));
}

/* What the kernel would take next. */
static uint32_t consume(void)
{
	struct zrx_uapi_rqe entry;

	CHECK(head != tail);
	entry = entries[head % ENTRIES];
	head++; /* from here on it may be written again */
	CHECK_EQUAL(entry.pad, 0);
	CHECK_EQUAL(entry.off & ~((1ull << 48) - 1), TOKEN);
	return (uint32_t)((entry.off & ((1ull << 48) - 1)) / 4096);
}

static void test_one(void)
{
	set_up();
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_pending(&refill), 0);
	push(3);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_pending(&refill), 1);
	CHECK_EQUAL(consume(), 3);
	CHECK_EQUAL(refill.filled, 1);
	tear_down();
}

/* A full ring loses nothing: the rest waits in the backlog. */
static void test_backlog(void)
{
	unsigned char seen[30] = {0};

	set_up();
	for (uint32_t i = 0; i < 30; i++)
		push(i);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_pending(&refill), ENTRIES);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 30 - ENTRIES);
	zrx_refill_drain(&area); /* no room: nothing moves */
	CHECK_EQUAL(zrx_refill_pending(&refill), ENTRIES);
	for (int i = 0; i < 30; i++) {
		uint32_t index = consume();

		CHECK(index < 30 && !seen[index]);
		seen[index] = 1;
		zrx_refill_drain(&area);
	}
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	CHECK_EQUAL(refill.backlog_high, 30 - ENTRIES);
	CHECK(head == tail);
	tear_down();
}

/* Who has the lock fills for others too: the backlog first, then what they left, then its own. */
static void test_give(void)
{
	set_up();
	zrx_refill_give(&area, one(7));
	CHECK_EQUAL(consume(), 7);
	for (uint32_t i = 0; i < ENTRIES; i++)
		zrx_refill_give(&area, one(i));
	zrx_refill_give(&area, one(20));
	CHECK_EQUAL(zrx_refill_backlog(&refill), 1);
	push(21);
	for (uint32_t i = 0; i < ENTRIES; i++)
		CHECK_EQUAL(consume(), i);
	zrx_refill_give(&area, one(22));
	CHECK_EQUAL(area.returned, 0);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	for (uint32_t i = 20; i < 23; i++)
		CHECK_EQUAL(consume(), i);
	CHECK(head == tail);
	CHECK_EQUAL(refill.filled, 1 + ENTRIES + 3);
	tear_down();
}

/* Who is in the ring no longer holds: the owner credits the stream at once, for others when it
 * collects. */
static void test_settled(void)
{
	uint64_t held;

	set_up();
	held = stream->held;
	zrx_refill_give(&area, one(3));
	CHECK_EQUAL(area.settled, 4);
	CHECK_EQUAL(stream->held, held);
	area.owner = zrx_thread_number();
	zrx_refill_give(&area, one(5));
	CHECK_EQUAL(stream->held, held - 4096);
	CHECK(zrx_hold_idle(area.holds.words[5]));
	CHECK(!zrx_hold_idle(area.holds.words[3]));
	zrx_windows_settle(&receiver, (struct zrx_chain){.head = 4});
	CHECK_EQUAL(stream->held, held - 2 * 4096);
	CHECK(zrx_hold_idle(area.holds.words[3]));
	tear_down();
}

/* What waits for room holds nothing either: the kernel may take from the ring only when the stream
 * goes on, and have delivered what needs a hold. */
static void test_backlog_holds_nothing(void)
{
	uint64_t held;

	set_up();
	held = stream->held;
	area.owner = zrx_thread_number();
	for (uint32_t i = 0; i < ENTRIES + 3; i++)
		zrx_refill_give(&area, one(i));
	CHECK_EQUAL(zrx_refill_backlog(&refill), 3);
	CHECK_EQUAL(stream->held, held - (ENTRIES + 3) * 4096ull);
	CHECK_EQUAL(receiver.windows.held_bytes, stream->held);
	for (uint32_t i = 0; i < ENTRIES + 3; i++)
		CHECK(zrx_hold_idle(area.holds.words[i]));
	/* More of a chunk that waits was delivered meanwhile, and came back. */
	out(ENTRIES);
	zrx_refill_give(&area, one(ENTRIES));
	CHECK_EQUAL(zrx_refill_backlog(&refill), 4);
	for (uint32_t i = 0; i < ENTRIES; i++)
		CHECK_EQUAL(consume(), i);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	CHECK_EQUAL(consume(), ENTRIES);
	for (uint32_t i = ENTRIES; i < ENTRIES + 3; i++)
		CHECK_EQUAL(consume(), i);
	CHECK(head == tail);
	CHECK_EQUAL(stream->held, held - (ENTRIES + 3) * 4096ull); /* not a second time */
	tear_down();
}

/* A backlog that moves on in part stays in order. */
static void test_backlog_in_part(void)
{
	set_up();
	for (uint32_t i = 0; i < 2 * ENTRIES + 4; i++)
		zrx_refill_give(&area, one(i));
	for (uint32_t i = 0; i < ENTRIES - 1; i++)
		CHECK_EQUAL(consume(), i);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 5);
	for (uint32_t i = ENTRIES - 1; i < 2 * ENTRIES - 1; i++)
		CHECK_EQUAL(consume(), i);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	zrx_refill_give(&area, one(40));
	for (uint32_t i = 2 * ENTRIES - 1; i < 2 * ENTRIES + 4; i++)
		CHECK_EQUAL(consume(), i);
	CHECK_EQUAL(consume(), 40);
	CHECK(head == tail);
	tear_down();
}

/* A hold with several of the kernel's references has as many entries, also where the ring has no
 * room for all at once. */
static void test_several_references(void)
{
	set_up();
	area.holds.words[2] += (ENTRIES + 2) * (uint64_t)ZRX_HOLD_REFERENCE;
	zrx_refill_give(&area, (struct zrx_chain){3, 3});
	CHECK_EQUAL(zrx_refill_backlog(&refill), 3);
	CHECK_EQUAL(area.settled, 3); /* the rest is owed by the chunk */
	for (uint32_t i = 0; i < ENTRIES; i++)
		CHECK_EQUAL(consume(), 2);
	zrx_refill_drain(&area);
	CHECK_EQUAL(zrx_refill_backlog(&refill), 0);
	for (uint32_t i = 0; i < 3; i++)
		CHECK_EQUAL(consume(), 2);
	CHECK(head == tail);
	tear_down();
}

static void *release_some(void *argument)
{
	uint32_t first = *(uint32_t *)argument;

	for (uint32_t i = first; i < first + EACH; i++)
		zrx_refill_give(&area, one(i));
	return NULL;
}

/* Threads release while the kernel takes: each entry comes once. */
static void test_threads(void)
{
	static unsigned char seen[THREADS * EACH];
	pthread_t threads[THREADS];
	uint32_t firsts[THREADS];

	set_up();
	for (uint32_t i = 0; i < THREADS; i++) {
		firsts[i] = i * EACH;
		CHECK(!pthread_create(&threads[i], NULL, release_some, &firsts[i]));
	}
	for (uint32_t taken = 0; taken < THREADS * EACH;) {
		zrx_refill_drain(&area); /* as the owner does: the backlog waits for it */
		while (head != tail) {
			uint32_t index = consume();

			CHECK(index < THREADS * EACH && !seen[index]);
			seen[index] = 1;
			taken++;
		}
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQUAL(refill.filled, THREADS * EACH);
	tear_down();
}

static void test_closed(void)
{
	set_up();
	zrx_refill_close(&area);
	push(1);
	zrx_refill_drain(&area);
	zrx_refill_give(&area, one(2));
	CHECK_EQUAL(zrx_refill_pending(&refill), 0);
	CHECK_EQUAL(area.returned, 0);
	tear_down();
}

/* ---- a ring that two areas fill ---- */

static struct zrx_refill_shared shared;
static struct zrx_area other;
static struct zrx_refill others_refill;

static void set_up_shared(void)
{
	set_up();
	memset(&shared, 0, sizeof(shared));
	memset(&other, 0, sizeof(other));
	memset(&others_refill, 0, sizeof(others_refill));
	refill.shared = &shared;
	area.references = other.references = 2; /* as if a view were out: this test frees them */
	other.refill = &others_refill;
	other.chunk_shift = area.chunk_shift;
	other.bytes = area.bytes;
	other.receiver = &receiver;
	CHECK_EQUAL(zrx_holds_open(&other.holds, THREADS * EACH, other.chunk_shift), 0);
	CHECK_EQUAL(zrx_refill_hold(&others_refill, THREADS * EACH), 0);
	zrx_refill_share(&others_refill, &refill, &shared);
	for (uint32_t i = 0; i < THREADS * EACH; i++) {
		zrx_hold_begin(&other.holds, i, other.holds.words[i], ZRX_HOLD_ALONE);
		other.holds.words[i] =
			(other.holds.words[i] & ~(uint64_t)ZRX_HOLD_OUT) | ZRX_HOLD_RETURNING;
	}
}

static void tear_down_shared(void)
{
	zrx_holds_close(&other.holds);
	free(others_refill.owed);
	tear_down();
}

static void give_other(uint32_t index)
{
	other.holds.next[index] = 0;
	zrx_refill_give(&other, (struct zrx_chain){index + 1, index + 1});
}

/* Each puts its own behind the other's. */
static void test_shared(void)
{
	set_up_shared();
	zrx_refill_give(&area, one(1));
	give_other(2);
	zrx_refill_give(&area, one(3));
	for (uint32_t i = 1; i < 4; i++)
		CHECK_EQUAL(consume(), i);
	CHECK(head == tail);
	CHECK_EQUAL(refill.filled, 2);
	CHECK_EQUAL(others_refill.filled, 1);
	tear_down_shared();
}

/* What a closed one has left waits for room, and goes in when the other comes by. */
static void test_shared_left(void)
{
	set_up_shared();
	for (uint32_t i = 0; i < ENTRIES + 3; i++)
		give_other(i);
	CHECK(!shared.left); /* its owner comes back to it */
	other.closed = 1;
	zrx_refill_close(&other);
	CHECK(shared.left == &other);
	CHECK_EQUAL(other.references, 3);
	zrx_refill_serve_left(&refill); /* no room: it stays there */
	CHECK(shared.left == &other);
	CHECK_EQUAL(other.references, 3);
	give_other(ENTRIES + 3); /* released after the close */
	CHECK_EQUAL(other.references, 3);
	for (uint32_t i = 0; i < ENTRIES; i++)
		CHECK_EQUAL(consume(), i);
	zrx_refill_serve_left(&refill);
	CHECK(!shared.left);
	CHECK_EQUAL(other.references, 2);
	for (uint32_t i = ENTRIES; i < ENTRIES + 4; i++)
		CHECK_EQUAL(consume(), i);
	CHECK(head == tail);
	CHECK_EQUAL(other.settled, ENTRIES + 3); /* nobody is left to be told of the last */
	tear_down_shared();
}

/* The ring is gone: nothing is written, nothing is held. */
static void test_shared_closed(void)
{
	set_up_shared();
	for (uint32_t i = 0; i < ENTRIES + 1; i++)
		give_other(i);
	other.closed = 1;
	zrx_refill_close(&other);
	CHECK(shared.left == &other);
	zrx_refill_shared_close(&shared);
	CHECK(!shared.left);
	CHECK_EQUAL(other.references, 2);
	for (uint32_t i = 0; i < ENTRIES; i++)
		consume();
	give_other(20);
	zrx_refill_serve_left(&refill);
	CHECK(head == tail);
	CHECK_EQUAL(other.references, 2);
	tear_down_shared();
}

static void *release_others(void *argument)
{
	uint32_t first = *(uint32_t *)argument;

	for (uint32_t i = first; i < first + EACH; i++)
		give_other(i);
	return NULL;
}

/* Threads release into both, and one is closed meanwhile: each entry comes once. */
static void test_shared_threads(void)
{
	static unsigned char seen[THREADS * EACH];
	pthread_t threads[THREADS];
	uint32_t firsts[THREADS], taken = 0;

	set_up_shared();
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < THREADS; i++) {
		firsts[i] = i * EACH;
		CHECK(!pthread_create(&threads[i], NULL, i % 2 ? release_some : release_others,
				      &firsts[i]));
	}
	while (taken < THREADS * EACH) {
		zrx_refill_drain(&area);
		if (taken > EACH && !other.closed) {
			atomic_store(&other.closed, 1);
			zrx_refill_close(&other);
		}
		if (!other.closed)
			zrx_refill_drain(&other);
		zrx_refill_serve_left(&refill);
		while (head != tail) {
			uint32_t index = consume();

			CHECK(index < THREADS * EACH && !seen[index]);
			seen[index] = 1;
			taken++;
		}
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(!shared.left);
	CHECK_EQUAL(refill.filled + others_refill.filled, THREADS * EACH);
	CHECK_EQUAL(other.references, 2);
	tear_down_shared();
}

int main(void)
{
	test_one();
	test_backlog();
	test_give();
	test_settled();
	test_backlog_holds_nothing();
	test_backlog_in_part();
	test_several_references();
	test_threads();
	test_closed();
	test_shared();
	test_shared_left();
	test_shared_closed();
	test_shared_threads();
	return 0;
}
