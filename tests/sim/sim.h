/* SPDX-License-Identifier: MIT */
/*
 * The simulated kernel: a model of what Linux may do behind kernel/sys.h, driven by a seed. One
 * world for each process; a run begins with sim_begin and everything in it follows from the seed.
 */
#ifndef SIM_H
#define SIM_H

#include <stdatomic.h>
#include <stdint.h>

#include "sys.h"
#include "uapi.h"
#include "zcrx.h"

/* ---- what kind of kernel this is, and how it behaves: chosen once from the seed ---- */

struct sim_kernel {
	uint32_t page_bytes;
	uint32_t defer_taskrun;       /* 6.1 */
	uint32_t incremental;         /* 6.12 */
	uint32_t query;               /* 6.18 */
	uint32_t flush;               /* 6.19 */
	uint32_t rx_page_size;        /* 7.0 */
	uint32_t nodev;               /* 7.1 */
	uint32_t events;              /* 7.2 */
	uint32_t add_area;            /* 7.3 */
	uint32_t stops_queue_first;   /* 7.2: a dying ring scrubs after its queue is stopped */
	uint32_t requeues_early_stop; /* a delivery that was cut short is tried again by itself */
	uint64_t area_token;

	/* Chances in percent of what may happen, where there is a choice. */
	uint32_t short_memory;  /* an allocation fails */
	uint32_t interrupted;   /* a wait is interrupted */
	uint32_t refuses_enter; /* EAGAIN, EBUSY */
	uint32_t loses;         /* a completion for which there is neither room nor memory */
	uint32_t partial_submit;
	uint32_t short_read;
	uint32_t late_cancel;
	uint32_t copies;     /* on a NIC queue: payload that the NIC did not place in the area */
	uint32_t pool_keeps; /* chunks of a flush that stay with the driver's page pool */
	uint32_t refuses_growth; /* more memory, or one more area */
	uint32_t stays_bound;    /* the queue of a closed ring, longer than anybody waits */
};

/* ---- random choices ---- */

uint64_t sim_random(void);
uint32_t sim_below(uint32_t limit);                /* 0 .. limit - 1 */
uint32_t sim_between(uint32_t low, uint32_t high); /* both included */
int sim_chance(uint32_t percent);
/* Whether the application acts once more; counts down. */
int sim_next_action(uint32_t *left);

/* ---- the world ---- */

struct sim_world {
	uint64_t seed;
	uint64_t random;
	const uint8_t *input; /* choices that a fuzzer makes; NULL: none, or used up */
	const uint8_t *input_end;
	uint32_t fuzzed;
	uint64_t now_ns;
	uint64_t sleeps_until; /* the receiver that is about to; 0: its event loop is */
	uint64_t steps;        /* things that happened: arrivals, completions, releases, events */
	uint64_t progress;     /* of them those that bring the work forward */
	uint32_t tracing;
	uint32_t threads;       /* free-running: real threads release */
	uint32_t inside;        /* the world is acting: no other action begins */
	uint64_t seen_progress; /* what sim_turn compares */
	uint32_t idle_turns;
	uint32_t turns; /* in this call */
	struct sim_kernel kernel;
};

extern struct sim_world sim;

void sim_begin(uint64_t seed);
/* The next run follows these bytes, one for each choice, and its seed when they are used up. */
void sim_follow(const uint8_t *input, size_t length);

/* Tell what happens, when it is wanted. */
#define sim_trace(...)                        \
	do {                                  \
		if (sim.tracing)              \
			sim_say(__VA_ARGS__); \
	} while (0)
__attribute__((format(printf, 1, 2))) void sim_say(const char *format, ...);

/* The contract is broken. Prints why, and the command that shows it again. */
__attribute__((format(printf, 1, 2), noreturn)) void sim_fail(const char *format, ...);

static inline void sim_step(void)
{
	sim.steps++;
}

static inline void sim_progressed(void)
{
	sim.steps++;
	sim.progress++;
}

/* Called for each system call that could wait: a loop that brings nothing forward is a spin. */
void sim_turn(void);
/* The application called: turns are counted from here. */
void sim_turns_restart(void);

/* ---- around the receiver: the scenario provides these ---- */

/*
 * Let something happen that does not depend on the receiver: data arrives, a peer leaves, another
 * thread releases. Returns 0 when there is nothing left that could.
 */
int sim_world_step(void);
/* Perhaps one of them; called wherever the receiver leaves the processor. */
void sim_world_maybe(void);
/* Nothing will happen any more, and the receiver sleeps for ever: fails if there is work, wakes it
 * if not. */
void sim_world_quiet(void);
/* The receiver, or its event loop, is about to sleep until a completion or this time (0: no timer).
 */
void sim_world_sleeps(uint64_t timer);
/* This eventfd is signalled. */
void sim_world_signalled(int fd);
/* A group asks where the socket of this descriptor belongs. */
void sim_world_asked(int fd);
/* A socket's descriptor is duplicated, or there is none left for that; a receiver accepts. */
void sim_world_duplicated(int fd, int lacking);
void sim_world_accepts(void);
/* Time passed until a timer was due. */
void sim_world_leapt(void);
/* The kernel unmaps or reuses memory: fails if a view of it is out. */
void sim_check_unused(const void *memory, size_t size, const char *why);
/* The number of views that are out. */
uint32_t sim_views_out(void);

/* ---- memory.c ---- */

void sim_memory_begin(void);
void sim_memory_check_empty(void); /* nothing is allocated or mapped any more */
/* The kernel writes into this memory for ever: it must be left mapped. */
void sim_memory_lost(const void *address);
/* The kernel is to write into it: fails if it is not memory of a mapping. */
void sim_memory_check(const void *address, size_t size, const char *why);
/* An area's growth, which is refused; another try must not come at once. */
void sim_growth_refused(const char *by);
/* Whether the last growth was refused, so that it is not to be expected by now. */
int sim_growth_put_off(void);

/* ---- descriptors.c ---- */

enum sim_fd_kind {
	SIM_FD_FREE,
	SIM_FD_EVENT,
	SIM_FD_TIMER,
	SIM_FD_EPOLL,
	SIM_FD_RING,
	SIM_FD_SOCKET,
	SIM_FD_LISTENER,
};

struct sim_socket;

void sim_fds_begin(void);
int sim_fd_new(enum sim_fd_kind kind, void *object);
enum sim_fd_kind sim_fd_kind(int fd);
void *sim_fd_object(int fd, enum sim_fd_kind kind); /* NULL if it is not of this kind */
void sim_fd_check_empty(void);
int sim_event_readable(int fd);
void sim_event_add(int fd);
/* When this timer goes off; 0: never. */
uint64_t sim_timer_at(int fd);
/* When the next timer goes off, or this one, if that is sooner; 0: never. */
uint64_t sim_timer_next(uint64_t other);

/* POLLIN and so on that this descriptor shows. */
uint32_t sim_fd_poll(int fd);
/* Whether it shows, by now, anything to a poll that found nothing and sleeps since. */
int sim_fd_wakes_sleeper(int fd);

/* ---- epoll.c ---- */

void sim_epoll_begin(void);
int sim_epoll_readable(const void *set);
void sim_epoll_forget(int fd);

#endif
