/* SPDX-License-Identifier: MIT */
/* Heap and mappings: counted, sometimes refused, and watched for views when they go. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nic_model.h"
#include "sim.h"
#include "zcrx_model.h"

#define REGIONS_MAX    64
#define ALIGNMENT      4096
#define LARGE          65536
#define HUGE_BYTES     (2u << 20)
#define RETRY_LEAST_NS 100000000 /* no sooner is growth that failed worth another try */

struct region {
	void *heap; /* what to free; NULL: no region */
	uint8_t *address;
	size_t size;
	size_t committed; /* from its start: the rest is addresses, and no memory */
};

static struct region regions[REGIONS_MAX];
static _Atomic int64_t allocations;
static uint64_t refused_at; /* when growth was refused last; 0: never, or it has succeeded since */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the last release may be any thread's */

void sim_memory_begin(void)
{
	memset(regions, 0, sizeof(regions));
	allocations = 0;
	refused_at = 0;
}

void sim_memory_lost(const void *address)
{
	for (int i = 0; i < REGIONS_MAX; i++) {
		if (!regions[i].heap || regions[i].address != address)
			continue;
		free(regions[i].heap);
		regions[i].heap = NULL;
	}
}

void sim_memory_check_empty(void)
{
	if (allocations)
		sim_fail("%lld allocations were not freed", (long long)allocations);
	for (int i = 0; i < REGIONS_MAX; i++) {
		if (regions[i].heap)
			sim_fail("a mapping of %zu bytes was not unmapped", regions[i].size);
	}
}

/* Of large allocations there are few: one in two. */
static uint32_t shortage(size_t size)
{
	return sim.kernel.short_memory && size >= LARGE ? 50 : sim.kernel.short_memory;
}

void *zrx_sys_alloc(size_t size)
{
	if (sim_chance(shortage(size))) {
		sim_trace("an allocation of %zu bytes fails", size);
		return NULL;
	}
	atomic_fetch_add(&allocations, 1);
	return calloc(1, size);
}

void zrx_sys_free(void *memory)
{
	if (memory)
		atomic_fetch_sub(&allocations, 1);
	free(memory);
}

static void *new_region(size_t size, int *error)
{
	void *address = NULL;

	if (sim_chance(sim.kernel.short_memory)) {
		*error = -ENOMEM;
		return NULL;
	}
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	/* On the border of a huge page, which the core looks at: not wherever this process has
	 * room. */
	if (posix_memalign(&address, size < HUGE_BYTES ? ALIGNMENT : HUGE_BYTES, size))
		abort();
	memset(address, 0, size);
	pthread_mutex_lock(&lock);
	for (int i = 0; i < REGIONS_MAX; i++) {
		if (!regions[i].heap) {
			regions[i] = (struct region){address, address, size, size};
			pthread_mutex_unlock(&lock);
			return address;
		}
	}
	abort();
}

void *zrx_sys_map(size_t size, int flags, int *error)
{
	if (flags & MAP_HUGETLB) {
		*error = -ENOMEM;
		return NULL;
	}
	return new_region(size, error);
}

void *zrx_sys_map_fd(int fd, size_t size, uint64_t offset, int writable, int *error)
{
	void *address;

	(void)offset;
	(void)writable;
	if (sim_fd_kind(fd) != SIM_FD_RING) {
		*error = -ENODEV;
		return NULL;
	}
	address = new_region(size, error);
	if (address)
		sim_zcrx_mapped(address);
	return address;
}

/* Take a part off a region: all of it, its head, or its tail. */
static void shrink(struct region *region, uint8_t *address, size_t size)
{
	if (address == region->address && size < region->size && region->committed < region->size)
		sim_fail("a reservation loses its head");
	if (address == region->address)
		region->address += size;
	else if (address + size != region->address + region->size)
		sim_fail("unmapping the middle of a mapping");
	region->size -= size;
	if (region->committed > region->size)
		region->committed = region->size;
	if (region->size)
		return;
	free(region->heap);
	region->heap = NULL;
}

void zrx_sys_unmap(void *address, size_t size)
{
	uint8_t *begin = address;

	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	sim_check_unused(address, size, "unmapped");
	sim_nic_check_unbound(address, size, "unmapped");
	pthread_mutex_lock(&lock);
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *region = &regions[i];

		if (!region->heap || begin < region->address ||
		    begin + size > region->address + region->size)
			continue;
		shrink(region, begin, size);
		pthread_mutex_unlock(&lock);
		return;
	}
	sim_fail("unmapping %zu bytes that are not mapped", size);
}

/* ---- addresses, and memory for them ---- */

static struct region *region_of(const void *address, size_t size)
{
	const uint8_t *begin = address;

	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *region = &regions[i];

		if (region->heap && begin >= region->address &&
		    begin + size <= region->address + region->size)
			return region;
	}
	return NULL;
}

void sim_memory_check(const void *address, size_t size, const char *why)
{
	const struct region *region;
	int missing;

	pthread_mutex_lock(&lock);
	region = region_of(address, size); /* NULL: the caller's own */
	missing = region && (const uint8_t *)address + size > region->address + region->committed;
	pthread_mutex_unlock(&lock);
	if (missing)
		sim_fail("%zu bytes are %s, and there is no memory", size, why);
}

void sim_growth_refused(const char *by)
{
	if (refused_at && sim.now_ns - refused_at < RETRY_LEAST_NS)
		sim_fail("growth is tried again after %llu ns",
			 (unsigned long long)(sim.now_ns - refused_at));
	refused_at = sim.now_ns;
	sim_trace("growth is refused by %s", by);
}

int sim_growth_put_off(void)
{
	return refused_at != 0;
}

void *zrx_sys_reserve(size_t size, int *error)
{
	void *address = new_region(size, error);

	if (address)
		region_of(address, size)->committed = 0;
	return address;
}

int zrx_sys_commit(void *address, size_t size)
{
	struct region *region = region_of(address, size);

	if (!region || (uint8_t *)address != region->address + region->committed)
		sim_fail("%zu bytes are committed at no place for them", size);
	if (region->committed && sim_chance(sim.kernel.refuses_growth)) {
		sim_growth_refused("the want of memory");
		return -ENOMEM;
	}
	if (sim_chance(sim.kernel.short_memory)) {
		if (region->committed)
			sim_growth_refused("a shortage");
		return -ENOMEM;
	}
	region->committed += size;
	refused_at = 0;
	return 0;
}

void zrx_sys_withdraw(void *address, size_t size)
{
	struct region *region = region_of(address, size);
	uint8_t *begin = address;

	if (!region || begin + size != region->address + region->committed)
		sim_fail("%zu bytes are withdrawn, and are not the last", size);
	sim_check_unused(address, size, "withdrawn");
	memset(address, 0, size);
	region->committed -= size;
}

int zrx_sys_advise(void *address, size_t size, int advice)
{
	(void)address;
	(void)size;
	(void)advice;
	return 0;
}

int zrx_sys_thp_enabled(void)
{
	return sim_chance(50);
}

size_t zrx_sys_page_bytes(void)
{
	return sim.kernel.page_bytes;
}

int zrx_sys_prefer_node(void *address, size_t size, uint32_t node)
{
	(void)address;
	(void)size;
	(void)node;
	return sim.seed & 128 ? -ENOSYS : 0;
}
