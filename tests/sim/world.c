/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "choices.h"
#include "others.h"
#include "sim.h"

#define IDLE_TURNS_MOST 400
#define TURNS_MOST      20000 /* in one call, whatever they bring */

struct sim_world sim;

void sim_follow(const uint8_t *input, size_t length)
{
	sim.input = input;
	sim.input_end = input + length;
	sim.fuzzed = 1;
}

/* Mostly 0, so that a fault is seen alone as well as among others. */
static uint32_t sometimes(uint32_t percent)
{
	return sim_chance(30) ? sim_between(1, percent) : 0;
}

static void choose_kernel(struct sim_kernel *kernel)
{
	static const uint32_t pages[] = {256, 256, 1024, 4096};

	kernel->page_bytes = pages[sim_below(4)];
	kernel->defer_taskrun = sim_chance(80);
	kernel->incremental = sim_chance(50);
	kernel->query = sim_chance(80);
	kernel->flush = kernel->query && sim_chance(75);
	kernel->rx_page_size = kernel->flush && sim_chance(60);
	kernel->nodev = kernel->rx_page_size && sim_chance(80);
	kernel->events = kernel->nodev && sim_chance(60);
	/* Who has events does; of those before, nobody knows. */
	kernel->stops_queue_first = kernel->events || (kernel->flush && sim_chance(30));
	kernel->requeues_early_stop = sim_chance(50);
	kernel->area_token = (uint64_t)sim_below(4) << ZRX_UAPI_AREA_SHIFT;
	kernel->short_memory = sometimes(10);
	kernel->interrupted = sometimes(20);
	kernel->refuses_enter = sometimes(20);
	kernel->partial_submit = sometimes(30);
	kernel->short_read = sometimes(60);
	kernel->late_cancel = sim_chance(50) ? 60 : 0;
	kernel->copies = sim_chance(50) ? sim_between(1, 100) : 0;
	kernel->pool_keeps = sim_below(101);
	kernel->stays_bound = sometimes(50);
	kernel->loses = sim_chance(5) ? sim_between(1, 20) : 0;
	kernel->add_area = kernel->events && sim_chance(70);
	kernel->refuses_growth = sometimes(60);
}

void sim_begin(uint64_t seed)
{
	sim = (struct sim_world){
		.seed = seed,
		.random = seed * 0x2545f4914f6cdd1dull,
		.now_ns = 1000000000,
		.steps = sim.steps,
		.tracing = sim.tracing,
		.threads = sim.threads,
		.input = sim.input,
		.input_end = sim.input_end,
		.fuzzed = sim.fuzzed,
	};
	sim_choices_begin();
	choose_kernel(&sim.kernel);
	sim_memory_begin();
	sim_fds_begin();
	sim_epoll_begin();
}

void sim_say(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%9.3f ms  ", (double)sim.now_ns / 1e6);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void sim_fail(const char *format, ...)
{
	va_list arguments;

	if (sim_recording) {
		va_start(arguments, format);
		vsnprintf(sim_recording->failure, sizeof(sim_recording->failure), format,
			  arguments);
		va_end(arguments);
	}
	fprintf(stderr, "sim: seed %llu: ", (unsigned long long)sim.seed);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (sim.threads)
		fprintf(stderr, "\nsim: real threads: another run of this seed may go otherwise\n");
	else
		fprintf(stderr,
			"\nsim: to see it again: make simulate SEEDS=%llu TRACE=1 (or "
			"MINIMISE=1)\n",
			(unsigned long long)sim.seed);
	fflush(stderr);
	abort();
}

void sim_turns_restart(void)
{
	sim.idle_turns = sim.turns = 0;
}

void sim_turn(void)
{
	if (++sim.turns > TURNS_MOST)
		sim_fail("a call does not come to its end");
	if (sim.progress != sim.seen_progress)
		sim.idle_turns = 0;
	sim.seen_progress = sim.progress;
	if (++sim.idle_turns > IDLE_TURNS_MOST)
		sim_fail("the receiver spins: %u turns in one call without anything to do",
			 IDLE_TURNS_MOST);
}

uint64_t zrx_sys_now_ns(void)
{
	sim.now_ns += 1000;
	return sim.now_ns;
}

void zrx_sys_yield(void)
{
	others_step();
}

int zrx_sys_processors(void)
{
	return 1;
}

int zrx_sys_may_run_on(uint32_t processor)
{
	return !processor;
}

int zrx_sys_pin(uint32_t processor)
{
	return processor ? -EINVAL : 0;
}
