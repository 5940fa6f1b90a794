/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>
#include <ucontext.h>

#include "app.h"
#include "area.h"
#include "others.h"

#define OTHERS         3
#define STACK_BYTES    (256u << 10)
#define ANOTHER_THREAD UINT64_MAX

struct other {
	ucontext_t context;
	char *stack;
	struct app *of; /* whose views */
	uint32_t count; /* views to release */
	uint32_t adds;  /* a socket; with neither it is idle */
};

static struct other others[OTHERS];
static struct other *running; /* NULL: the owner's thread */
static ucontext_t owner_context;
static uint32_t busy;

static void live(void)
{
	for (;;) {
		if (running->adds)
			app_group_add();
		app_release(running->count);
		running->count = running->adds = 0;
		busy--;
		swapcontext(&running->context, &owner_context);
	}
}

static void prepare(struct other *other)
{
	if (!other->stack)
		other->stack = malloc(STACK_BYTES);
	other->count = other->adds = 0;
	getcontext(&other->context);
	other->context.uc_stack.ss_sp = other->stack;
	other->context.uc_stack.ss_size = STACK_BYTES;
	other->context.uc_link = NULL;
	makecontext(&other->context, live, 0);
}

void others_begin(void)
{
	for (int i = 0; i < OTHERS; i++)
		prepare(&others[i]);
	running = NULL;
	busy = 0;
}

/*
 * Until it is done or loses the processor. The area lives as long as it has something to release;
 * what is left after the receiver has gone has no owner.
 */
static void run_releasing(struct other *other)
{
	struct app *owner = app;
	uint64_t saved;

	app = other->of;
	saved = atomic_exchange(&app->area->owner, ANOTHER_THREAD);
	swapcontext(&owner_context, &other->context);
	if (app->receiver)
		atomic_store(&app->area->owner, saved);
	app = owner;
}

static void run(struct other *other)
{
	uint32_t inside = sim.inside;

	sim.inside = 1;
	running = other;
	if (other->adds)
		swapcontext(&owner_context, &other->context);
	else
		run_releasing(other);
	running = NULL;
	sim.inside = inside;
}

static struct other *pick(int idle)
{
	uint32_t start = sim_below(OTHERS);

	for (uint32_t i = 0; i < OTHERS; i++) {
		struct other *other = &others[(start + i) % OTHERS];

		if ((other->count == 0 && !other->adds) == idle)
			return other;
	}
	return NULL;
}

int others_release(uint32_t count)
{
	struct other *other = pick(1);

	if (!other || !app->view_count)
		return 0;
	other->of = app;
	other->count = count;
	busy++;
	run(other);
	return 1;
}

int others_add(void)
{
	struct other *other = pick(1);

	if (!other)
		return 0;
	other->adds = 1;
	busy++;
	run(other);
	return 1;
}

int others_step(void)
{
	struct other *other = busy ? pick(0) : NULL;

	if (!other)
		return 0;
	run(other);
	return 1;
}

void others_finish(void)
{
	while (others_step())
		;
}

int others_running(void)
{
	return running != NULL;
}

void sim_yield(void)
{
	if (!busy)
		return;
	if (running) {
		if (sim_chance(25))
			swapcontext(&running->context, &owner_context);
	} else if (!sim.inside && sim_chance(10)) {
		others_step();
	}
}

void sim_lock(pthread_mutex_t *mutex)
{
	while (pthread_mutex_trylock(mutex)) {
		if (running)
			swapcontext(&running->context, &owner_context);
		else if (!others_step())
			sim_fail("a lock is taken that nobody will give back");
	}
}
