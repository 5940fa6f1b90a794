/* SPDX-License-Identifier: MIT */
#include "payload.h"

#include <string.h>

#define TABLE_BYTES 65521u

/* Twice in a row, so that up to TABLE_BYTES from any place in it are one compare. */
static unsigned char table[2 * TABLE_BYTES];

void payload_init(void)
{
	uint32_t state = 0x9E3779B9u;

	for (size_t i = 0; i < TABLE_BYTES; i++) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		table[i] = table[i + TABLE_BYTES] = (unsigned char)(state >> 24);
	}
}

static size_t first_difference(const unsigned char *a, const unsigned char *b, size_t length)
{
	size_t at = 0;

	while (at < length && a[at] == b[at])
		at++;
	return at;
}

size_t payload_check(const void *data, size_t length, uint64_t seed, uint64_t stream,
		     uint64_t offset)
{
	const unsigned char *bytes = data;
	uint64_t first = 7919 * stream + 104729 * seed;
	size_t done = 0;

	while (done < length) {
		const unsigned char *expected = table + (first + offset + done) % TABLE_BYTES;
		size_t part = length - done < TABLE_BYTES ? length - done : TABLE_BYTES;

		if (memcmp(bytes + done, expected, part))
			return done + first_difference(bytes + done, expected, part);
		done += part;
	}
	return length;
}
