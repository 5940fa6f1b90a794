/* SPDX-License-Identifier: MIT */
/* Drives executors, one for each language, through the conformance scenarios, and judges what they
 * report. */
#include "jobs.h"
#include "payload.h"
#include "peer.h"

#include <fnmatch.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct settings {
	char *engines;         /* comma-separated */
	const char *globs;     /* likewise */
	const char *directory; /* of scenarios.txt and sender */
	const char *command;   /* of the executor; NULL: the C one */
	unsigned seconds;      /* for each scenario; 0: as its size says */
	unsigned jobs;
	int list, fast, may_refuse, sanitized;
};

static const char usage[] =
	"usage: conformance [--engine E[,E...]] [--scenario GLOB[,GLOB...]] [--list] [--fast]\n"
	"                   [--may-refuse] [--seconds N] [--jobs N] [--executor COMMAND] "
	"[--directory DIR]\n"
	"  --engine      recv, multishot, zcrx-nodev, zcrx, auto; default: multishot,recv\n"
	"  --scenario    only those whose name matches\n"
	"  --fast        leave out size=large\n"
	"  --may-refuse  an engine that cannot be opened here is a skip, not a failure\n"
	"  --seconds     how long a scenario may take; default: 30, or 120 for size=large\n"
	"  --jobs        scenarios side by side; default: 1\n"
	"  --executor    what receives: a program and its arguments; default: conformance-c, "
	"beside this program\n"
	"  --sanitized   its threads and mappings are a sanitizer's: count only descriptors and "
	"rings\n"
	"  --directory   where scenarios.txt and sender are; default: tests/conformance\n";

static const char *const engine_names[] = {"recv", "multishot", "zcrx-nodev", "zcrx", "auto"};

/* ---- results ---- */

static unsigned totals[OUTCOMES];

static void report(const struct task *task, const struct result *result)
{
	static const char *const words[] = {[PASSED] = "ok", [FAILED] = "FAIL", [SKIPPED] = "skip"};
	static const char *engine;

	if (engine != task->engine)
		printf("# engine %s\n", engine = task->engine);
	printf("%s %s%s%s\n", words[result->outcome], task->scenario->name,
	       result->outcome == PASSED ? "" : ": ",
	       result->outcome == PASSED ? "" : result->reason);
	fflush(stdout);
	totals[result->outcome]++;
}

/* ---- what is to be run ---- */

static int is_wanted(const struct settings *settings, const char *name)
{
	char globs[4096], *rest = NULL;

	snprintf(globs, sizeof(globs), "%s", settings->globs);
	for (char *glob = strtok_r(globs, ",", &rest); glob; glob = strtok_r(NULL, ",", &rest))
		if (!fnmatch(glob, name, 0))
			return 1;
	return 0;
}

static int is_engine(const char *name)
{
	for (size_t i = 0; i < sizeof(engine_names) / sizeof(engine_names[0]); i++)
		if (!strcmp(name, engine_names[i]))
			return 1;
	return 0;
}

static void add_engine(struct plan *plan, const struct settings *settings,
		       const struct scenario_table *table, const char *engine)
{
	struct task *tasks =
		realloc((void *)plan->tasks, (plan->count + table->count) * sizeof(*plan->tasks));

	if (!tasks)
		abort();
	plan->tasks = tasks;
	for (unsigned i = 0; i < table->count; i++) {
		const struct scenario *scenario = &table->scenarios[i];
		struct task task = {scenario, engine, NULL};

		if (!is_wanted(settings, scenario->name))
			continue;
		if (!scenario_list_has(scenario->engines, engine))
			task.skip = "not for this engine";
		else if (scenario->large && settings->fast)
			task.skip = "size=large";
		tasks[plan->count++] = task;
	}
}

/* Cuts the settings' list of engines into words, which the tasks go on pointing into. */
static void add_engines(struct plan *plan, const struct settings *settings,
			const struct scenario_table *table)
{
	char *rest = NULL;

	for (char *name = strtok_r(settings->engines, ",", &rest); name;
	     name = strtok_r(NULL, ",", &rest)) {
		if (!is_engine(name)) {
			fprintf(stderr, "conformance: no engine %s\n", name);
			exit(2);
		}
		add_engine(plan, settings, table, name);
	}
}

/* ---- the program ---- */

static struct settings parse_arguments(int argc, char **argv)
{
	static char engines[] = "multishot,recv";
	static const struct option options[] = {
		{"engine", required_argument, NULL, 'e'},
		{"scenario", required_argument, NULL, 's'},
		{"list", no_argument, NULL, 'l'},
		{"fast", no_argument, NULL, 'f'},
		{"may-refuse", no_argument, NULL, 'm'},
		{"seconds", required_argument, NULL, 't'},
		{"jobs", required_argument, NULL, 'j'},
		{"executor", required_argument, NULL, 'x'},
		{"sanitized", no_argument, NULL, 'a'},
		{"directory", required_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	struct settings settings = {
		.engines = engines, .globs = "*", .directory = "tests/conformance", .jobs = 1};
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
		case 'j':
			settings.jobs = (unsigned)atoi(optarg);
			break;
		case 'x':
			settings.command = optarg;
			break;
		case 'a':
			settings.sanitized = 1;
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

/* The C executor, beside this program. */
static const char *own_executor(void)
{
	static char command[4096 + 16];
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[length > 0 ? length : 0] = '\0';
	snprintf(command, sizeof(command), "%s/conformance-c", dirname(path));
	return command;
}

static int run(struct settings *settings, const struct scenario_table *table)
{
	char sender[4096];
	struct plan plan = {.sender = sender, .report = report};
	int well;

	plan.python = peer_interpreter();
	if (!plan.python) {
		fputs("conformance: the sender needs python3\n", stderr);
		return 2;
	}
	snprintf(sender, sizeof(sender), "%s/sender", settings->directory);
	plan.command = settings->command ? settings->command : own_executor();
	plan.workers = settings->jobs ? settings->jobs : 1;
	plan.seconds = settings->seconds;
	plan.may_refuse = settings->may_refuse;
	plan.sanitized = settings->sanitized;
	add_engines(&plan, settings, table);
	payload_init();
	raise_descriptor_limit();
	well = jobs_run(&plan);
	printf("%u passed, %u failed, %u skipped\n", totals[PASSED], totals[FAILED],
	       totals[SKIPPED]);
	free((void *)plan.tasks);
	return !well || totals[FAILED] || !plan.count;
}

int main(int argc, char **argv)
{
	struct settings settings = parse_arguments(argc, argv);
	struct scenario_table table;
	char path[4096];
	int status = 0;

	snprintf(path, sizeof(path), "%s/scenarios.txt", settings.directory);
	if (scenario_table_read(&table, path))
		return 2;
	for (unsigned i = 0; settings.list && i < table.count; i++)
		puts(table.scenarios[i].name);
	if (!settings.list)
		status = run(&settings, &table);
	scenario_table_free(&table);
	return status;
}
