/* SPDX-License-Identifier: MIT */
#include "payload.h"

#include <string.h>

/* Twice in a row, so that up to PAYLOAD_BYTES from any place in it are one compare. */
static unsigned char table[2 * PAYLOAD_BYTES];

void payload_init(void)
{
	uint32_t state = 0x9E3779B9u;

	for (size_t i = 0; i < PAYLOAD_BYTES; i++) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		table[i] = table[i + PAYLOAD_BYTES] = (unsigned char)(state >> 24);
	}
}

uint64_t payload_start(uint64_t seed, uint64_t stream)
{
	return (7919 * stream + 104729 * seed) % PAYLOAD_BYTES;
}

const void *payload_at(uint64_t seed, uint64_t stream, uint64_t offset)
{
	return table + (payload_start(seed, stream) + offset) % PAYLOAD_BYTES;
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
	size_t done = 0;

	while (done < length) {
		const unsigned char *expected = payload_at(seed, stream, offset + done);
		size_t part = length - done < PAYLOAD_BYTES ? length - done : PAYLOAD_BYTES;

		if (memcmp(bytes + done, expected, part))
			return done + first_difference(bytes + done, expected, part);
		done += part;
	}
	return length;
}
