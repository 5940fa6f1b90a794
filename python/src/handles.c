/* SPDX-License-Identifier: MIT */
/*
 * Streams by handle. All connections of a listening socket have its tag, so the handle is what
 * tells them apart. Open addressing, at most half full.
 */
#include <stdlib.h>

#include "zpy.h"

#define FIRST_CAPACITY 64u

static uint32_t place_of(const struct zpy_handles *self, uint64_t handle)
{
	/* Handles are made of small numbers: spread them over all bits. */
	return (uint32_t)((handle * 0x9E3779B97F4A7C15u) >> 32) & (self->capacity - 1);
}

/* Where a handle is, or would be. There is room. */
static uint32_t find(const struct zpy_handles *self, uint64_t handle)
{
	uint32_t at = place_of(self, handle);

	while (self->slots[at] && self->slots[at]->handle != handle)
		at = (at + 1) & (self->capacity - 1);
	return at;
}

static int grow(struct zpy_handles *self)
{
	struct zpy_handles larger = {
		.capacity = self->capacity ? self->capacity * 2 : FIRST_CAPACITY,
		.count = self->count,
	};

	larger.slots = calloc(larger.capacity, sizeof(struct zpy_stream *));
	if (!larger.slots)
		return -1;
	for (uint32_t i = 0; i < self->capacity; i++)
		if (self->slots[i])
			larger.slots[find(&larger, self->slots[i]->handle)] = self->slots[i];
	free(self->slots);
	*self = larger;
	return 0;
}

int zpy_handles_put(struct zpy_handles *self, struct zpy_stream *stream)
{
	if (self->count * 2 >= self->capacity && grow(self) < 0)
		return -1;
	self->slots[find(self, stream->handle)] = stream;
	self->count++;
	return 0;
}

struct zpy_stream *zpy_handles_get(const struct zpy_handles *self, uint64_t handle)
{
	return self->count ? self->slots[find(self, handle)] : NULL;
}

/* Whether what is at `at` may move to the gap: it lies between there and its own place. */
static int may_fill(const struct zpy_handles *self, uint32_t gap, uint32_t at)
{
	uint32_t mask = self->capacity - 1;
	uint32_t own = place_of(self, self->slots[at]->handle);

	return ((at - own) & mask) >= ((at - gap) & mask);
}

void zpy_handles_remove(struct zpy_handles *self, uint64_t handle)
{
	uint32_t gap, at;

	if (!self->count)
		return;
	gap = find(self, handle);
	if (!self->slots[gap])
		return;
	self->count--;
	for (at = (gap + 1) & (self->capacity - 1); self->slots[at];
	     at = (at + 1) & (self->capacity - 1)) {
		if (!may_fill(self, gap, at))
			continue;
		self->slots[gap] = self->slots[at];
		gap = at;
	}
	self->slots[gap] = NULL;
}

void zpy_handles_free(struct zpy_handles *self)
{
	free(self->slots);
	*self = (struct zpy_handles){0};
}
