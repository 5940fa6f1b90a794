/* SPDX-License-Identifier: MIT */
/* The simulated zcrx: chunks, who refers to them, the free list, the driver's pool and the refill
 * ring. */
#ifndef SIM_ZCRX_MODEL_H
#define SIM_ZCRX_MODEL_H

#include <stdint.h>

struct sim_request;
struct sim_segment;
struct sim_socket;

void sim_zcrx_begin(void);
int sim_zcrx_register(unsigned opcode, void *argument, unsigned count);
/* The user mapped the refill ring that the kernel allocated. */
void sim_zcrx_mapped(uint8_t *region);

/*
 * The NIC writes payload into a chunk. May shorten the segment. 0: there is no chunk, the packet
 * is dropped.
 */
int sim_zcrx_place(struct sim_socket *socket, uint64_t offset, struct sim_segment *segment);
/* The socket's reference to a chunk goes. */
void sim_zcrx_unplace(int32_t chunk);

void sim_zcrx_receive(struct sim_request *request);

/* Events that wait for task work. */
int sim_zcrx_notice_due(void);
void sim_zcrx_notices(void);

/* For packets of others the driver takes released buffers out of the refill ring. 0: nothing to do.
 */
int sim_zcrx_driver_step(void);
/* Time passes, and the driver's page pool lets a chunk go. */
void sim_zcrx_relent(void);
/*
 * The next bytes of this socket have to be copied, and all chunks hold bytes that wait in sockets:
 * nothing that a receiver could do helps.
 */
int sim_zcrx_starved(const struct sim_socket *socket);
/* A flush brought back chunks since a copy last found none, and one of them is free. */
int sim_zcrx_came_back(void);
/* The ring dies: what the user holds goes back to the free list. */
void sim_zcrx_scrub(void);

/* References that the user holds, and entries in the refill ring. */
uint32_t sim_zcrx_user_references(void);
uint32_t sim_zcrx_pending(void);
int sim_zcrx_refill_full(void);

#endif
