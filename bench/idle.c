/* SPDX-License-Identifier: MIT */
/*
 * What an idle stream costs: the heap of a receiver before and after many streams are added and
 * armed. Prints one line of JSON.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zcrx.h>

#include "machine.h"
#include "sender.h"

static uint64_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Add every socket, and receive until all are armed. 0, or a negative errno. */
static int add_all(struct zrx_receiver *receiver, const int *sockets, uint32_t streams)
{
	struct zrx_event event;
	int result = 0;

	for (uint32_t i = 0; !result && i < streams; i++) {
		result = zrx_receiver_add(receiver, sockets[i], NULL, NULL);
		close(sockets[i]);
	}
	for (uint32_t i = 0; !result && i < streams; i += 64) /* a ring takes some at a time */
		result = zrx_receiver_receive(receiver, &event, 1, 0);
	return result;
}

int main(int argc, char **argv)
{
	struct bench_sender sender = {
		.streams = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000, .active = 1, .processor = 0};
	struct zrx_receiver *receiver;
	uint64_t before, after;
	int *sockets;
	int result;

	bench_raise_descriptor_limit();
	sockets = calloc(sender.streams, sizeof(*sockets));
	result = sockets ? bench_sender_start(&sender, sockets) : -1;
	if (!result)
		result = zrx_receiver_open(&receiver, NULL, NULL);
	if (!result) {
		before = heap_bytes();
		result = add_all(receiver, sockets, sender.streams);
		after = heap_bytes();
		zrx_receiver_close(receiver);
	}
	bench_sender_finish(&sender, 1);
	if (result) {
		fprintf(stderr, "idle: %s\n", strerror(-result));
		return 1;
	}
	printf("{\"streams\": %u, \"bytes\": %llu}\n", sender.streams,
	       (unsigned long long)(after - before));
	return 0;
}
