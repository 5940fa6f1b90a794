/* SPDX-License-Identifier: MIT */
/*
 * The data path of engine zcrx on a driver of the running kernel. Runs in the NIC rig, which names
 * the interface and can make the NIC misbehave.
 */
#include "leaks.h"
#include "nic.h"
#include "payload.h"
#include "process.h"
#include "rx.h"
#include "scenarios.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Only a bound, for a machine that has much else to do. */
#define SECONDS         120
#define KILL_SECONDS    10   /* and so much more for each kill */
#define HELD_SECONDS    20   /* and for each repetition of close-held */
#define SIZE_SECONDS    3000 /* and for sizes-by-default, if it tries all */
#define STALLED_SECONDS 60   /* and for each repetition of stalled-neighbours */

struct scenario {
	const char *name;
	void (*run)(void);
};

/* clang-format off: one to a line */
static const struct scenario scenarios[] = {
	{"area-of-pages", area_of_pages},
	{"area-of-huge-pages", area_of_huge_pages},
	{"area-in-dmabuf", area_in_dmabuf},
	{"rx-buf-len-8k", rx_buf_len_8k},
	{"rx-buf-len-16k", rx_buf_len_16k},
	{"rx-buf-len-32k", rx_buf_len_32k},
	{"area-grows", area_grows},
	{"area-grows-large", area_grows_large},
	{"area-grows-dry", area_grows_dry},
	{"steered-and-unsteered", steered_and_unsteered},
	{"queue-of-another", queue_of_another},
	{"two-receivers", two_receivers},
	{"buffers-held", buffers_held},
	{"copies-starve", copies_starve},
	{"sizes-by-default", sizes_by_default},
	{"stalled-neighbours", stalled_neighbours},
	{"shares-by-connection", shares_by_connection},
	{"shares-by-port", shares_by_port},
	{"close-held", views_held_across_close},
	{"close-held-small-ring", views_held_small_ring},
	{"port-left-at-close", port_left_at_close},
	{"prepared-and-closed", prepared_and_closed},
	{"packets-lost", packets_lost},
	{"packets-late", packets_late},
	{"packets-without-buffer", packets_without_buffer},
	{"packets-unsplit", packets_unsplit},
	{"packets-misdirected", packets_misdirected},
	{"lengths-wrong", lengths_wrong},
	{"link-flaps", link_flaps},
	{"interface-down-and-up", interface_down_and_up},
	{"interface-renamed", interface_renamed},
	{"device-reset", device_reset},
	{"ring-resized", ring_resized},
	{"proof-of-zero-copy", proof_of_zero_copy},
	{"proof-of-copies", proof_of_copies},
	{"proof-of-unsplit", proof_of_unsplit},
	{"proof-of-starvation", proof_of_starvation},
	{"proof-of-silence", proof_of_silence},
	{"group-by-port", group_by_port},
	{"group-by-connection", group_by_connection},
	{"group-shared-by-port", group_shared_by_port},
	{"group-shared-by-connection", group_shared_by_connection},
	{"group-shared-held", group_shared_held},
	{"group-of-another-port", group_of_another_port},
	{"group-too-large", group_too_large},
	{"group-killed", group_killed},
	{"group-leaving", group_leaving},
	{"group-joining", group_joining},
	{"numa-of-nic", numa_of_nic},
	{"numa-beyond-node", numa_beyond_node},
	{"numa-of-copies", numa_of_copies},
	{"receiver-killed", receiver_killed},
};
/* clang-format on */

static const char usage[] =
	"usage: datapath [--scenario GLOB[,GLOB...]] [--kills N] [--held N] "
	"[--sizes[=RING]] [--stalled N] [--list]\n"
	"  --scenario  only those whose name matches\n"
	"  --kills     how often receiver-killed kills\n"
	"  --held      how often close-held closes\n"
	"  --sizes     sizes-by-default tries every size with every other, or with one ring\n"
	"  --stalled   how often stalled-neighbours measures\n";

static void run(const void *argument)
{
	const struct scenario *scenario = argument;
	uint64_t area_bytes = rx_options().area_bytes;
	struct holdings held = holdings_count(0), holds;
	struct nic_state before;

	nic_look(&before);
	scenario->run();
	nic_compare(&before);
	holds = holdings_count(0);
	holdings_compare(&held, &holds, area_bytes);
}

static int is_wanted(const char *globs, const char *name)
{
	char copy[1024], *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", globs);
	for (char *glob = strtok_r(copy, ",", &rest); glob; glob = strtok_r(NULL, ",", &rest))
		if (!fnmatch(glob, name, 0))
			return 1;
	return 0;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Returns whether it went well. */
static int run_scenario(const struct scenario *scenario)
{
	struct process process = {run, scenario, rx_describe,
				  SECONDS + KILL_SECONDS * receiver_kills +
					  HELD_SECONDS * held_repetitions +
					  STALLED_SECONDS * (stalled_repetitions + 2) +
					  SIZE_SECONDS * (unsigned)sizing_whole};
	double begun = seconds();
	char reason[1100];

	if (process_run(&process, reason, sizeof(reason))) {
		printf("FAIL %s: %s\n", scenario->name, reason);
		zrx_nic_restore(NULL, NULL); /* the next one shall not suffer for it */
		return 0;
	}
	printf("ok %s (%.1f s)\n", scenario->name, seconds() - begun);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"scenario", required_argument, NULL, 's'},
		{"kills", required_argument, NULL, 'k'},
		{"held", required_argument, NULL, 'h'},
		{"sizes", optional_argument, NULL, 'z'},
		{"list", no_argument, NULL, 'l'},
		{"stalled", required_argument, NULL, 'n'},
		{NULL, 0, NULL, 0},
	};
	const char *globs = "*";
	unsigned failed = 0, count = 0;
	int option, list = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's') {
			globs = optarg;
		} else if (option == 'k') {
			receiver_kills = (unsigned)atoi(optarg);
		} else if (option == 'h') {
			held_repetitions = (unsigned)atoi(optarg);
		} else if (option == 'z') {
			sizing_whole = 1;
			sizing_ring = optarg ? (uint32_t)atoi(optarg) : 0;
		} else if (option == 'n') {
			stalled_repetitions = (unsigned)atoi(optarg);
		} else if (option == 'l') {
			list = 1;
		} else {
			fputs(usage, stderr);
			return 2;
		}
	}
	payload_init();
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		if (!is_wanted(globs, scenarios[i].name))
			continue;
		count++;
		if (list)
			puts(scenarios[i].name);
		else
			failed += !run_scenario(&scenarios[i]);
	}
	if (!list)
		printf("%s: %u scenarios, %u failed\n", nic_interface(), count, failed);
	return failed || !count;
}
