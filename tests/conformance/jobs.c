/* SPDX-License-Identifier: MIT */
#include "jobs.h"
#include "process.h"
#include "run.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL_SECONDS 30
#define LARGE_SECONDS 120
#define NO_TASK       UINT_MAX /* a result that is about a worker's executor */

_Static_assert(sizeof(struct result) <= PIPE_BUF, "a result is written whole");

/* ---- a worker ---- */

struct job {
	const struct scenario *scenario;
	struct run_setup setup;
};

static void run_job(const void *argument)
{
	const struct job *job = argument;

	scenario_run(job->scenario, &job->setup);
}

/* What became of the executor, added to the reason. */
static void add_status(char *reason, size_t size, int status)
{
	size_t length = strlen(reason);

	if (WIFSIGNALED(status))
		snprintf(reason + length, size - length, "; the executor died by signal %d",
			 WTERMSIG(status));
	else if (status)
		snprintf(reason + length, size - length, "; the executor ended with status %d",
			 WEXITSTATUS(status));
}

static void run_task(const struct plan *plan, struct executor *executor, struct result *result)
{
	const struct task *task = &plan->tasks[result->task];
	struct job job = {
		.scenario = task->scenario,
		.setup = {.executor = executor,
			  .engine = task->engine,
			  .interface = getenv("ZRX_RIG_IFACE"),
			  .python = plan->python,
			  .sender = plan->sender,
			  .may_refuse = plan->may_refuse,
			  .sanitized = plan->sanitized},
	};
	struct process process = {.run = run_job, .argument = &job, .describe = scenario_describe};
	int status;

	if (!executor->process && executor_start(executor, plan->command)) {
		snprintf(result->reason, sizeof(result->reason), "no executor");
		return;
	}
	process.seconds = task->scenario->large ? LARGE_SECONDS : SMALL_SECONDS;
	if (plan->seconds)
		process.seconds = plan->seconds;
	status = process_run(&process, result->reason, sizeof(result->reason));
	result->outcome = status == 0 ? PASSED : status == RUN_SKIPPED ? SKIPPED : FAILED;
	if (result->outcome == FAILED)
		add_status(result->reason, sizeof(result->reason), executor_stop(executor, 0));
}

static void tell(int results, const struct result *result)
{
	if (write(results, result, sizeof(*result)) != sizeof(*result))
		_exit(2);
}

static void work(const struct plan *plan, atomic_uint *next, int results)
{
	struct executor executor = {0};
	struct result last = {.task = NO_TASK, .outcome = FAILED};

	for (unsigned i; (i = atomic_fetch_add(next, 1)) < plan->count;) {
		struct result result = {.task = i, .outcome = FAILED};

		if (plan->tasks[i].skip) {
			result.outcome = SKIPPED;
			snprintf(result.reason, sizeof(result.reason), "%s", plan->tasks[i].skip);
		} else {
			run_task(plan, &executor, &result);
		}
		tell(results, &result);
	}
	snprintf(last.reason, sizeof(last.reason), "at the end");
	add_status(last.reason, sizeof(last.reason), executor_stop(&executor, 1));
	if (strchr(last.reason, ';'))
		tell(results, &last);
	_exit(0);
}

/* ---- all of them ---- */

/* Reads results until no worker is left, and reports each when those before it have been. */
static int collect(const struct plan *plan, int results)
{
	struct result *all = calloc(plan->count + 1, sizeof(*all)), result;
	unsigned reported = 0;
	int well = 1;

	for (unsigned i = 0; all && i < plan->count; i++)
		all[i].task = NO_TASK;
	while (all && read(results, &result, sizeof(result)) == sizeof(result)) {
		if (result.task >= plan->count) {
			printf("FAIL executor: %s\n", result.reason);
			well = 0;
			continue;
		}
		all[result.task] = result;
		for (; reported < plan->count && all[reported].task == reported; reported++)
			plan->report(&plan->tasks[reported], &all[reported]);
	}
	for (; all && reported < plan->count; reported++) {
		if (all[reported].task == NO_TASK)
			all[reported] = (struct result){reported, FAILED, "its worker died"};
		plan->report(&plan->tasks[reported], &all[reported]);
	}
	free(all);
	return well && reported == plan->count;
}

int jobs_run(const struct plan *plan)
{
	atomic_uint *next = mmap(NULL, sizeof(*next), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int results[2], well;

	if (next == MAP_FAILED || pipe(results)) {
		perror("conformance");
		return 0;
	}
	atomic_init(next, 0);
	fflush(stdout);
	for (unsigned i = 0; i < plan->workers; i++) {
		pid_t worker = fork();

		if (worker == 0) {
			close(results[0]);
			work(plan, next, results[1]);
		}
	}
	close(results[1]);
	well = collect(plan, results[0]);
	close(results[0]);
	while (wait(NULL) > 0)
		;
	munmap(next, sizeof(*next));
	return well;
}
