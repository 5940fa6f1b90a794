/* SPDX-License-Identifier: MIT */
/*
 * Connections come and go, in an event loop: accept, receive, close. Memory and descriptors are at
 * the end what they were when the first tenth of them was over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "scale.h"

#define AREA      (1u << 20)
#define MESSAGE   3000u
#define AT_ONCE   16u
#define BATCH     64
#define SLACK     (16u << 10) /* of heap that may come and go */
#define PATIENCE  20000       /* milliseconds without anything: stuck */
#define MAX_GROWN (2u << 20)  /* of resident memory: the area, and some */

struct held {
	unsigned descriptors;
	uint64_t heap;
	uint64_t resident;
};

static void connect_and_send(const struct sockaddr_in *address, const void *argument)
{
	const struct scale *scale = argument;
	uint8_t message[MESSAGE];
	int sockets[AT_ONCE];
	char byte;

	scale_fill(message, MESSAGE, 0, 0);
	for (uint32_t made = 0; made < scale->connections; made += AT_ONCE) {
		uint32_t count = scale->connections - made;

		if (count > AT_ONCE)
			count = AT_ONCE;
		for (uint32_t i = 0; i < count; i++) {
			sockets[i] = peer_connect(address, made + i);
			peer_send(sockets[i], message, MESSAGE);
			shutdown(sockets[i], SHUT_WR);
		}
		for (uint32_t i = 0; i < count; i++) {
			REQUIRE(recv(sockets[i], &byte, 1, 0) == 0,
				"connection %u was not closed in good order: %s", made + i,
				strerror(errno));
			close(sockets[i]);
		}
	}
}

static struct held count_held(void)
{
	struct mallinfo2 heap = mallinfo2();
	struct held held = {.heap = heap.uordblks + heap.hblkhd};
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;
	DIR *folder = opendir("/proc/self/fd");

	REQUIRE(file && folder && fscanf(file, "%*u %llu", &pages) == 1, "cannot read /proc/self");
	held.resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	while (readdir(folder))
		held.descriptors++;
	closedir(folder);
	fclose(file);
	return held;
}

static void accept_all(const struct peer *peer, struct zrx_receiver *receiver)
{
	int fd;

	while ((fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		scale_add(receiver, fd, 0);
	REQUIRE(errno == EAGAIN, "accept: %s", strerror(errno));
}

/* Returns how many connections ended. */
static uint32_t receive_all(struct zrx_receiver *receiver, uint64_t *bytes)
{
	struct zrx_event events[BATCH];
	uint32_t ended = 0;
	int count;

	do {
		count = zrx_receiver_receive(receiver, events, BATCH, 0);
		REQUIRE(count >= 0, "receive: %d", count);
		for (int i = 0; i < count; i++) {
			REQUIRE(events[i].kind != ZRX_EVENT_ERROR, "error %d", events[i].error);
			if (events[i].kind == ZRX_EVENT_END)
				ended++;
			else
				*bytes += events[i].buffer.length;
		}
		REQUIRE(!zrx_event_release(events, (uint32_t)count), "release failed");
	} while (count == BATCH);
	return ended;
}

/* Serve until so many connections have ended, and none is open. */
static uint64_t serve(const struct peer *peer, struct zrx_receiver *receiver, uint32_t connections)
{
	struct pollfd polls[2] = {{.fd = peer->listener, .events = POLLIN},
				  {.fd = zrx_receiver_fd(receiver), .events = POLLIN}};
	uint64_t bytes = 0;
	uint32_t ended = receive_all(receiver, &bytes);

	while (ended < connections) {
		REQUIRE(poll(polls, 2, PATIENCE) > 0, "nothing happens after %u of %u connections",
			ended, connections);
		if (polls[0].revents)
			accept_all(peer, receiver);
		if (polls[1].revents)
			ended += receive_all(receiver, &bytes);
	}
	return bytes;
}

void scale_churn(const struct scale *scale)
{
	/* Whole groups, so that no connection is open when the first tenth is over. */
	uint32_t first = (scale->connections / 10 + AT_ONCE - 1) / AT_ONCE * AT_ONCE;
	struct zrx_receiver *receiver;
	struct held before, after;
	struct peer peer;
	uint64_t bytes;

	peer_start(&peer, connect_and_send, scale);
	fcntl(peer.listener, F_SETFL, O_NONBLOCK);
	receiver = scale_open(scale, AREA);
	bytes = serve(&peer, receiver, first);
	before = count_held();
	bytes += serve(&peer, receiver, scale->connections - first);
	after = count_held();
	REQUIRE(bytes == (uint64_t)scale->connections * MESSAGE, "bytes are missing");
	REQUIRE(after.descriptors <= before.descriptors, "%u descriptors, were %u",
		after.descriptors, before.descriptors);
	REQUIRE(after.heap <= before.heap + SLACK, "%llu bytes of heap, were %llu",
		(unsigned long long)after.heap, (unsigned long long)before.heap);
	REQUIRE(after.resident <= before.resident + MAX_GROWN, "%llu bytes resident, were %llu",
		(unsigned long long)after.resident, (unsigned long long)before.resident);
	zrx_receiver_close(receiver);
	peer_wait(&peer);
	printf("%u connections, heap grew by %lld bytes", scale->connections,
	       (long long)(after.heap - before.heap));
}
