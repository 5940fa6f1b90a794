/* SPDX-License-Identifier: MIT */
/* Run seeds, on as many processes as there are processors. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "choices.h"
#include "scenario.h"
#include "sim.h"

#define SEED_SECONDS 60 /* the longest takes a fraction of one */
#define WORKERS_MOST 64

struct worker {
	uint64_t seed; /* the one that is running */
	uint64_t steps;
	uint64_t runs;
};

static void work(struct worker *worker, uint64_t first, uint64_t last, uint64_t stride)
{
	for (uint64_t seed = first; seed <= last; seed += stride) {
		uint64_t before = sim.steps;

		worker->seed = seed;
		alarm(SEED_SECONDS);
		sim_scenario(seed);
		worker->steps += sim.steps - before;
		worker->runs++;
	}
}

static int parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	char *rest;

	*first = *last = strtoull(text, &rest, 10);
	if (*rest == '-')
		*last = strtoull(rest + 1, &rest, 10);
	return *text && !*rest && *first <= *last;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: sim [--trace | --all | --minimise] FIRST[-LAST]...\n"
		"  --trace     tell what happens\n"
		"  --all       go on after a failure\n"
		"  --minimise  of a failing seed: the smallest part of its run that fails so\n");
	return 2;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static pid_t start(struct worker *worker, uint64_t first, uint64_t last, uint64_t stride)
{
	pid_t child = fork();

	if (child)
		return child;
	work(worker, first, last, stride);
	fflush(NULL);
	_exit(0);
}

static void stop_all(const pid_t *children, long count)
{
	for (long i = 0; i < count; i++)
		if (children[i] > 0)
			kill(children[i], SIGKILL);
}

/* Returns the number of seeds that failed. The first stops the others, unless all are wanted. */
static int run_all(struct worker *workers, long count, uint64_t first, uint64_t last, int all)
{
	pid_t children[WORKERS_MOST], child;
	int failed = 0, status;

	for (long i = 0; i < count; i++)
		children[i] = start(&workers[i], first + (uint64_t)i, last, (uint64_t)count);
	while ((child = wait(&status)) > 0) {
		long i = 0;

		while (children[i] != child)
			i++;
		children[i] = 0;
		if (!status || (failed && !all))
			continue;
		failed++;
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT)
			fprintf(stderr, "sim: seed %llu: ended by signal %d\n",
				(unsigned long long)workers[i].seed, WTERMSIG(status));
		if (!all)
			stop_all(children, count);
		else if (workers[i].seed + (uint64_t)count <= last)
			children[i] = start(&workers[i], workers[i].seed + (uint64_t)count, last,
					    (uint64_t)count);
	}
	return failed;
}

/* Returns the number of seeds that failed. */
static int run_range(const char *text, int all)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t first, last, steps = 0, runs = 0;
	struct worker *workers;
	double began = now();
	int failed;

	if (!parse_range(text, &first, &last))
		exit(usage());
	if (count > WORKERS_MOST)
		count = WORKERS_MOST;
	if (count > (long)(last - first + 1))
		count = (long)(last - first + 1);
	workers = mmap(NULL, (size_t)count * sizeof(*workers), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == MAP_FAILED)
		exit(1);
	failed = run_all(workers, count, first, last, all);
	for (long i = 0; i < count; i++) {
		steps += workers[i].steps;
		runs += workers[i].runs;
	}
	printf("sim: %s: %llu runs, %llu events in %.1f s, %d failed\n", text,
	       (unsigned long long)runs, (unsigned long long)steps, now() - began, failed);
	munmap(workers, (size_t)count * sizeof(*workers));
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0, all = 0, minimise = 0;

	for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
		if (!strcmp(argv[1], "--trace"))
			sim.tracing = 1;
		else if (!strcmp(argv[1], "--all"))
			all = 1;
		else if (!strcmp(argv[1], "--minimise"))
			minimise = 1;
		else
			return usage();
	}
	if (argc < 2)
		return usage();
	if (minimise)
		return sim_minimise(strtoull(argv[1], NULL, 10));
	for (int i = 1; i < argc && (all || !failed); i++)
		failed += run_range(argv[i], all);
	return failed != 0;
}
