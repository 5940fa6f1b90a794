/* SPDX-License-Identifier: MIT */
#include "leaks.h"
#include "verdict.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *proc_path(pid_t process, const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)process, name);
	return path;
}

/* Of another process the directory's own descriptor is not there to be counted, of this one it is,
 * each time. */
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

static void count_mappings(struct holdings *holdings)
{
	const char *path = proc_path(holdings->process, "maps");
	FILE *maps = fopen(path, "re");
	char line[512];

	CHECK(maps, "cannot read %s", path);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t begin, end;
		char name[64] = "";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %63s", &begin, &end,
			   name) < 2)
			continue;
		holdings->rings += strstr(line, "[io_uring]") != NULL;
		if (!name[0] || !strcmp(name, "/anon_hugepage"))
			holdings->anonymous += end - begin;
	}
	fclose(maps);
}

struct holdings holdings_count(pid_t process)
{
	struct holdings holdings = {.process = process ? process : getpid()};

	holdings.descriptors = entries_of(proc_path(holdings.process, "fd"));
	holdings.threads = entries_of(proc_path(holdings.process, "task"));
	count_mappings(&holdings);
	return holdings;
}

/* A joined thread may still be on its way out of the kernel. */
static unsigned settled_threads(const struct holdings *before)
{
	const char *path = proc_path(before->process, "task");
	unsigned threads = entries_of(path);

	for (int tries = 0; threads > before->threads && tries < 1000; tries++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		threads = entries_of(path);
	}
	return threads;
}

void holdings_compare(const struct holdings *before, const struct holdings *now,
		      uint64_t area_bytes)
{
	unsigned threads = before->threads ? settled_threads(before) : 0;
	uint64_t more = now->anonymous - before->anonymous;

	CHECK(now->descriptors == before->descriptors, "left behind: %u descriptors, were %u",
	      now->descriptors, before->descriptors);
	CHECK(threads == before->threads, "left behind: %u threads, were %u", threads,
	      before->threads);
	CHECK(now->rings == before->rings, "left behind: %u ring mappings, were %u", now->rings,
	      before->rings);
	CHECK(!area_bytes || now->anonymous <= before->anonymous || more < area_bytes,
	      "left behind: %" PRIu64 " bytes of mappings more, an area has %" PRIu64, more,
	      area_bytes);
}
