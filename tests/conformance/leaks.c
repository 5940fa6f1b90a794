/* SPDX-License-Identifier: MIT */
#include "leaks.h"
#include "verdict.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SMALLEST_AREA (1u << 20)

static unsigned entries_of(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	CHECK(directory, "cannot read %s", path);
	for (struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static void count_mappings(struct holdings *holdings, uint64_t area_bytes)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	CHECK(maps, "cannot read /proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		uint64_t begin, end;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) != 2)
			continue;
		holdings->rings += strstr(line, "[io_uring]") != NULL;
		if (area_bytes >= SMALLEST_AREA && end - begin >= area_bytes)
			holdings->area_bytes += end - begin;
	}
	fclose(maps);
}

struct holdings holdings_count(uint64_t area_bytes)
{
	struct holdings holdings = {
		.descriptors = entries_of("/proc/self/fd"),
		.threads = entries_of("/proc/self/task"),
	};

	count_mappings(&holdings, area_bytes);
	return holdings;
}

/* A joined thread may still be on its way out of the kernel. */
static unsigned settled_threads(unsigned expected)
{
	unsigned threads = entries_of("/proc/self/task");

	for (int tries = 0; threads > expected && tries < 1000; tries++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		threads = entries_of("/proc/self/task");
	}
	return threads;
}

void holdings_compare(const struct holdings *before, const struct holdings *now)
{
	unsigned threads = settled_threads(before->threads);

	CHECK(now->descriptors == before->descriptors, "left behind: %u descriptors, were %u",
	      now->descriptors, before->descriptors);
	CHECK(threads == before->threads, "left behind: %u threads, were %u", threads,
	      before->threads);
	CHECK(now->rings == before->rings, "left behind: %u ring mappings, were %u", now->rings,
	      before->rings);
	/* Less may be: the C library gives some of its own back. */
	CHECK(now->area_bytes <= before->area_bytes,
	      "left behind: %" PRIu64 " bytes in mappings as large as the area, were %" PRIu64,
	      now->area_bytes, before->area_bytes);
}
