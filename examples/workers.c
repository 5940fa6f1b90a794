/* SPDX-License-Identifier: MIT */
/*
 * Adds up the bytes of one TCP connection to PORT of this machine, on WORKERS threads: the thread
 * that receives hands buffers on, and whoever is done with one releases it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zcrx.h>

#define BATCH      64
#define MOST       64
#define QUEUE_ROOM 1024 /* buffers that wait for a worker; beyond it the receiver waits */

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct zrx_buffer buffers[QUEUE_ROOM];
	unsigned first, count;
	int over;
	unsigned long long sum;
};

static void put(struct queue *queue, const struct zrx_buffer *buffer)
{
	pthread_mutex_lock(&queue->lock);
	while (queue->count == QUEUE_ROOM)
		pthread_cond_wait(&queue->changed, &queue->lock);
	queue->buffers[(queue->first + queue->count++) % QUEUE_ROOM] = *buffer;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* Returns 0 when there will be no more. */
static int take(struct queue *queue, struct zrx_buffer *buffer)
{
	int found;

	pthread_mutex_lock(&queue->lock);
	while (!queue->count && !queue->over)
		pthread_cond_wait(&queue->changed, &queue->lock);
	found = queue->count > 0;
	if (found) {
		*buffer = queue->buffers[queue->first];
		queue->first = (queue->first + 1) % QUEUE_ROOM;
		queue->count--;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	return found;
}

static void *work(void *argument)
{
	struct queue *queue = argument;
	struct zrx_buffer buffer;
	unsigned long long sum = 0;

	while (take(queue, &buffer)) {
		const unsigned char *bytes = buffer.data;

		for (uint32_t i = 0; i < buffer.length; i++)
			sum += bytes[i];
		zrx_buffer_release(&buffer, 1); /* any thread, any order */
	}
	pthread_mutex_lock(&queue->lock);
	queue->sum += sum;
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static struct zrx_receiver *rx;
static volatile sig_atomic_t stopped;

/* On whatever thread: the one that receives is woken. */
static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
	if (rx)
		zrx_receiver_wake(rx);
}

/* The second signal of its kind ends the program where it is. */
static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* Until the stream's last event. Returns 0, or its error. */
static int receive(struct queue *queue)
{
	struct zrx_event events[BATCH];

	while (!stopped) {
		int count = zrx_receiver_receive(rx, events, BATCH, -1);

		if (count < 0 && count != -EINTR)
			return count;
		for (int i = 0; i < count; i++) {
			if (events[i].kind != ZRX_EVENT_DATA)
				return events[i].error;
			put(queue, &events[i].buffer);
		}
	}
	return -EINTR;
}

/* A signal that comes before the wait has begun ends it just as well: ppoll() lets it in. */
static int accept_one(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pollfd listener = {.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
	sigset_t all, before;
	int count;

	if (listener.fd < 0 || bind(listener.fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	if (listen(listener.fd, 1))
		return -1;
	do
		count = ppoll(&listener, 1, NULL, &before);
	while (count < 0 && errno == EINTR && !stopped);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (count > 0)
		return accept(listener.fd, NULL, NULL);
	errno = EINTR;
	return -1;
}

int main(int argc, char **argv)
{
	static struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
				     .changed = PTHREAD_COND_INITIALIZER};
	struct zrx_error error = ZRX_ERROR_INIT;
	pthread_t threads[MOST];
	int workers = argc > 2 ? atoi(argv[2]) : 4, started = 0, fd, result;

	if (argc < 2 || workers < 1 || workers > MOST)
		return fprintf(stderr, "usage: workers PORT [WORKERS (1 to %d)]\n", MOST), 2;
	if (zrx_receiver_open(&rx, NULL, &error) < 0)
		return fprintf(stderr, "%s\n%s\n", error.message, error.hint), 1;
	catch_signals();
	fd = accept_one(atoi(argv[1])); /* there is no other thread yet: a signal ends the wait */
	while (started < workers && !pthread_create(&threads[started], NULL, work, &queue))
		started++;
	if (!started)
		return fprintf(stderr, "workers: cannot start a thread\n"), 1;
	result = fd < 0 ? -errno : zrx_receiver_add(rx, fd, NULL, NULL);
	if (!result)
		result = receive(&queue);
	zrx_receiver_close(rx); /* buffers that still wait for a worker stay valid */
	pthread_mutex_lock(&queue.lock);
	queue.over = 1;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
	while (started)
		pthread_join(threads[--started], NULL);
	if (result)
		return fprintf(stderr, "workers: %s\n", strerror(-result)), 1;
	printf("sum %llu\n", queue.sum);
	return 0;
}
