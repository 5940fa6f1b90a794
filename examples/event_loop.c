/* SPDX-License-Identifier: MIT */
/*
 * Counts the bytes of CONNECTIONS TCP connections to PORT of this machine, from an epoll loop: the
 * receiver is one descriptor beside the listener and whatever else a program waits for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zcrx.h>

#define BATCH 128

struct server {
	int epoll;
	int listener;
	int signals;
	struct zrx_receiver *rx;
	uint64_t *bytes; /* of each connection, by its tag */
	unsigned accepted, over, connections;
};

static int watch(const struct server *server, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_listener(struct server *server, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (server->listener < 0 ||
	    bind(server->listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(server->listener, SOMAXCONN))
		return -errno;
	return watch(server, server->listener);
}

/* Signals that end the program come as one more descriptor. */
static int open_signals(struct server *server)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	server->signals = signalfd(-1, &set, SFD_CLOEXEC);
	return server->signals < 0 ? -errno : watch(server, server->signals);
}

static int accept_all(struct server *server)
{
	int fd, result = 0;

	while (!result && server->accepted < server->connections &&
	       (fd = accept(server->listener, NULL, NULL)) >= 0) {
		struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;

		options.tag = server->accepted++;
		result = zrx_receiver_add(server->rx, fd, &options, NULL);
		close(fd); /* the receiver has a reference of its own, until the stream ends */
	}
	return result;
}

static void handle(struct server *server, const struct zrx_event *event)
{
	unsigned long long number = event->tag;

	if (event->kind == ZRX_EVENT_DATA) {
		server->bytes[number] += event->buffer.length;
		return;
	}
	server->over++;
	printf("connection %llu: %llu bytes, %s\n", number,
	       (unsigned long long)server->bytes[number],
	       event->kind == ZRX_EVENT_END ? "closed by its peer" : strerror(-event->error));
}

/* Until there is less than a batch: only then does the descriptor tell of what comes next. */
static int receive_all(struct server *server)
{
	struct zrx_event events[BATCH];
	int count;

	do {
		count = zrx_receiver_receive(server->rx, events, BATCH, 0);
		for (int i = 0; i < count; i++)
			handle(server, &events[i]);
		zrx_event_release(events, count > 0 ? (uint32_t)count : 0);
	} while (count == BATCH || count == -EINTR);
	return count < 0 ? count : 0;
}

static int serve(struct server *server)
{
	int result = receive_all(server); /* the first one binds the receiver to this thread */

	if (!result)
		result = watch(server, zrx_receiver_fd(server->rx));
	while (!result && server->over < server->connections) {
		struct epoll_event ready;
		int count = epoll_wait(server->epoll, &ready, 1, -1);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count < 1)
			continue;
		if (ready.data.fd == server->signals)
			return -EINTR;
		result = ready.data.fd == server->listener ? accept_all(server)
							   : receive_all(server);
	}
	return result;
}

int main(int argc, char **argv)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct server server = {.connections = argc > 2 ? (unsigned)atoi(argv[2]) : 1};
	int result;

	if (argc < 2)
		return fprintf(stderr, "usage: event_loop PORT [CONNECTIONS]\n"), 2;
	server.bytes = calloc(server.connections, sizeof(*server.bytes));
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!server.bytes || server.epoll < 0)
		return perror("event_loop"), 1;
	if (zrx_receiver_open(&server.rx, NULL, &error) < 0)
		return fprintf(stderr, "%s\n%s\n", error.message, error.hint), 1;
	result = open_signals(&server);
	if (!result)
		result = open_listener(&server, atoi(argv[1]));
	if (!result)
		result = serve(&server);
	if (result)
		fprintf(stderr, "event_loop: %s\n", strerror(-result));
	zrx_receiver_close(server.rx);
	free(server.bytes);
	return result ? 1 : 0;
}
