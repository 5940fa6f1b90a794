/* SPDX-License-Identifier: MIT */
/* Memory of each kind that a NIC can write to, and buffers larger than a page. */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES      (16u << 20)
#define HUGE_BYTES (2u << 20)
#define LARGE_MTU  9000

static void reserve_huge_pages(uint64_t bytes)
{
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", "we");

	CHECK(file && fprintf(file, "%llu\n", (unsigned long long)bytes / HUGE_BYTES) > 0 &&
		      !fclose(file),
	      "nr_hugepages: %s", strerror(errno));
}

static void receive_uncopied(const struct zrx_options *options)
{
	struct flow flow;
	struct rx rx = {0};

	rx_receive_one(&rx, options, &flow, BYTES);
	rx_check_uncopied(&rx);
	CHECK(rx.info.area_kind == options->area_kind, "the area is of kind %u, not %u",
	      rx.info.area_kind, options->area_kind);
	rx_close(&rx);
}

void area_of_pages(void)
{
	struct zrx_options options = rx_options();

	options.area_kind = ZRX_AREA_PAGES;
	receive_uncopied(&options);
}

void area_of_huge_pages(void)
{
	struct zrx_options options = rx_options();

	reserve_huge_pages(options.area_bytes);
	options.area_kind = ZRX_AREA_HUGETLB;
	receive_uncopied(&options);
	reserve_huge_pages(0);
}

/* ---- dma-buf ---- */

/* Memory that is a dma-buf for the NIC, and an ordinary file for who looks at what came. */
static int make_dmabuf(uint64_t bytes, int *memory)
{
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;
	struct udmabuf_create create = {.flags = UDMABUF_FLAGS_CLOEXEC, .size = bytes};

	*memory = memfd_create("area", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(device >= 0 && *memory >= 0 && !ftruncate(*memory, (off_t)bytes) &&
		      !fcntl(*memory, F_ADD_SEALS, F_SEAL_SHRINK),
	      "/dev/udmabuf: %s", strerror(errno));
	create.memfd = (uint32_t)*memory;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	CHECK(fd >= 0, "UDMABUF_CREATE: %s", strerror(errno));
	close(device);
	return fd;
}

void area_in_dmabuf(void)
{
	struct zrx_options options = rx_options();
	int memory, fd = make_dmabuf(options.area_bytes, &memory);
	void *view = mmap(NULL, options.area_bytes, PROT_READ, MAP_SHARED, memory, 0);
	struct flow flow;
	struct rx rx = {.memory = view};

	CHECK(view != MAP_FAILED, "mmap: %s", strerror(errno));
	options.area_kind = ZRX_AREA_DMABUF;
	options.dmabuf_fd = fd;
	rx_receive_one(&rx, &options, &flow, BYTES);
	rx_check_uncopied(&rx);
	CHECK(rx.info.area_kind == ZRX_AREA_DMABUF, "the area is of kind %u", rx.info.area_kind);
	rx_close(&rx);
	munmap(view, options.area_bytes);
	close(memory);
	close(fd);
}

/* ---- large buffers ---- */

/* What the driver can; elsewhere the receiver falls back to pages, and says so. */
static int has_large_buffers(const struct rx *rx)
{
	return nic_is("bnxt") && rx->info.features & ZRX_FEATURE_RX_BUF_LEN;
}

static void receive_large(uint32_t buffer_bytes)
{
	struct zrx_options options = rx_options();
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	struct flow flow;
	struct rx rx = {0};

	reserve_huge_pages(options.area_bytes);
	nic_set_mtu(LARGE_MTU);
	options.buffer_bytes = buffer_bytes;
	rx_receive_one(&rx, &options, &flow, BYTES);
	rx_check_uncopied(&rx);
	if (has_large_buffers(&rx)) {
		CHECK(rx.info.buffer_bytes == buffer_bytes, "buffers of %u bytes",
		      rx.info.buffer_bytes);
		CHECK(rx.largest > page, "no buffer was larger than %u bytes", rx.largest);
	} else {
		CHECK(rx.info.buffer_bytes == page, "buffers of %u bytes", rx.info.buffer_bytes);
	}
	rx_close(&rx);
	nic_set_mtu(atoi(nic_environment("MTU")));
	reserve_huge_pages(0);
}

void rx_buf_len_8k(void)
{
	receive_large(8192);
}

void rx_buf_len_16k(void)
{
	receive_large(16384);
}

void rx_buf_len_32k(void)
{
	receive_large(32768);
}
