/* SPDX-License-Identifier: MIT */
/*
 * On which NUMA node an area's memory is: the NIC's, which the rig says (--far-memory). This thread
 * is kept on a processor of the other one, so that memory of nobody's choice is there.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEAR_NODE     0 /* has the first processor */
#define NODES         2
#define BATCH         512u
#define BYTES         (40u << 20) /* of traffic: more than the area */
#define SOME_BYTES    (4u << 20)
#define PLAIN_BYTES   (8u << 20)
#define BEYOND_BYTES  (320u << 20) /* larger than the memory of the NIC's node */
#define POLICY_NONE   0            /* MPOL_DEFAULT */
#define POLICY_PREFER 1            /* MPOL_PREFERRED */
#define POLICY_OF     2            /* MPOL_F_ADDR */

struct numa_pages {
	uint64_t on[NODES];
	uint64_t absent;
};

/* The NIC's; -1: the rig has no nodes. */
static int numa_node(void)
{
	const char *node = getenv("ZRX_RIG_NODE");

	return node ? atoi(node) : -1;
}

static void numa_stay_near(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK(!sched_setaffinity(0, sizeof(first), &first), "affinity: %s", strerror(errno));
}

/* By number: libnuma is the only other way. */
static struct numa_pages numa_count(const void *base, uint64_t bytes)
{
	struct numa_pages pages = {{0}, 0};
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), count = bytes / page_bytes;
	const void *where[BATCH];
	int nodes[BATCH];

	for (uint64_t first = 0; first < count; first += BATCH) {
		uint64_t part = count - first < BATCH ? count - first : BATCH;

		for (uint64_t i = 0; i < part; i++)
			where[i] = (const char *)base + (first + i) * page_bytes;
		CHECK(!syscall(SYS_move_pages, 0, part, where, NULL, nodes, 0), "move_pages: %s",
		      strerror(errno));
		for (uint64_t i = 0; i < part; i++) {
			CHECK(nodes[i] < NODES, "a page on node %d", nodes[i]);
			if (nodes[i] < 0)
				pages.absent++;
			else
				pages.on[nodes[i]]++;
		}
	}
	return pages;
}

static int numa_policy(const void *address)
{
	int policy = -1;

	CHECK(!syscall(SYS_get_mempolicy, &policy, NULL, 0, address, POLICY_OF),
	      "get_mempolicy: %s", strerror(errno));
	return policy;
}

/* Else nothing is shown by where an area is. */
static void numa_check_plain(void)
{
	void *memory =
		mmap(NULL, PLAIN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct numa_pages pages;

	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(memory, 1, PLAIN_BYTES);
	pages = numa_count(memory, PLAIN_BYTES);
	CHECK(numa_node() < 0 || (pages.on[NEAR_NODE] && !pages.on[numa_node()]),
	      "plain memory: %" PRIu64 " pages on node 0, %" PRIu64 " on node 1", pages.on[0],
	      pages.on[1]);
	munmap(memory, PLAIN_BYTES);
}

static void numa_check_area(const struct rx *rx)
{
	struct numa_pages pages = numa_count(rx->info.area_base, rx->info.area_bytes);
	int node = numa_node();

	CHECK(rx->info.numa_node == node, "the area's node is %d, the NIC's %d", rx->info.numa_node,
	      node);
	CHECK(numa_policy(rx->info.area_base) == (node < 0 ? POLICY_NONE : POLICY_PREFER),
	      "policy %d", numa_policy(rx->info.area_base));
	CHECK(!pages.absent && (node < 0 || !pages.on[1 - node]),
	      "%" PRIu64 " pages of the area are on node 0, %" PRIu64 " on node 1, %" PRIu64
	      " nowhere",
	      pages.on[0], pages.on[1], pages.absent);
}

static void numa_check_kind(uint32_t kind)
{
	struct zrx_options options = rx_options();
	struct rx rx;

	options.area_kind = kind;
	rx_open(&rx, &options);
	numa_check_area(&rx);
	rx_close(&rx);
}

void numa_of_nic(void)
{
	struct zrx_options options = rx_options();
	struct rx rx = {0};
	struct flow flow;

	numa_stay_near();
	numa_check_plain();
	rx_receive_one(&rx, &options, &flow, numa_node() < 0 ? 1 : BYTES);
	numa_check_area(&rx);
	rx_check_uncopied(&rx);
	rx_close(&rx);
	if (numa_node() < 0)
		return;
	numa_check_kind(ZRX_AREA_THP);
	numa_check_kind(ZRX_AREA_PAGES);
}

/* A node that has too little: what does not fit is elsewhere, and the receiver works. */
void numa_beyond_node(void)
{
	struct zrx_options options = rx_options();
	struct numa_pages pages;
	struct rx rx = {0};
	struct flow flow;
	int node = numa_node();

	if (node < 0)
		return; /* it would be all of the memory that there is */
	numa_stay_near();
	options.area_bytes = BEYOND_BYTES;
	options.area_kind = ZRX_AREA_PAGES;
	rx_receive_one(&rx, &options, &flow, SOME_BYTES);
	pages = numa_count(rx.info.area_base, rx.info.area_bytes);
	CHECK(rx.info.numa_node == node && !pages.absent, "node %d, %" PRIu64 " pages nowhere",
	      rx.info.numa_node, pages.absent);
	CHECK(pages.on[node] && pages.on[1 - node],
	      "%" PRIu64 " pages on node 0, %" PRIu64 " on node 1", pages.on[0], pages.on[1]);
	rx_check_uncopied(&rx);
	rx_close(&rx);
}

/* Engines that copy have no NIC: their memory is where the program's is. */
void numa_of_copies(void)
{
	static const uint32_t engines[] = {ZRX_ENGINE_MULTISHOT, ZRX_ENGINE_RECV,
					   ZRX_ENGINE_ZCRX_NODEV};

	numa_stay_near();
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		struct zrx_options options = ZRX_OPTIONS_INIT;
		struct zrx_error error = ZRX_ERROR_INIT;
		struct zrx_info info = ZRX_INFO_INIT;
		struct zrx_receiver *receiver;
		int result;

		options.engine = engines[i];
		result = zrx_receiver_open(&receiver, &options, &error);
		if (result && engines[i] == ZRX_ENGINE_ZCRX_NODEV)
			continue; /* before Linux 7.1 */
		CHECK(!result, "open: %s", error.message);
		CHECK(!zrx_receiver_info(receiver, &info), "info");
		CHECK(info.numa_node == -1 && numa_policy(info.area_base) == POLICY_NONE,
		      "%s: node %d, policy %d", zrx_engine_name(info.engine), info.numa_node,
		      numa_policy(info.area_base));
		CHECK(!zrx_receiver_close(receiver), "close");
	}
}
