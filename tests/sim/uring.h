/* SPDX-License-Identifier: MIT */
/* The simulated io_uring: one ring, its requests, and how they complete. */
#ifndef SIM_URING_H
#define SIM_URING_H

#include <stdint.h>

#include "sys.h"

struct sim_socket;
struct sim_listener;

#define SIM_REQUESTS 256
#define SIM_OVERFLOW 1024

struct sim_request {
	uint32_t used;
	uint8_t opcode;
	uint8_t woken;     /* it has something to look at */
	uint8_t cancelled; /* its next turn is its last */
	uint8_t delay;     /* turns that a cancelled one still waits */
	uint8_t polled;    /* it was tried, and waits for its socket since */
	int fd;
	uint32_t events; /* of a poll */
	uint32_t left;   /* of a limit; 0: no limit */
	uint32_t limited;
	uint64_t user_data;
	uint64_t deadline; /* of a timeout */
	uint64_t order;    /* when it was submitted */
	struct sim_socket *socket;
	const struct sim_listener *listener;
};

struct sim_completion {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
	uint64_t off; /* the second half of a wide one */
};

struct sim_uring {
	struct io_uring *user; /* NULL: no ring is open */
	uint32_t setup;        /* IORING_SETUP_* */
	uint32_t enabled;
	uint32_t sq_head, sq_tail;
	uint32_t cq_head, cq_tail; /* shared with the user; the kernel's own tail is below */
	uint32_t sq_entries, cq_entries;
	uint32_t tail;
	uint32_t seen_head;
	uint64_t submitted;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	uint32_t sq_mask, cq_mask, sq_flags, cq_flags, dropped,
		cq_overflow;  /* what the fields of struct io_uring point at */
	int event_fd;         /* registered by the user; -1: none */
	uint32_t event_tail;  /* completions it was told of */
	uint32_t work_listed; /* task work waits: more of it signals nothing */
	uint32_t overflow_count;
	struct sim_completion overflow[SIM_OVERFLOW];
	struct sim_request requests[SIM_REQUESTS];
};

extern struct sim_uring sim_uring;

void sim_uring_begin(void);
int sim_uring_readable(void);
/* Whether a poll that is asleep on the ring's descriptor is woken by task work. */
int sim_uring_wakes_pollers(void);
/* Something happened that makes task work: tell the registered eventfd. */
void sim_uring_work(void);
void sim_uring_socket_wakes(struct sim_socket *socket);

/* Run what is ready without an enter, as a ring without deferred task work does at any time. */
void sim_uring_run_somewhere(void);

/* One data completion, the request goes on: 0 if there is no room for it. */
int sim_uring_post(const struct sim_completion *completion);
/* The last one of a request: never lost. */
void sim_uring_finish(struct sim_request *request, int32_t res, uint32_t flags);
/* A completion without a request: never lost. */
void sim_uring_notify(uint64_t user_data, int32_t res);

/* When the next timeout is due; 0: none. */
uint64_t sim_uring_next_timer(void);
/* Requests that may write into the area. */
uint32_t sim_uring_writers(void);

/* ---- receiving: uring_receive.c ---- */

void sim_receive_begin(void);
int sim_receive_register(void *argument);
void sim_receive_unregister(void);
void sim_receive(struct sim_request *request);
/* Whether there are buffers in it for a receive. */
int sim_receive_has_buffers(void);
/* See what the user has put into the buffer ring. */
void sim_receive_look(void);

#endif
