/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "options.h"
#include "sys.h"

#define DEFAULT_AREA_BYTES   (64ull << 20)
#define DEFAULT_COPY_CHUNK   (64u << 10)
#define DEFAULT_RING_ENTRIES 4096u
#define MAX_RING_ENTRIES     32768u
#define MIN_RING_ENTRIES     8u /* a wake, a timer and a cancel besides data */
#define MAX_BUFFER_BYTES     (1u << 30)
#define MAX_BUSY_POLL_US     1000000u
#define AREA_BITS            47  /* of a size: 128 TiB */
#define MIN_COPY_CHUNKS      16u /* below that a default chunk is made smaller */

int zrx_copy_in(void *to, size_t size, const void *from)
{
	uint32_t given;

	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given))
		return -EINVAL;
	for (size_t i = size; i < given; i++) {
		if (((const uint8_t *)from)[i])
			return -E2BIG;
	}
	memset(to, 0, size);
	memcpy(to, from, given < size ? given : size);
	return 0;
}

static int refuse(struct zrx_error *error, const char *hint, const char *field, uint64_t value)
{
	return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, hint,
			     "option %s: %" PRIu64 " will not do", field, value);
}

static int check_growth(const struct zrx_options *options, struct zrx_error *error)
{
	uint64_t most = options->area_max_bytes;
	uint32_t buffer = options->buffer_bytes;
	char hint[80];

	if (!most)
		return 0;
	if (options->area_kind == ZRX_AREA_CALLER || options->area_kind == ZRX_AREA_DMABUF)
		return refuse(error, "leave it 0: memory that the caller provides cannot grow",
			      "area_max_bytes", most);
	if (most % zrx_sys_page_bytes() || (buffer && most % buffer))
		return refuse(error, "round it up to whole pages and buffers", "area_max_bytes",
			      most);
	if (most >> AREA_BITS)
		return refuse(error, "ask for less than 128 TiB", "area_max_bytes", most);
	snprintf(hint, sizeof(hint), "take at least area_bytes (%" PRIu64 "), or 0: no growth",
		 options->area_bytes);
	return most < options->area_bytes ? refuse(error, hint, "area_max_bytes", most) : 0;
}

static void default_area(struct zrx_options *options)
{
	uint64_t most = options->area_max_bytes;

	options->area_bytes = most && most < DEFAULT_AREA_BYTES ? most : DEFAULT_AREA_BYTES;
	options->flags |= ZRX_DEFAULT_AREA;
}

static int check_sizes(struct zrx_options *options, struct zrx_error *error)
{
	size_t page = zrx_sys_page_bytes();
	uint32_t buffer = options->buffer_bytes;

	if (!options->area_bytes)
		default_area(options);
	if (options->area_bytes % page)
		return refuse(error, "round area_bytes up to whole pages", "area_bytes",
			      options->area_bytes);
	if (options->area_bytes >> AREA_BITS)
		return refuse(error, "ask for less than 128 TiB", "area_bytes",
			      options->area_bytes);
	if (options->area_bytes < 2 * page)
		return refuse(error, "an area has at least two pages", "area_bytes",
			      options->area_bytes);
	if (buffer & (buffer - 1) || buffer > MAX_BUFFER_BYTES || (buffer && buffer < page))
		return refuse(error, "take a power of two from the page size to 1 GiB",
			      "buffer_bytes", buffer);
	if (buffer && options->area_bytes < 2ull * buffer)
		return refuse(error, "make area_bytes at least twice buffer_bytes", "area_bytes",
			      options->area_bytes);
	if (check_growth(options, error))
		return -EINVAL;
	if (!options->ring_entries) {
		options->ring_entries = DEFAULT_RING_ENTRIES;
		options->flags |= ZRX_DEFAULT_RING;
	}
	if (options->ring_entries > MAX_RING_ENTRIES)
		return refuse(error, "take 1 to 32768", "ring_entries", options->ring_entries);
	if (options->ring_entries < MIN_RING_ENTRIES)
		options->ring_entries = MIN_RING_ENTRIES;
	if (options->refill_entries > MAX_RING_ENTRIES)
		return refuse(error, "take 1 to 32768", "refill_entries", options->refill_entries);
	return 0;
}

static int check_choices(const struct zrx_options *options, struct zrx_error *error)
{
	if (options->engine >= ZRX_ENGINE_COUNT)
		return refuse(error, "take one of ZRX_ENGINE_*", "engine", options->engine);
	if (options->flags & ~ZRX_OPTION_FLAGS)
		return refuse(error, "this library knows other flags than its caller: update it",
			      "flags", options->flags);
	if (options->area_kind > ZRX_AREA_DMABUF)
		return refuse(error, "take one of ZRX_AREA_*", "area_kind", options->area_kind);
	if (options->nic_mode > ZRX_NIC_PREPARED)
		return refuse(error, "take one of ZRX_NIC_*", "nic_mode", options->nic_mode);
	if (options->steer > ZRX_STEER_NONE)
		return refuse(error, "take one of ZRX_STEER_*", "steer", options->steer);
	if (options->busy_poll_us > MAX_BUSY_POLL_US)
		return refuse(error, "take at most 1000000, which is a second", "busy_poll_us",
			      options->busy_poll_us);
	if (options->flags & ZRX_PROCESSOR && !zrx_sys_may_run_on(options->processor))
		return refuse(error, "take one that this process may use: taskset -p $$ lists them",
			      "processor", options->processor);
	if (options->steer_port > UINT16_MAX)
		return refuse(error, "a TCP port is at most 65535", "steer_port",
			      options->steer_port);
	return 0;
}

static int check_combinations(const struct zrx_options *options, struct zrx_error *error)
{
	if (options->engine == ZRX_ENGINE_ZCRX && !options->interface)
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS,
				     "set options.interface; `ip link` lists them",
				     "engine zcrx needs the name of an interface");
	if ((options->flags & ZRX_QUEUE) && !options->interface)
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, "set options.interface",
				     "a queue without an interface");
	if (options->steer == ZRX_STEER_PORT && !options->steer_port)
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, "set options.steer_port",
				     "steering by port needs the port");
	if (options->reserved)
		return refuse(error, "zero the struct before filling it", "reserved",
			      options->reserved);
	return 0;
}

int zrx_options_check(struct zrx_options *checked, const struct zrx_options *given,
		      struct zrx_error *error)
{
	static const struct zrx_options defaults = ZRX_OPTIONS_INIT;
	int result = zrx_copy_in(checked, sizeof(*checked), given ? given : &defaults);

	if (result)
		return zrx_error_set(
			error, result, ZRX_STAGE_OPTIONS,
			"start from ZRX_OPTIONS_INIT; update the library if its caller is newer",
			result == -E2BIG ? "options set bytes that this library does not know"
					 : "options.size is not set");
	result = check_choices(checked, error);
	if (!result)
		result = check_sizes(checked, error);
	if (!result)
		result = check_combinations(checked, error);
	return result;
}

uint32_t zrx_options_copy_chunk(const struct zrx_options *options)
{
	uint32_t page = (uint32_t)zrx_sys_page_bytes();
	uint32_t chunk = DEFAULT_COPY_CHUNK;

	if (options->buffer_bytes)
		return options->buffer_bytes;
	while (chunk > page && options->area_bytes / chunk < MIN_COPY_CHUNKS)
		chunk /= 2;
	return chunk > page ? chunk : page;
}

uint32_t zrx_options_refill_entries(const struct zrx_options *options, uint64_t chunks,
				    uint32_t most)
{
	uint64_t wanted = options->refill_entries ? options->refill_entries : chunks;
	uint32_t entries = 1;

	while (entries < wanted && entries < most)
		entries *= 2;
	return entries;
}
