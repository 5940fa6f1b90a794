/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "area.h"
#include "error.h"
#include "fork.h"
#include "receiver.h"
#include "refill.h"
#include "sys.h"

#define HUGE_BYTES (2u << 20)

/* Since 5.14; for C libraries that do not name it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_SHIFT_FLAG 26 /* of mmap: where the logarithm of the page size goes */

static int area_grows(const struct zrx_area *area)
{
	return area->max_bytes > area->bytes;
}

/*
 * The pages are taken now. A cgroup's limit is met at the first touch, not by mmap: the NIC's
 * registration would fail by it, and a copy die of SIGBUS.
 */
static int populate(struct zrx_area *area, uint32_t kind)
{
	int result = zrx_sys_advise(area->base, area->bytes, MADV_POPULATE_WRITE);

	/* Before Linux 5.14 populating is unknown: huge pages are then used only if named, and all
	 * of them reserved. */
	return result == -EINVAL && kind == ZRX_AREA_HUGETLB && !area_grows(area) ? 0 : result;
}

/* Before the first touch. Kernels without NUMA, and nodes without memory, refuse: then it is
 * anywhere. */
static void prefer_node(struct zrx_area *area)
{
	if (area->node >= 0 &&
	    zrx_sys_prefer_node(area->base, area->space_bytes, (uint32_t)area->node))
		area->node = -1;
}

/*
 * Never the default size, which an area need not be a multiple of, and may be 1 GiB; the smallest
 * first. All sizes of arm64, with any page, and of x86.
 */
static int map_hugetlb(struct zrx_area *area, uint32_t kind, int *mapped)
{
	static const uint32_t shifts[] = {21, 25, 29, 30};
	int result = -ENOMEM;

	*mapped = 0;
	for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		/* Shared: a forked child then reads the same pages and needs no second set. */
		int flags = MAP_SHARED | MAP_HUGETLB | (int)(shifts[i] << HUGE_SHIFT_FLAG);
		int error = 0;

		if ((area->bytes | area->max_bytes) % (1ull << shifts[i]))
			continue;
		if (area_grows(area)) /* what is not there yet is for others to take */
			flags |= MAP_NORESERVE;
		area->base = zrx_sys_map(area->space_bytes, flags, &error);
		if (!area->base)
			continue; /* no pages of this size, or no such size */
		*mapped = 1;
		prefer_node(area);
		area->kind = ZRX_AREA_HUGETLB;
		area->grain = 1ull << shifts[i];
		result = populate(area, kind);
		if (!result)
			return 0;
		zrx_sys_unmap(area->base, area->space_bytes);
		area->base = NULL;
	}
	return result;
}

static int huge_refused(const struct zrx_area *area, int mapped, struct zrx_error *error)
{
	uint64_t pages = area->bytes / HUGE_BYTES;
	char hint[200];

	if (mapped)
		return zrx_error_set(
			error, -ENOMEM, ZRX_STAGE_AREA,
			"raise the cgroup's limit of huge pages (hugetlb.2MB.max), or take "
			"another kind of area",
			"huge pages for %" PRIu64 " bytes are reserved, and cannot be used: a "
			"limit of the cgroup or cpuset is in the way",
			area->bytes);
	snprintf(hint, sizeof(hint),
		 "echo %" PRIu64 " > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages "
		 "(where 2 MiB is the default size: sysctl -w vm.nr_hugepages=%" PRIu64 ")",
		 pages, pages);
	return zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, hint,
			     "cannot get %" PRIu64 " bytes of explicit huge pages: %" PRIu64
			     " of 2 MiB are not free",
			     area->bytes, pages);
}

/* Memory, or for an area that grows no more than addresses. */
static uint8_t *map_space(size_t bytes, int grows, int *error)
{
	return grows ? zrx_sys_reserve(bytes, error) : zrx_sys_map(bytes, 0, error);
}

/*
 * Start on a huge page boundary: transparent huge pages can fill the area from its first byte, and
 * a rx_buf_len above a page finds it contiguous.
 */
static uint8_t *map_aligned(size_t bytes, int grows, int *error)
{
	uint8_t *raw = map_space(bytes, grows, error);
	size_t head;

	if (!raw || (uintptr_t)raw % HUGE_BYTES == 0 || bytes < HUGE_BYTES)
		return raw;
	zrx_sys_unmap(raw, bytes);
	raw = map_space(bytes + HUGE_BYTES, grows, error);
	if (!raw)
		return NULL;
	head = (HUGE_BYTES - (uintptr_t)raw % HUGE_BYTES) % HUGE_BYTES;
	if (head)
		zrx_sys_unmap(raw, head);
	zrx_sys_unmap(raw + head + bytes, HUGE_BYTES - head);
	return raw + head;
}

static int map_pages(struct zrx_area *area, int huge)
{
	int error = 0;

	area->kind = ZRX_AREA_PAGES;
	area->base = map_aligned(area->space_bytes, area_grows(area), &error);
	if (area->base)
		prefer_node(area);
	if (area->base && area_grows(area))
		error = zrx_sys_commit(area->base, area->bytes);
	if (error && area->base)
		zrx_sys_unmap(area->base, area->space_bytes);
	if (error || !area->base || !huge || !zrx_sys_thp_enabled())
		return error;
	if (!zrx_sys_advise(area->base, area->space_bytes, MADV_HUGEPAGE))
		area->kind = ZRX_AREA_THP;
	return 0;
}

static int map_anonymous(struct zrx_area *area, uint32_t kind, struct zrx_error *error)
{
	int result = -ENOMEM, mapped = 0;

	if (kind == ZRX_AREA_HUGETLB && area->bytes % HUGE_BYTES)
		return zrx_error_set(
			error, -EINVAL, ZRX_STAGE_AREA, "set area_bytes to a multiple of 2 MiB",
			"area_bytes %" PRIu64 " is no multiple of the huge page size", area->bytes);
	if (kind == ZRX_AREA_HUGETLB && area->max_bytes % HUGE_BYTES)
		return zrx_error_set(
			error, -EINVAL, ZRX_STAGE_AREA, "set area_max_bytes to a multiple of 2 MiB",
			"area_max_bytes %" PRIu64 " is no multiple of the huge page size",
			area->max_bytes);
	/* Explicit ones that are there now may be gone when it grows. */
	if (kind == ZRX_AREA_HUGETLB || (kind == ZRX_AREA_AUTO && !area_grows(area)))
		result = map_hugetlb(area, kind, &mapped);
	if (result && kind == ZRX_AREA_HUGETLB)
		return huge_refused(area, mapped, error);
	if (result)
		result = map_pages(area, kind != ZRX_AREA_PAGES);
	if (result)
		return zrx_error_set(
			error, result, ZRX_STAGE_AREA,
			"ask for a smaller area, or raise the limit (ulimit -v, cgroup memory.max)",
			"cannot map an area of %" PRIu64 " bytes", area->bytes);
	return 0;
}

static int use_caller_memory(struct zrx_area *area, const struct zrx_options *options,
			     struct zrx_error *error)
{
	if (!options->area_memory || (uintptr_t)options->area_memory % zrx_sys_page_bytes())
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_AREA,
				     "allocate it with mmap or aligned_alloc(page size)",
				     "area_memory %p is not the start of a page",
				     options->area_memory);
	area->base = options->area_memory;
	area->free = options->area_free;
	area->free_context = options->area_context;
	area->kind = ZRX_AREA_CALLER;
	area->node = -1; /* where it is, is the caller's */
	return 0;
}

static int use_dmabuf(struct zrx_area *area, const struct zrx_options *options,
		      struct zrx_error *error)
{
	int ignored = 0;

	area->dmabuf_fd = zrx_sys_dup(options->dmabuf_fd);
	if (area->dmabuf_fd < 0)
		return zrx_error_set(error, area->dmabuf_fd, ZRX_STAGE_AREA,
				     "pass the descriptor of an open dma-buf",
				     "dmabuf_fd %d cannot be duplicated", options->dmabuf_fd);
	/* Device memory has no CPU view: buffers then carry offsets only. */
	area->base = zrx_sys_map_fd(area->dmabuf_fd, area->bytes, 0, 0, &ignored);
	area->kind = ZRX_AREA_DMABUF;
	area->node = -1;
	return 0;
}

static int get_memory(struct zrx_area *area, const struct zrx_options *options,
		      struct zrx_error *error)
{
	switch (options->area_kind) {
	case ZRX_AREA_CALLER:
		return use_caller_memory(area, options, error);
	case ZRX_AREA_DMABUF:
		return use_dmabuf(area, options, error);
	default:
		return map_anonymous(area, options->area_kind, error);
	}
}

static void put_memory(struct zrx_area *area)
{
	if (area->lost)
		return;
	if (area->kind == ZRX_AREA_CALLER) {
		if (area->free)
			area->free(area->base, area->bytes, area->free_context);
	} else if (area->base) {
		zrx_sys_unmap(area->base, area->space_bytes);
	}
}

int zrx_area_take(struct zrx_area *area, uint64_t bytes)
{
	uint8_t *from = area->base + area->bytes;
	int result;

	if (area->kind != ZRX_AREA_HUGETLB)
		return zrx_sys_commit(from, bytes - area->bytes);
	result = zrx_sys_advise(from, bytes - area->bytes, MADV_POPULATE_WRITE);
	if (result)
		zrx_area_give_up(area, bytes);
	return result;
}

void zrx_area_give_up(struct zrx_area *area, uint64_t bytes)
{
	uint8_t *from = area->base + area->bytes;

	if (area->kind == ZRX_AREA_HUGETLB)
		zrx_sys_advise(from, bytes - area->bytes, MADV_REMOVE);
	else
		zrx_sys_withdraw(from, bytes - area->bytes);
}

/* Options of growth are checked: only what is ours grows. */
static void set_size(struct zrx_area *area, const struct zrx_options *options)
{
	area->bytes = options->area_bytes;
	area->max_bytes =
		options->area_max_bytes > area->bytes ? options->area_max_bytes : area->bytes;
	area->space_bytes = area->max_bytes;
	area->grain = zrx_sys_page_bytes();
}

int zrx_area_open(struct zrx_area **area, const struct zrx_options *options, uint32_t chunk_bytes,
		  struct zrx_error *error)
{
	return zrx_area_open_near(area, options, chunk_bytes, -1, error);
}

/* Without memory yet. */
static int new_area(struct zrx_area **out, struct zrx_error *error)
{
	struct zrx_area *area = zrx_sys_alloc(sizeof(*area));
	int result;

	if (!area)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, NULL, "out of memory");
	area->magic = ZRX_AREA_MAGIC;
	area->dmabuf_fd = -1;
	area->ring_fd = -1;
	area->poll_fd = -1;
	atomic_init(&area->references, 1);
	atomic_init(&area->needs, 1);
	area->wake_fd = zrx_sys_eventfd_open();
	if (area->wake_fd < 0) {
		result = zrx_error_set(error, area->wake_fd, ZRX_STAGE_RING,
				       "raise the limit of open files: ulimit -n",
				       "cannot open an eventfd");
		zrx_sys_free(area);
		return result;
	}
	*out = area;
	return 0;
}

static void free_area(struct zrx_area *area)
{
	zrx_sys_close(area->wake_fd);
	zrx_sys_free(area);
}

static int watch_forks(struct zrx_area *area, struct zrx_error *error)
{
	int result = zrx_fork_watch(area);

	return result ? zrx_error_set(error, result, ZRX_STAGE_AREA, NULL,
				      "cannot register fork handlers")
		      : 0;
}

int zrx_area_open_near(struct zrx_area **out, const struct zrx_options *options,
		       uint32_t chunk_bytes, int32_t node, struct zrx_error *error)
{
	struct zrx_area *area;
	int result = new_area(&area, error);

	if (result)
		return result;
	set_size(area, options);
	area->chunk_shift = (uint32_t)__builtin_ctz(chunk_bytes);
	area->node = node;
	result = get_memory(area, options, error);
	if (result) {
		free_area(area);
		return result;
	}
	result = watch_forks(area, error);
	if (result) {
		area->free = NULL;
		put_memory(area);
		if (area->dmabuf_fd >= 0)
			zrx_sys_close(area->dmabuf_fd);
		free_area(area);
		return result;
	}
	*out = area;
	return 0;
}

int zrx_area_borrow(struct zrx_area **out, struct zrx_area *lender, struct zrx_error *error)
{
	struct zrx_area *area;
	int result = new_area(&area, error);

	if (result)
		return result;
	area->base = lender->base;
	area->bytes = lender->bytes;
	area->max_bytes = lender->max_bytes;
	area->space_bytes = lender->space_bytes;
	area->grain = lender->grain;
	area->kind = lender->kind;
	area->node = lender->node;
	area->chunk_shift = lender->chunk_shift;
	result = watch_forks(area, error);
	if (result) {
		free_area(area);
		return result;
	}
	/* Relaxed: the caller has the lender. */
	atomic_fetch_add_explicit(&lender->needs, 1, memory_order_relaxed);
	area->lender = lender;
	*out = area;
	return 0;
}

void zrx_area_lose(struct zrx_area *area)
{
	(area->lender ? area->lender : area)->lost = 1;
}

int zrx_area_hold(struct zrx_area *area, struct zrx_error *error)
{
	int result = zrx_holds_open(&area->holds, zrx_area_chunks_most(area), area->chunk_shift);

	if (result == -E2BIG)
		return zrx_error_set(error, result, ZRX_STAGE_AREA,
				     "take larger buffers (buffer_bytes), or a smaller area",
				     "an area of %" PRIu64
				     " chunks (as far as it may grow) is more "
				     "than buffers can name",
				     zrx_area_chunks_most(area));
	if (!result && area->refill)
		result = zrx_refill_hold(area->refill, zrx_area_chunks_most(area));
	if (result)
		zrx_error_set(error, result, ZRX_STAGE_AREA, NULL, "out of memory");
	return result;
}

static void destroy(struct zrx_area *area)
{
	zrx_fork_hold();
	zrx_fork_unwatch(area);
	zrx_sys_close(area->wake_fd);
	if (area->poll_fd >= 0)
		zrx_sys_close(area->poll_fd);
	if (area->dmabuf_fd >= 0)
		zrx_sys_close(area->dmabuf_fd);
	zrx_fork_allow();
	if (!area->lender)
		put_memory(area);
	if (area->refill)
		zrx_sys_free(area->refill->owed);
	zrx_sys_free(area->refill);
	zrx_sys_free(area->shared);
	zrx_holds_close(&area->holds);
	area->magic = 0;
	zrx_sys_free(area);
}

/* One need of it less: it has no references any more, or who borrows its memory goes. */
static void need_less(struct zrx_area *area)
{
	/* Ordered as in zrx_area_put. */
	while (area && atomic_fetch_sub_explicit(&area->needs, 1, memory_order_acq_rel) == 1) {
		struct zrx_area *lender = area->lender;

		destroy(area);
		area = lender;
	}
}

void zrx_area_put(struct zrx_area *area, int64_t references)
{
	/*
	 * Release: what this thread read in its buffers comes before; acquire: the last one sees
	 * all of it.
	 */
	if (atomic_fetch_sub_explicit(&area->references, references, memory_order_acq_rel) !=
	    references)
		return;
	if (area->deferred)
		zrx_receiver_destroy(area->deferred);
	need_less(area);
}

void zrx_area_abandon(struct zrx_area *area)
{
	area->free = NULL;
	zrx_area_put(area, 1);
}

void zrx_area_nudge(struct zrx_area *area)
{
	zrx_sys_eventfd_signal(area->wake_fd);
	/* The ring forwards a wake only while it watches for one: an event loop is told directly.
	 */
	if (atomic_load_explicit(&area->polled, memory_order_relaxed) && area->poll_fd >= 0)
		zrx_sys_eventfd_signal(area->poll_fd);
}

uint64_t zrx_thread_number(void)
{
	static _Atomic uint64_t last;
	static _Thread_local uint64_t number;

	/* Relaxed: only that no two are the same counts. */
	if (!number)
		number = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return number;
}

int zrx_area_owned(const struct zrx_area *area)
{
	/* Relaxed: only a thread's own store can make this true. */
	return atomic_load_explicit(&area->owner, memory_order_relaxed) == zrx_thread_number();
}
