/* SPDX-License-Identifier: MIT */
/* Explicit huge pages: the linker leads the core's mappings here, to a kernel whose pools are
 * known. */
#include "check.h"
#include "area.h"
#include "sys.h"

#include <errno.h>
#include <sys/mman.h>

#define CHUNK      4096u
#define MIB        (1ull << 20)
#define HUGE_2M    21u
#define HUGE_1G    30u
#define SIZE_SHIFT 26
#define SIZE_MASK  63
#define POPULATE   23 /* MADV_POPULATE_WRITE */
#define REMOVE     9  /* MADV_REMOVE */

static struct {
	uint32_t size;       /* of the pages that are there, as a logarithm; 0: none */
	int populate_result; /* of taking them */
} pool;

static struct {
	unsigned asked;     /* mappings of explicit huge pages */
	unsigned defaulted; /* of them without a size */
	unsigned populated;
	unsigned removed;
	unsigned reserved; /* mappings of pages that are there for others, too */
	uint64_t advised;  /* the last part that was taken, or given up: bytes */
	uint64_t mapped;   /* bytes, now */
} seen;

void *__real_zrx_sys_map(size_t size, int flags, int *error);
void __real_zrx_sys_unmap(void *address, size_t size);
int __real_zrx_sys_advise(void *address, size_t size, int advice);
void *__wrap_zrx_sys_map(size_t size, int flags, int *error);
void __wrap_zrx_sys_unmap(void *address, size_t size);
int __wrap_zrx_sys_advise(void *address, size_t size, int advice);

void *__wrap_zrx_sys_map(size_t size, int flags, int *error)
{
	uint32_t shift = (uint32_t)flags >> SIZE_SHIFT & SIZE_MASK;
	void *address;

	if (flags & MAP_HUGETLB) {
		seen.asked++;
		seen.reserved += !!(flags & MAP_NORESERVE);
		seen.defaulted += !shift;
		CHECK(size % (1ull << shift) == 0);
		if (shift != pool.size) {
			*error = -ENOMEM;
			return NULL;
		}
		flags = MAP_SHARED | MAP_NORESERVE;
	}
	address = __real_zrx_sys_map(size, flags, error);
	seen.mapped += address ? size : 0;
	return address;
}

void __wrap_zrx_sys_unmap(void *address, size_t size)
{
	seen.mapped -= size;
	__real_zrx_sys_unmap(address, size);
}

int __wrap_zrx_sys_advise(void *address, size_t size, int advice)
{
	if (advice != POPULATE && advice != REMOVE)
		return __real_zrx_sys_advise(address, size, advice);
	seen.advised = size;
	if (advice == REMOVE) {
		seen.removed++;
		return 0;
	}
	seen.populated++;
	return pool.populate_result;
}

/* Open an area of this kind, and close it. Returns the kind that it was, or the error. */
static int try_open(uint32_t kind, uint64_t bytes, struct zrx_error *error)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_area *area;
	int result;

	memset(&seen, 0, sizeof(seen));
	options.area_kind = kind;
	options.area_bytes = bytes;
	result = zrx_area_open(&area, &options, CHUNK, error);
	if (!result) {
		result = (int)area->kind;
		CHECK_EQUAL(seen.mapped, bytes);
		zrx_area_put(area, 1);
	}
	CHECK_EQUAL(seen.mapped, 0);
	CHECK_EQUAL(seen.defaulted, 0);
	return result;
}

static void test_taken(void)
{
	pool.size = HUGE_2M;
	pool.populate_result = 0;
	CHECK_EQUAL(try_open(ZRX_AREA_AUTO, 6 * MIB, NULL), ZRX_AREA_HUGETLB);
	CHECK_EQUAL(seen.populated, 1);
	CHECK_EQUAL(try_open(ZRX_AREA_HUGETLB, 1024 * MIB, NULL), ZRX_AREA_HUGETLB);
	CHECK_EQUAL(seen.asked, 1);
	CHECK_EQUAL(try_open(ZRX_AREA_AUTO, 3 * MIB, NULL) == ZRX_AREA_HUGETLB, 0);
	CHECK_EQUAL(seen.asked, 0);
}

/* A host that has only pages of 1 GiB: for an area that consists of them, and for no other. */
static void test_large_pages(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	pool.size = HUGE_1G;
	pool.populate_result = 0;
	CHECK_EQUAL(try_open(ZRX_AREA_HUGETLB, 2048 * MIB, NULL), ZRX_AREA_HUGETLB);
	CHECK_EQUAL(try_open(ZRX_AREA_AUTO, 64 * MIB, NULL) == ZRX_AREA_HUGETLB, 0);
	CHECK_EQUAL(try_open(ZRX_AREA_HUGETLB, 64 * MIB, &error), -ENOMEM);
	CHECK_SAYS(error.hint, "echo 32 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
}

static void test_empty_pool(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	pool.size = 0;
	CHECK_EQUAL(try_open(ZRX_AREA_AUTO, 2 * MIB, NULL) == ZRX_AREA_HUGETLB, 0);
	CHECK_EQUAL(seen.asked, 1);
	CHECK_EQUAL(try_open(ZRX_AREA_HUGETLB, 2 * MIB, &error), -ENOMEM);
	CHECK_EQUAL(error.stage, ZRX_STAGE_AREA);
	CHECK_SAYS(error.message, "1 of 2 MiB are not free");
}

/* What mmap grants and the first touch would not get. */
static void test_limit_of_cgroup(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	pool.size = HUGE_2M;
	pool.populate_result = -EFAULT;
	CHECK_EQUAL(try_open(ZRX_AREA_AUTO, 4 * MIB, NULL) == ZRX_AREA_HUGETLB, 0);
	CHECK_EQUAL(try_open(ZRX_AREA_HUGETLB, 4 * MIB, &error), -ENOMEM);
	CHECK_SAYS(error.message, "cgroup");
	CHECK_SAYS(error.hint, "hugetlb.2MB.max");
}

/* Before 5.14 the pages cannot be tried: they are used only if they are asked for. */
static void test_no_trial(void)
{
	pool.size = HUGE_2M;
	pool.populate_result = -EINVAL;
	CHECK_EQUAL(try_open(ZRX_AREA_AUTO, 4 * MIB, NULL) == ZRX_AREA_HUGETLB, 0);
	CHECK_EQUAL(try_open(ZRX_AREA_HUGETLB, 4 * MIB, NULL), ZRX_AREA_HUGETLB);
}

/* Explicit huge pages that grow are taken as they are needed, or not, and given back. */
static void test_growth(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_area *area;

	pool.size = HUGE_2M;
	pool.populate_result = 0;
	memset(&seen, 0, sizeof(seen));
	options.area_kind = ZRX_AREA_HUGETLB;
	options.area_bytes = 4 * MIB;
	options.area_max_bytes = 15 * MIB;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), -EINVAL);
	CHECK_SAYS(error.message, "area_max_bytes");
	options.area_max_bytes = 16 * MIB;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), 0);
	CHECK_EQUAL(seen.reserved, 1);
	CHECK_EQUAL(seen.mapped, 16 * MIB);
	CHECK_EQUAL(seen.advised, 4 * MIB);
	CHECK_EQUAL(zrx_area_take(area, 8 * MIB), 0);
	CHECK_EQUAL(seen.removed, 0);
	pool.populate_result = -EFAULT;
	CHECK_EQUAL(zrx_area_take(area, 10 * MIB), -EFAULT);
	CHECK_EQUAL(seen.removed, 1);
	CHECK_EQUAL(seen.advised, 6 * MIB);
	zrx_area_put(area, 1);
	CHECK_EQUAL(seen.mapped, 0);
	/* Which of them are there by then nobody knows: only who names them gets them. */
	options.area_kind = ZRX_AREA_AUTO;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), 0);
	CHECK(area->kind != ZRX_AREA_HUGETLB);
	zrx_area_put(area, 1);
}

int main(void)
{
	test_taken();
	test_large_pages();
	test_empty_pool();
	test_limit_of_cgroup();
	test_no_trial();
	test_growth();
	return 0;
}
