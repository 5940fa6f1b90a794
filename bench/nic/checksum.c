/* SPDX-License-Identifier: MIT */
/*
 * The sum of the stream's 32-bit words modulo 2^32 - 1. As 2^32 is 1 there, a piece that begins in
 * the middle of a word is summed like any other, and its sum rotated.
 */
#include <string.h>

#include "method.h"

static uint32_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 32) + (sum & UINT32_MAX);
	return (uint32_t)sum;
}

static uint32_t sum_of(const uint8_t *data, size_t length)
{
	uint64_t low = 0, high = 0, last = 0;
	size_t at = 0;

	for (; length - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, data + at, sizeof(word));
		low += word & UINT32_MAX;
		high += word >> 32;
	}
	memcpy(&last, data + at, length - at);
	return fold((uint64_t)fold(low) + fold(high) + fold(last));
}

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return bits ? value << bits | value >> (32 - bits) : value;
}

void nic_take(struct nic_job *job, const void *data, size_t length)
{
	if (job->sum) {
		uint32_t sum = rotate(sum_of(data, length), job->got % 4 * 8);

		job->checksum = fold((uint64_t)job->checksum + sum);
	}
	job->got += length;
	job->buffers++;
}

uint32_t nic_expected_checksum(uint64_t bytes)
{
	uint32_t block = 0;

	for (uint64_t i = 0; i < NIC_BLOCK / sizeof(uint64_t); i++) {
		uint64_t word = i * NIC_FACTOR;

		block = fold((uint64_t)block + fold(word));
	}
	return fold(bytes / NIC_BLOCK * block);
}
