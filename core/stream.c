/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "hold.h"
#include "stream.h"
#include "sys.h"

void zrx_list_append(struct zrx_stream_list *list, struct zrx_stream *stream)
{
	zrx_list_remove(stream);
	stream->list = list;
	stream->next = NULL;
	stream->previous = list->last;
	if (list->last)
		list->last->next = stream;
	else
		list->first = stream;
	list->last = stream;
	list->count++;
}

void zrx_list_remove(struct zrx_stream *stream)
{
	struct zrx_stream_list *list = stream->list;

	if (!list)
		return;
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		list->first = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	else
		list->last = stream->previous;
	list->count--;
	stream->list = NULL;
	stream->next = NULL;
	stream->previous = NULL;
}

/* Added, and its last event not yet received. */
static int is_live(const struct zrx_stream *stream)
{
	return stream->state != ZRX_STREAM_FREE && stream->state != ZRX_STREAM_GONE;
}

static uint32_t *bucket_of(const struct zrx_streams *streams, uint64_t cookie)
{
	/* Cookies count up per CPU with high bits apart: fold, then spread (Fibonacci hashing). */
	uint64_t hash = (cookie ^ cookie >> 32) * 0x9e3779b97f4a7c15ull;

	return &streams->buckets[(hash >> 32) & (streams->bucket_count - 1)];
}

static void hash_insert(struct zrx_streams *streams, struct zrx_stream *stream)
{
	uint32_t *bucket = bucket_of(streams, stream->cookie);

	stream->hash_next = *bucket;
	*bucket = stream->index + 1;
}

static void hash_remove(struct zrx_streams *streams, struct zrx_stream *stream)
{
	uint32_t *link = bucket_of(streams, stream->cookie);

	while (*link != stream->index + 1)
		link = &zrx_stream_at(streams, *link - 1)->hash_next;
	*link = stream->hash_next;
}

struct zrx_stream *zrx_stream_by_cookie(const struct zrx_streams *streams, uint64_t cookie)
{
	uint32_t at = streams->bucket_count ? *bucket_of(streams, cookie) : 0;

	while (at) {
		struct zrx_stream *stream = zrx_stream_at(streams, at - 1);

		if (stream->cookie == cookie)
			return stream;
		at = stream->hash_next;
	}
	return NULL;
}

struct zrx_stream *zrx_stream_find(const struct zrx_streams *streams, uint64_t handle)
{
	struct zrx_stream *stream;

	if ((uint32_t)handle >= streams->slab_count << ZRX_STREAM_SLAB_SHIFT)
		return NULL;
	stream = zrx_stream_at(streams, handle);
	return is_live(stream) && stream->generation == handle >> 32 ? stream : NULL;
}

static int grow_directory(struct zrx_streams *streams)
{
	uint32_t room = streams->slab_room ? streams->slab_room * 2 : 4;
	struct zrx_stream **slabs = zrx_sys_alloc(room * sizeof(struct zrx_stream *));

	if (!slabs)
		return 0;
	if (streams->slab_count)
		memcpy(slabs, streams->slabs, streams->slab_count * sizeof(struct zrx_stream *));
	zrx_sys_free(streams->slabs);
	streams->slabs = slabs;
	streams->slab_room = room;
	return 1;
}

/* As many buckets as the streams that the slabs can hold. Failing leaves everything as it was. */
static int grow_buckets(struct zrx_streams *streams)
{
	uint32_t count = streams->bucket_count ? streams->bucket_count * 2 : ZRX_STREAM_SLAB;
	uint32_t *buckets = zrx_sys_alloc(count * sizeof(*buckets));

	if (!buckets)
		return 0;
	zrx_sys_free(streams->buckets);
	streams->buckets = buckets;
	streams->bucket_count = count;
	for (uint32_t i = 0; i < streams->slab_count << ZRX_STREAM_SLAB_SHIFT; i++) {
		struct zrx_stream *stream = zrx_stream_at(streams, i);

		if (is_live(stream))
			hash_insert(streams, stream);
	}
	return 1;
}

static int streams_grow(struct zrx_streams *streams)
{
	uint32_t first = streams->slab_count << ZRX_STREAM_SLAB_SHIFT;
	struct zrx_stream *slab;

	if (first + ZRX_STREAM_SLAB > ZRX_HOLD_STREAMS) /* holds name no more */
		return 0;
	if (streams->slab_count == streams->slab_room && !grow_directory(streams))
		return 0;
	if (streams->bucket_count < first + ZRX_STREAM_SLAB && !grow_buckets(streams))
		return 0;
	slab = zrx_sys_alloc(ZRX_STREAM_SLAB * sizeof(*slab));
	if (!slab)
		return 0;
	for (uint32_t i = ZRX_STREAM_SLAB; i-- > 0;) {
		slab[i].index = first + i;
		slab[i].next = streams->free;
		streams->free = &slab[i];
	}
	streams->slabs[streams->slab_count++] = slab;
	return 1;
}

struct zrx_stream *zrx_stream_new(struct zrx_streams *streams, uint64_t cookie)
{
	struct zrx_stream *stream;
	uint32_t index, generation;

	if (!streams->free && !streams_grow(streams))
		return NULL;
	stream = streams->free;
	streams->free = stream->next;
	index = stream->index;
	generation = stream->generation + 1;
	memset(stream, 0, sizeof(*stream));
	stream->index = index;
	stream->generation = generation ? generation : 1;
	stream->cookie = cookie;
	stream->remaining = UINT64_MAX;
	stream->fd = -1;
	stream->state = ZRX_STREAM_QUEUED;
	hash_insert(streams, stream);
	streams->live++;
	return stream;
}

void zrx_stream_retire(struct zrx_streams *streams, struct zrx_stream *stream)
{
	zrx_list_remove(stream);
	hash_remove(streams, stream);
	stream->state = ZRX_STREAM_GONE;
	streams->live--;
}

void zrx_stream_free(struct zrx_streams *streams, struct zrx_stream *stream)
{
	stream->state = ZRX_STREAM_FREE;
	stream->next = streams->free;
	streams->free = stream;
}

void zrx_streams_each(struct zrx_streams *streams,
		      void (*visit)(void *context, struct zrx_stream *stream), void *context)
{
	for (uint32_t i = 0; i < streams->slab_count << ZRX_STREAM_SLAB_SHIFT; i++) {
		struct zrx_stream *stream = zrx_stream_at(streams, i);

		if (is_live(stream))
			visit(context, stream);
	}
}

void zrx_streams_destroy(struct zrx_streams *streams)
{
	for (uint32_t i = 0; i < streams->slab_count; i++)
		zrx_sys_free(streams->slabs[i]);
	zrx_sys_free(streams->slabs);
	zrx_sys_free(streams->buckets);
	*streams = (struct zrx_streams){0};
}
