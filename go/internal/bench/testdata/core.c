/* SPDX-License-Identifier: MIT */
/* The C core as the Go package's rival: core ENGINE BUFFER_BYTES BATCH. Speaks as receive.go does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <zcrx.h>

#define MAX_BATCH 1024

struct totals {
	uint64_t bytes, buffers;
	double seconds, cpu;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_time(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int accept_one(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		return -1;
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return accept(listener, NULL, NULL);
}

static int receive(struct zrx_receiver *rx, uint32_t batch, struct totals *totals)
{
	static struct zrx_event events[MAX_BATCH];
	int over = 0;

	while (!over) {
		int count = zrx_receiver_receive(rx, events, batch, -1);

		if (count == -EINTR)
			continue;
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			if (events[i].kind != ZRX_EVENT_DATA) {
				over = 1;
				continue;
			}
			totals->bytes += events[i].buffer.length;
			totals->buffers++;
		}
		zrx_event_release(events, (uint32_t)count);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct totals totals = {0};
	struct zrx_receiver *rx;
	uint64_t stream;
	int result;

	if (argc != 4 || zrx_engine_by_name(argv[1], &options.engine) || atoi(argv[3]) > MAX_BATCH)
		return 2;
	options.buffer_bytes = (uint32_t)atoi(argv[2]);
	if (zrx_receiver_open(&rx, &options, &error)) {
		fprintf(stderr, "core: %s\n", error.message);
		return 1;
	}
	if (zrx_receiver_add(rx, accept_one(), NULL, &stream)) {
		fprintf(stderr, "core: no connection\n");
		return 1;
	}
	totals.seconds = now();
	totals.cpu = cpu_time();
	result = receive(rx, (uint32_t)atoi(argv[3]), &totals);
	printf("{\"bytes\": %llu, \"buffers\": %llu, \"seconds\": %f, \"cpu\": %f}\n",
	       (unsigned long long)totals.bytes, (unsigned long long)totals.buffers,
	       now() - totals.seconds, cpu_time() - totals.cpu);
	zrx_receiver_close(rx);
	return result ? 1 : 0;
}
