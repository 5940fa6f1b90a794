/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "budget.h"
#include "error.h"

#define SHARE_LEAST_BYTES (256u << 10) /* below it a connection cannot keep its pace */
#define SHARE_MOST_BYTES  (6u << 20)   /* as far as the kernel enlarges it by itself (tcp_rmem) */
#define SHARE_PART        16u          /* of what is left: the next ones shall find some, too */
#define SHARE_OWN_PART    2u           /* likewise, of one that has a buffer of its own already */
#define SHARE_GROWTH      4u           /* less than such a part is not worth a system call */
#define CHARGE_BYTES      4096u        /* a driver may cut larger pages into such pieces */
#define PACKET_CHUNKS     16u          /* the kernel takes one packet (merged: 64 KiB) beyond it */
#define HEADROOM_LEAST    2048u
#define HEADROOM_PART     8u /* of the area */
#define HEADROOM_MOST     4u /* at most such a part of what is not standing: a small area */

/* ---- what there is ---- */

static uint32_t headroom_of(uint32_t chunks, uint32_t standing)
{
	uint32_t headroom = chunks / HEADROOM_PART;
	uint32_t most = standing < chunks ? (chunks - standing) / HEADROOM_MOST : 0;

	if (headroom < HEADROOM_LEAST)
		headroom = HEADROOM_LEAST;
	return headroom < most ? headroom : most;
}

static uint32_t pool_of(uint32_t chunks, uint32_t standing)
{
	if (standing >= chunks)
		return 0;
	return (chunks - standing - headroom_of(chunks, standing)) / 2;
}

void zrx_budget_open(struct zrx_budget *budget, uint32_t chunk_bytes, int asked, uint32_t chunks,
		     uint32_t standing)
{
	*budget = (struct zrx_budget){
		.chunk_bytes = chunk_bytes,
		.chunks = chunks,
		.standing = standing,
		.charge_bytes = asked ? chunk_bytes : CHARGE_BYTES,
	};
}

void zrx_budget_resize(struct zrx_budget *budget, uint32_t chunks)
{
	budget->chunks = chunks;
}

uint32_t zrx_budget_headroom(const struct zrx_budget *budget)
{
	return headroom_of(budget->chunks, budget->standing);
}

uint32_t zrx_budget_pool(const struct zrx_budget *budget)
{
	return pool_of(budget->chunks, budget->standing);
}

/* ---- what a share is ---- */

static uint32_t share_chunks(const struct zrx_budget *budget, uint32_t bytes)
{
	return bytes / budget->charge_bytes + PACKET_CHUNKS;
}

static uint32_t share_bytes(const struct zrx_budget *budget, uint32_t chunks)
{
	uint64_t bytes = chunks > PACKET_CHUNKS
				 ? (uint64_t)(chunks - PACKET_CHUNKS) * budget->charge_bytes
				 : 0;

	return bytes < SHARE_MOST_BYTES ? (uint32_t)bytes : SHARE_MOST_BYTES;
}

static uint32_t share_least(const struct zrx_budget *budget)
{
	return share_chunks(budget, SHARE_LEAST_BYTES);
}

/* The buffer of the next share while so many chunks are left; 0 if they do not do. */
static uint32_t share_of(const struct zrx_budget *budget, uint32_t left)
{
	uint32_t bytes = share_bytes(budget, left / SHARE_PART);

	if (left < share_least(budget))
		return 0;
	return bytes > SHARE_LEAST_BYTES ? bytes : SHARE_LEAST_BYTES;
}

static uint32_t pool_left(const struct zrx_budget *budget)
{
	uint32_t pool = zrx_budget_pool(budget);

	return budget->reserved < pool ? pool - budget->reserved : 0;
}

int zrx_budget_is_idle(const struct zrx_budget *budget)
{
	return zrx_budget_pool(budget) < share_least(budget);
}

uint32_t zrx_budget_views(const struct zrx_budget *budget)
{
	if (zrx_budget_is_idle(budget))
		return budget->chunks / 2;
	return budget->chunks - budget->standing - zrx_budget_headroom(budget) -
	       zrx_budget_pool(budget);
}

/* ---- taken, enlarged, given back ---- */

uint32_t zrx_budget_take(struct zrx_budget *budget, uint32_t wanted)
{
	uint32_t left = pool_left(budget);
	uint32_t bytes = share_of(budget, left), own;

	if (!bytes)
		return 0;
	/* Not by the ceiling: whoever has set more has a reason, a long way perhaps. */
	if (wanted > bytes && share_chunks(budget, wanted) <= left / SHARE_OWN_PART)
		bytes = wanted;
	own = share_chunks(budget, bytes);
	budget->reserved += own;
	budget->shares++;
	return bytes;
}

void zrx_budget_give(struct zrx_budget *budget, uint32_t bytes)
{
	uint32_t own = share_chunks(budget, bytes);

	budget->reserved -= own;
	budget->given += own;
	budget->shares--;
}

int zrx_budget_may_grow(struct zrx_budget *budget)
{
	if (!budget->shares || budget->given < zrx_budget_pool(budget) / SHARE_PART)
		return 0;
	budget->given = 0;
	return 1;
}

uint32_t zrx_budget_grow(struct zrx_budget *budget, uint32_t bytes)
{
	uint32_t own = share_chunks(budget, bytes), pool = zrx_budget_pool(budget);
	uint32_t most = pool / SHARE_PART, part = pool / 2 / budget->shares;
	uint32_t grown = share_bytes(budget, part < most ? part : most);
	uint32_t reserved = budget->reserved - own + share_chunks(budget, grown);

	if (grown < bytes + bytes / SHARE_GROWTH || reserved > pool / 2)
		return 0;
	budget->reserved = reserved;
	return grown;
}

void zrx_budget_correct(struct zrx_budget *budget, uint32_t bytes, uint32_t got)
{
	budget->reserved += share_chunks(budget, got) - share_chunks(budget, bytes);
}

/* ---- not to be had ---- */

/* How many shares an area of so many chunks has, counted up to `most`. */
static uint32_t shares_in(const struct zrx_budget *budget, uint32_t chunks, uint32_t most)
{
	uint32_t left = pool_of(chunks, budget->standing), shares = 0, bytes;

	for (; shares < most && (bytes = share_of(budget, left)); shares++)
		left -= share_chunks(budget, bytes);
	return shares;
}

uint32_t zrx_budget_chunks_for_one_more(const struct zrx_budget *budget)
{
	uint32_t wanted = budget->shares + 1, chunks = budget->chunks;
	uint32_t needed = budget->reserved + share_least(budget), pool;

	/* Those that are out keep what they have, ... */
	while ((pool = pool_of(chunks, budget->standing)) < needed)
		chunks += 2 * (needed - pool);
	/* ... and who starts again with such an area has larger ones. */
	while (shares_in(budget, chunks, wanted) < wanted)
		chunks += chunks / HEADROOM_PART + 1;
	return chunks;
}

int zrx_budget_refuse(const struct zrx_budget *budget, struct zrx_error *error)
{
	uint64_t area_bytes =
		(uint64_t)zrx_budget_chunks_for_one_more(budget) * budget->chunk_bytes;
	char hint[96];

	snprintf(hint, sizeof(hint),
		 "open with area_bytes %" PRIu64 ", or wait until a stream ends", area_bytes);
	return zrx_error_set(
		error, -ENOBUFS, ZRX_STAGE_SOCKET, hint,
		"no receive buffer fits beside those of %u streams: of %u chunks of %u bytes %u "
		"are standing, %u headroom; of half of the rest, %u, are %u reserved, and one "
		"more takes %u",
		budget->shares, budget->chunks, budget->chunk_bytes, budget->standing,
		zrx_budget_headroom(budget), zrx_budget_pool(budget), budget->reserved,
		share_least(budget));
}
