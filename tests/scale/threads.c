/* SPDX-License-Identifier: MIT */
/* Four receivers on four threads share nothing: each gets its own bytes, whatever the others do. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "scale.h"

#define THREADS 4
#define STREAMS 4u
#define AREA    (4u << 20)
#define BATCH   64
#define PIECE   (64u << 10)

struct worker {
	const struct scale *scale;
	struct peer peer;
	uint64_t number; /* of its first stream: no two streams send the same */
	pthread_t thread;
	struct zrx_stats stats;
};

static void send_streams(const struct sockaddr_in *address, const void *argument)
{
	const struct worker *worker = argument;
	uint8_t *piece = malloc(PIECE);
	int sockets[STREAMS];

	REQUIRE(piece, "out of memory");
	for (uint32_t i = 0; i < STREAMS; i++)
		sockets[i] = peer_connect(address, 0);
	for (uint64_t sent = 0; sent < worker->scale->bytes; sent += PIECE) {
		for (uint32_t i = 0; i < STREAMS; i++) {
			scale_fill(piece, PIECE, worker->number + i, sent);
			peer_send(sockets[i], piece, PIECE);
		}
	}
	free(piece);
}

static void *receive_streams(void *argument)
{
	struct worker *worker = argument;
	struct zrx_receiver *receiver = scale_open(worker->scale, AREA);
	struct zrx_event events[BATCH];
	uint64_t received[STREAMS] = {0};
	uint32_t ended = 0;

	for (uint32_t i = 0; i < STREAMS; i++)
		scale_add(receiver, peer_accept(&worker->peer), i);
	while (ended < STREAMS) {
		int count = zrx_receiver_receive(receiver, events, BATCH, -1);

		REQUIRE(count >= 0, "receive: %d", count);
		for (int i = 0; i < count; i++) {
			uint64_t stream = events[i].tag;

			REQUIRE(events[i].kind != ZRX_EVENT_ERROR, "error %d", events[i].error);
			if (events[i].kind == ZRX_EVENT_END) {
				ended++;
				continue;
			}
			scale_check(&events[i].buffer, worker->number + stream, received[stream]);
			received[stream] += events[i].buffer.length;
		}
		REQUIRE(!zrx_event_release(events, (uint32_t)count), "release failed");
	}
	worker->stats = (struct zrx_stats)ZRX_STATS_INIT;
	zrx_receiver_stats(receiver, &worker->stats);
	zrx_receiver_close(receiver);
	return NULL;
}

void scale_threads(const struct scale *scale)
{
	uint64_t each = (scale->bytes + PIECE - 1) / PIECE * PIECE * STREAMS;
	struct worker workers[THREADS];

	/* All children before the first thread. */
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.scale = scale, .number = i * STREAMS};
		peer_start(&workers[i].peer, send_streams, &workers[i]);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&workers[i].thread, NULL, receive_streams, &workers[i]),
			"cannot start a thread");
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		peer_wait(&workers[i].peer);
		REQUIRE(workers[i].stats.bytes == each, "receiver %u: %llu bytes instead of %llu",
			i, (unsigned long long)workers[i].stats.bytes, (unsigned long long)each);
		REQUIRE(!workers[i].stats.outstanding, "receiver %u: buffers are left", i);
	}
	printf("%d receivers, %llu MiB each", THREADS, (unsigned long long)each >> 20);
}
