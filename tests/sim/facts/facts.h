/* SPDX-License-Identifier: MIT */
/* What the facts are shown with: a ring, a connection, and completions one by one. */
#ifndef FACTS_H
#define FACTS_H

#include <stdint.h>
#include <liburing.h>

#include "uapi.h"

#define RING_ENTRIES 8
#define PAGE         4096u

struct rig {
	struct io_uring ring;
	int ours, peer;
	/* provided buffers */
	struct io_uring_buf_ring *buffers;
	uint32_t buffer_count, buffer_bytes;
	uint8_t *memory;
	/* zcrx without a device */
	uint8_t *area, *region;
	uint32_t chunks, zcrx_id;
	uint64_t token;
	uint32_t *refill_tail;
	struct zrx_uapi_rqe *refill;
};

__attribute__((format(printf, 1, 2), noreturn)) void fact_fails(const char *format, ...);
#define EXPECT(condition, ...)                   \
	do {                                     \
		if (!(condition))                \
			fact_fails(__VA_ARGS__); \
	} while (0)

void rig_open(struct rig *rig, uint32_t flags);
void rig_close(struct rig *rig);
void rig_buffers(struct rig *rig, uint32_t count, uint32_t bytes, uint16_t flags);
/* 0, or why there is no zcrx without a device here. */
int rig_nodev(struct rig *rig, uint32_t chunks);
void rig_send(struct rig *rig, uint32_t bytes); /* and until it has arrived */
struct io_uring_sqe *rig_request(struct rig *rig, uint8_t opcode, int fd, uint64_t user_data);
void rig_receive(struct rig *rig, uint8_t opcode, uint32_t limit);
void rig_turn(struct rig *rig); /* submit, and run what is ready */
/* The next completion; fails if there is none. */
struct io_uring_cqe rig_completion(struct rig *rig, uint64_t *off);
int rig_has_completion(struct rig *rig);
void rig_refill(struct rig *rig, uint64_t off);
int rig_flush(struct rig *rig);

#endif
