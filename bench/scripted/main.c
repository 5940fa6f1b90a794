/* SPDX-License-Identifier: MIT */
/*
 * Engine zcrx on a scripted kernel, to have its instructions counted: receive so many bytes, and
 * release them by batches or one by one. Prints one line of JSON, as `receive` does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zcrx.h>

#include "kernel.h"
#include "sender.h"
#include "take.h"

/* Of the scripted kernel there is no NIC; of the area there is no demand. */
static int open_receiver(struct zrx_receiver **receiver)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	int result;

	options.engine = ZRX_ENGINE_ZCRX;
	options.interface = "scripted";
	options.area_bytes = 64u << 20;
	result = zrx_receiver_open(receiver, &options, &error);
	if (result)
		fprintf(stderr, "scripted: %s (%s)\n", error.message, error.hint);
	return result;
}

/* A socket there has to be; no byte comes through it. */
static int run(struct bench_taken *taken, uint64_t bytes, int singly)
{
	struct bench_sender sender = {.streams = 1, .active = 1};
	struct zrx_receiver *receiver;
	int socket, result = bench_sender_start(&sender, &socket);

	if (!result)
		result = open_receiver(&receiver);
	if (!result)
		result = zrx_receiver_add(receiver, socket, NULL, NULL);
	if (!result)
		result = bench_take(receiver, bytes, singly, taken);
	if (!result && scripted_kernel_out())
		result = -EBADMSG; /* not all that was released came back */
	if (!result)
		result = zrx_receiver_close(receiver);
	bench_sender_finish(&sender, 1);
	return result;
}

int main(int argc, char **argv)
{
	int singly = argc == 3 && !strcmp(argv[2], "--singly");
	uint64_t bytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
	struct bench_taken taken = {0};
	int result;

	if (!bytes || argc > 2 + singly) {
		fprintf(stderr, "usage: scripted BYTES [--singly]\n");
		return 2;
	}
	result = run(&taken, bytes, singly);
	if (result) {
		fprintf(stderr, "scripted: %s\n", strerror(-result));
		return 1;
	}
	printf("{\"bytes\": %llu, \"buffers\": %llu}\n", (unsigned long long)taken.bytes,
	       (unsigned long long)taken.buffers);
	return 0;
}
