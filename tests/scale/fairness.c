/* SPDX-License-Identifier: MIT */
/*
 * Two streams on one receiver. First, both sockets always have bytes, because the receiver is what
 * is slow: each must get its share. Then a slow consumer beside a fast one: the slow one keeps its
 * buffers until it comes to them, so in the end it holds the whole area; from then on the two
 * streams take turns for what it releases, and the fast one must get its share.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "scale.h"

#define AREA (1u << 20)
#define LARGE_AREA \
	(32u << 20) /* more than both sockets hold: it is turns that are shared, not chunks */
#define BATCH    64
#define PIECE    (64u << 10)
#define DELAY_NS 100000  /* that the slow consumer needs for each buffer */
#define PAUSE_NS 1000000 /* of a receiver that is slower than both senders */
#define EVEN     0.3     /* of the other's bytes: below that it does not get its share */
#define LEAST    0.1     /* ... that it starves */
#define POLL_NS  10000000

enum { FAST, SLOW, STREAMS };

/* Buffers on their way to the slow consumer. */
struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct zrx_buffer *buffers;
	uint32_t first, count, room;
	int ended;
};

static void send_forever(const struct sockaddr_in *address, const void *argument)
{
	uint8_t *piece = calloc(1, PIECE);
	int fd = peer_connect(address, 0);

	(void)argument;
	while (piece && send(fd, piece, PIECE, MSG_NOSIGNAL) > 0)
		; /* until the receiver goes */
}

static void *consume_slowly(void *argument)
{
	struct queue *queue = argument;
	const struct timespec delay = {.tv_nsec = DELAY_NS};

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		struct zrx_buffer buffer;

		while (!queue->count && !queue->ended)
			pthread_cond_wait(&queue->filled, &queue->lock);
		if (!queue->count)
			break;
		buffer = queue->buffers[queue->first];
		queue->first = (queue->first + 1) % queue->room;
		queue->count--;
		if (!queue->ended) {
			pthread_mutex_unlock(&queue->lock);
			nanosleep(&delay, NULL);
			pthread_mutex_lock(&queue->lock);
		}
		REQUIRE(!zrx_buffer_release(&buffer, 1), "release failed");
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static void give(struct queue *queue, const struct zrx_buffer *buffer)
{
	pthread_mutex_lock(&queue->lock);
	REQUIRE(queue->count < queue->room, "more buffers are out than the area has bytes");
	queue->buffers[(queue->first + queue->count++) % queue->room] = *buffer;
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
}

static void finish(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->ended = 1;
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/*
 * Receive for so long. slow: where that stream's buffers go; NULL: released at once, and the
 * receiver takes its time.
 */
static void receive_both(struct zrx_receiver *receiver, struct queue *slow, double seconds,
			 uint64_t bytes[STREAMS])
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct zrx_event events[BATCH];
	double end = now() + seconds;

	bytes[FAST] = bytes[SLOW] = 0;
	while (now() < end) {
		int count = zrx_receiver_receive(receiver, events, BATCH, POLL_NS);

		REQUIRE(count >= 0, "receive: %d", count);
		for (int i = 0; i < count; i++) {
			REQUIRE(events[i].kind == ZRX_EVENT_DATA, "a stream ended");
			bytes[events[i].tag] += events[i].buffer.length;
			if (slow && events[i].tag == SLOW)
				give(slow, &events[i].buffer);
			else
				REQUIRE(!zrx_buffer_release(&events[i].buffer, 1),
					"release failed");
		}
		if (!slow)
			nanosleep(&pause, NULL);
	}
}

static void both_alike(struct zrx_receiver *receiver, double seconds, uint64_t bytes[STREAMS])
{
	receive_both(receiver, NULL, seconds, bytes);
}

static void beside_a_slow_one(struct zrx_receiver *receiver, double seconds,
			      uint64_t bytes[STREAMS])
{
	struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
			      .filled = PTHREAD_COND_INITIALIZER,
			      .buffers = malloc(AREA * sizeof(struct zrx_buffer)),
			      .room = AREA};
	pthread_t thread;

	REQUIRE(queue.buffers && !pthread_create(&thread, NULL, consume_slowly, &queue),
		"cannot start a thread");
	receive_both(receiver, &queue, seconds / 2, bytes); /* until the area is full */
	receive_both(receiver, &queue, seconds, bytes);
	finish(&queue);
	pthread_join(thread, NULL);
	free(queue.buffers);
}

/* Receive from both for so long with a receiver of their own. */
static void measure(const struct scale *scale, uint64_t area_bytes, const int sockets[STREAMS],
		    void (*receive)(struct zrx_receiver *, double, uint64_t *),
		    uint64_t bytes[STREAMS])
{
	struct zrx_receiver *receiver = scale_open(scale, area_bytes);

	for (uint32_t i = 0; i < STREAMS; i++)
		scale_add(receiver, dup(sockets[i]), i);
	receive(receiver, scale->milliseconds / 1e3, bytes);
	zrx_receiver_close(receiver);
}

void scale_fairness(const struct scale *scale)
{
	double seconds = scale->milliseconds / 1e3;
	uint64_t even[STREAMS], uneven[STREAMS];
	struct peer peers[STREAMS];
	int sockets[STREAMS];

	for (int i = 0; i < STREAMS; i++)
		peer_start(&peers[i], send_forever, NULL);
	for (int i = 0; i < STREAMS; i++)
		sockets[i] = peer_accept(&peers[i]);
	measure(scale, LARGE_AREA, sockets, both_alike, even);
	measure(scale, AREA, sockets, beside_a_slow_one, uneven);
	for (int i = 0; i < STREAMS; i++) {
		close(sockets[i]);
		peer_wait(&peers[i]);
	}
	printf("both alike: %.1f and %.1f MB/s; one slow: %.1f beside %.1f MB/s",
	       (double)even[FAST] / seconds / 1e6, (double)even[SLOW] / seconds / 1e6,
	       (double)uneven[FAST] / seconds / 1e6, (double)uneven[SLOW] / seconds / 1e6);
	REQUIRE((double)even[FAST] >= EVEN * (double)even[SLOW] &&
			(double)even[SLOW] >= EVEN * (double)even[FAST],
		": one of two equal streams does not get its share");
	REQUIRE((double)uneven[FAST] >= LEAST * (double)uneven[SLOW],
		": a slow consumer starves a fast one");
}
