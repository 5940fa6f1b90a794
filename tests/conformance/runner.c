/* SPDX-License-Identifier: MIT */
/* Runs the conformance scenarios against libzcrx, each in a process of its own. */
#include "payload.h"
#include "process.h"
#include "run.h"

#include <zcrx.h>

#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SMALL_SECONDS 30
#define LARGE_SECONDS 120

struct settings {
	const char *engines;   /* comma-separated */
	const char *globs;     /* likewise */
	const char *directory; /* of scenarios.txt and sender */
	unsigned seconds;      /* for each scenario; 0: as its size says */
	int list, fast, may_refuse;
};

struct totals {
	unsigned passed, failed, skipped;
};

static const char usage[] =
	"usage: conformance [--engine E[,E...]] [--scenario GLOB[,GLOB...]] [--list] [--fast]\n"
	"                   [--may-refuse] [--seconds N] [--directory DIR]\n"
	"  --engine      recv, multishot, zcrx-nodev, zcrx, auto; default: multishot,recv\n"
	"  --scenario    only those whose name matches\n"
	"  --fast        leave out size=large\n"
	"  --may-refuse  an engine that cannot be opened here is a skip, not a failure\n"
	"  --seconds     how long a scenario may take; default: 30, or 120 for size=large\n"
	"  --directory   where scenarios.txt and sender are; default: tests/conformance\n";

struct job {
	const struct scenario *scenario;
	struct run_setup setup;
};

static void run_job(const void *argument)
{
	const struct job *job = argument;

	scenario_run(job->scenario, &job->setup);
}

static const char *reason_to_skip(const struct settings *settings, const struct scenario *scenario,
				  const char *engine)
{
	if (!scenario_list_has(scenario->engines, engine))
		return "not for this engine";
	if (scenario->large && settings->fast)
		return "size=large";
	return NULL;
}

static void run_scenario(const struct settings *settings, const struct scenario *scenario,
			 const char *engine, struct totals *totals)
{
	const char *skip = reason_to_skip(settings, scenario, engine);
	struct job job = {scenario, {.may_refuse = settings->may_refuse}};
	struct process process = {.run = run_job, .argument = &job, .describe = scenario_describe};
	char sender[4096], reason[1100];
	int result;

	if (skip) {
		printf("skip %s: %s\n", scenario->name, skip);
		totals->skipped++;
		return;
	}
	snprintf(sender, sizeof(sender), "%s/sender", settings->directory);
	job.setup.sender = sender;
	zrx_engine_by_name(engine, &job.setup.engine);
	if (job.setup.engine == ZRX_ENGINE_ZCRX)
		job.setup.interface = getenv("ZRX_RIG_IFACE");
	process.seconds = scenario->large ? LARGE_SECONDS : SMALL_SECONDS;
	if (settings->seconds)
		process.seconds = settings->seconds;
	result = process_run(&process, reason, sizeof(reason));
	if (result == 0) {
		printf("ok %s\n", scenario->name);
		totals->passed++;
	} else if (result == RUN_REFUSED) {
		printf("skip %s: engine refused\n", scenario->name);
		totals->skipped++;
	} else {
		printf("FAIL %s: %s\n", scenario->name, reason);
		totals->failed++;
	}
	fflush(stdout);
}

static int is_wanted(const struct settings *settings, const char *name)
{
	char globs[4096], *rest = NULL;

	snprintf(globs, sizeof(globs), "%s", settings->globs);
	for (char *glob = strtok_r(globs, ",", &rest); glob; glob = strtok_r(NULL, ",", &rest))
		if (!fnmatch(glob, name, 0))
			return 1;
	return 0;
}

static void run_engine(const struct settings *settings, const struct scenario_table *table,
		       const char *engine, struct totals *totals)
{
	printf("# engine %s\n", engine);
	for (unsigned i = 0; i < table->count; i++)
		if (is_wanted(settings, table->scenarios[i].name))
			run_scenario(settings, &table->scenarios[i], engine, totals);
}

static struct settings parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"engine", required_argument, NULL, 'e'},
		{"scenario", required_argument, NULL, 's'},
		{"list", no_argument, NULL, 'l'},
		{"fast", no_argument, NULL, 'f'},
		{"may-refuse", no_argument, NULL, 'm'},
		{"seconds", required_argument, NULL, 't'},
		{"directory", required_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	struct settings settings = {
		.engines = "multishot,recv", .globs = "*", .directory = "tests/conformance"};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			settings.engines = optarg;
			break;
		case 's':
			settings.globs = optarg;
			break;
		case 'l':
			settings.list = 1;
			break;
		case 'f':
			settings.fast = 1;
			break;
		case 'm':
			settings.may_refuse = 1;
			break;
		case 't':
			settings.seconds = (unsigned)atoi(optarg);
			break;
		case 'd':
			settings.directory = optarg;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	return settings;
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void run_engines(const struct settings *settings, const struct scenario_table *table,
			struct totals *totals)
{
	char *names = strdup(settings->engines), *rest = NULL;

	for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		uint32_t engine;

		if (zrx_engine_by_name(name, &engine)) {
			fprintf(stderr, "conformance: no engine %s\n", name);
			exit(2);
		}
		run_engine(settings, table, name, totals);
	}
	free(names);
}

int main(int argc, char **argv)
{
	struct settings settings = parse_arguments(argc, argv);
	struct scenario_table table;
	struct totals totals = {0};
	char path[4096];

	snprintf(path, sizeof(path), "%s/scenarios.txt", settings.directory);
	if (scenario_table_read(&table, path))
		return 2;
	for (unsigned i = 0; settings.list && i < table.count; i++)
		puts(table.scenarios[i].name);
	if (!settings.list) {
		payload_init();
		raise_descriptor_limit();
		run_engines(&settings, &table, &totals);
		printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed,
		       totals.skipped);
	}
	scenario_table_free(&table);
	return totals.failed ? 1 : 0;
}
