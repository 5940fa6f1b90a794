/* SPDX-License-Identifier: MIT */
/* Simulated TCP sockets: what the peer will send, what has arrived, what was read. */
#ifndef SIM_TCP_MODEL_H
#define SIM_TCP_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define SIM_SOCKETS  24
#define SIM_SEGMENTS 64

enum sim_finish { SIM_FINISH_IDLE, SIM_FINISH_FIN, SIM_FINISH_RESET };

/* Bytes that arrived together. In a chunk of the area where the NIC put them there, else in kernel
 * memory. */
struct sim_segment {
	uint32_t length;
	int32_t chunk; /* -1: kernel memory */
	uint32_t where;
};

struct sim_socket {
	uint64_t cookie;
	uint64_t total; /* what the peer sends in all */
	uint64_t arrived;
	uint64_t consumed; /* read, by whatever means */
	enum sim_finish finish;
	uint32_t finished; /* fin or reset has arrived */
	int32_t error;     /* of a reset, until it was reported */
	uint32_t descriptors;
	uint32_t requests; /* of the ring that hold the file */
	uint32_t buffer;   /* for receiving: bytes; a figure, nothing is dropped for it */
	uint32_t buffer_fixed;
	uint32_t on_queue; /* its flow is led to the zcrx queue */
	uint32_t napi_id;  /* of the queue at which it arrives; 0: not told */
	uint32_t first;    /* oldest segment */
	uint32_t segment_count;
	struct sim_segment segments[SIM_SEGMENTS];
};

/* The sockets of a run. */
extern struct sim_socket sim_sockets[SIM_SOCKETS];
extern uint32_t sim_socket_count;

struct sim_socket *sim_socket_new(uint64_t total, enum sim_finish finish);
void sim_sockets_begin(void);

/* A socket that is listened on, and the connections that wait there to be accepted. */
struct sim_listener {
	uint32_t blocking;
	int32_t error; /* it has failed: what accept says */
	uint32_t waiting_count;
	struct sim_socket *waiting[SIM_SOCKETS];
	uint32_t accepted;
};

uint32_t sim_listener_poll(const struct sim_listener *listener);
/* A peer connects. */
void sim_listener_connect(struct sim_listener *listener, struct sim_socket *socket);

/* The peer sends more, or ends. 0: it has nothing left to do, or there is no room. */
int sim_socket_arrive(struct sim_socket *socket);

/* Bytes of the oldest segment; NULL if none. */
struct sim_segment *sim_socket_front(struct sim_socket *socket);
/* So many bytes of it were read. */
void sim_socket_take(struct sim_socket *socket, uint32_t length);

/* What a read finds when there are no bytes: 0 at the end, an error once, or -EAGAIN. */
int sim_socket_end(struct sim_socket *socket);
uint32_t sim_socket_poll(const struct sim_socket *socket);

/* Copy up to length of the next bytes, as recv does. */
int64_t sim_socket_read(struct sim_socket *socket, uint8_t *memory, size_t length);

/* The payload: a function of the socket and the offset. */
void sim_payload_fill(const struct sim_socket *socket, uint64_t offset, uint8_t *memory,
		      size_t length);
int sim_payload_is(const struct sim_socket *socket, uint64_t offset, const uint8_t *memory,
		   size_t length);

#endif
