/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "stream.h"

#define MANY 1000

static void test_handles_are_never_reused(void)
{
	struct zrx_streams streams = {0};
	struct zrx_stream *stream = zrx_stream_new(&streams, 1);
	uint64_t first = zrx_stream_handle(stream);

	CHECK(first >= 1ull << 32);
	CHECK(zrx_stream_find(&streams, first) == stream);
	zrx_stream_retire(&streams, stream);
	CHECK(!zrx_stream_find(&streams, first));
	CHECK(zrx_stream_new(&streams, 3) != stream); /* it has not been freed */
	zrx_stream_free(&streams, stream);
	CHECK(!zrx_stream_find(&streams, first));
	stream = zrx_stream_new(&streams, 2);
	CHECK(zrx_stream_handle(stream) != first);
	CHECK(!zrx_stream_find(&streams, first));
	CHECK(!zrx_stream_find(&streams, 0));
	CHECK(!zrx_stream_find(&streams, UINT64_MAX));
	CHECK_EQUAL(stream->remaining, UINT64_MAX);
	zrx_streams_destroy(&streams);
}

static void drop(struct zrx_streams *streams, uint64_t handle)
{
	struct zrx_stream *stream = zrx_stream_find(streams, handle);

	zrx_stream_retire(streams, stream);
	zrx_stream_free(streams, stream);
}

static void count(void *context, struct zrx_stream *stream)
{
	CHECK(stream->state != ZRX_STREAM_FREE);
	++*(int *)context;
}

static void test_many_by_cookie(void)
{
	struct zrx_streams streams = {0};
	uint64_t handles[MANY];
	int live = 0;

	for (uint64_t i = 0; i < MANY; i++) /* cookies as alike as the kernel makes them */
		handles[i] = zrx_stream_handle(zrx_stream_new(&streams, i % 4 << 60 | i));
	for (uint64_t i = 0; i < MANY; i += 2)
		drop(&streams, handles[i]);
	for (uint64_t i = 0; i < MANY; i++) {
		struct zrx_stream *stream = zrx_stream_by_cookie(&streams, i % 4 << 60 | i);

		CHECK(stream == zrx_stream_find(&streams, handles[i]));
		CHECK(!stream == (i % 2 == 0));
	}
	CHECK(!zrx_stream_by_cookie(&streams, MANY));
	zrx_streams_each(&streams, count, &live);
	CHECK_EQUAL(live, MANY / 2);
	CHECK_EQUAL(streams.live, MANY / 2);
	zrx_streams_destroy(&streams);
}

static void test_lists(void)
{
	struct zrx_streams streams = {0};
	struct zrx_stream_list one = {0}, other = {0};
	struct zrx_stream *a = zrx_stream_new(&streams, 1);
	struct zrx_stream *b = zrx_stream_new(&streams, 2);
	struct zrx_stream *c = zrx_stream_new(&streams, 3);

	zrx_list_append(&one, a);
	zrx_list_append(&one, b);
	zrx_list_append(&one, c);
	CHECK_EQUAL(one.count, 3);
	CHECK(one.first == a && a->next == b && b->next == c && one.last == c);
	zrx_list_append(&other, b); /* leaves the one it was in */
	CHECK_EQUAL(one.count, 2);
	CHECK(a->next == c && c->previous == a && other.first == b && other.last == b);
	zrx_list_remove(b);
	zrx_list_remove(b); /* in none: nothing happens */
	CHECK(!other.first && !other.last && !other.count);
	zrx_list_remove(a);
	CHECK(one.first == c && one.last == c);
	zrx_list_append(&one, c); /* to the end, where it is */
	CHECK_EQUAL(one.count, 1);
	zrx_streams_destroy(&streams);
}

int main(void)
{
	test_handles_are_never_reused();
	test_many_by_cookie();
	test_lists();
	return 0;
}
