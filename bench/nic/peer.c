/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define PATIENCE_MS 60000
#define RETRY_MS    10

static int bind_port(int socket, int family, uint16_t port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;

	setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		return bind(socket, (void *)&six, sizeof(six));
	return bind(socket, (void *)&four, sizeof(four));
}

/* A socket, or a negative errno. */
static int connect_once(const struct addrinfo *to, uint16_t local_port)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	if (!bind_port(fd, to->ai_family, local_port) && !connect(fd, to->ai_addr, to->ai_addrlen))
		return fd;
	result = -errno;
	close(fd);
	return result;
}

int peer_connect(const char *host, const char *port, uint16_t local_port)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int result = getaddrinfo(host, port, &hints, &found);

	if (result) {
		fprintf(stderr, "%s: %s\n", host, gai_strerror(result));
		return -EHOSTUNREACH;
	}
	result = connect_once(found, local_port);
	/* The last acknowledgement of the connection before may still be on its way. */
	for (int i = 0; result == -EADDRNOTAVAIL && i < PATIENCE_MS / RETRY_MS; i++) {
		nanosleep(&pause, NULL);
		result = connect_once(found, local_port);
	}
	freeaddrinfo(found);
	return result;
}

int peer_ask(int socket, uint64_t bytes)
{
	uint64_t request = htobe64(bytes);

	return send(socket, &request, sizeof(request), MSG_NOSIGNAL) == sizeof(request) ? 0
											: -EPIPE;
}

int peer_wait_closed(int socket)
{
	struct pollfd closed = {.fd = socket, .events = POLLRDHUP};

	return poll(&closed, 1, PATIENCE_MS) == 1 ? 0 : -ETIMEDOUT;
}
