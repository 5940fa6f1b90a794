/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define PATIENCE_MS 60000

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

int peer_connect(const char *host, const char *port, uint16_t local_port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int result = getaddrinfo(host, port, &hints, &found);
	int fd;

	if (result) {
		fprintf(stderr, "%s: %s\n", host, gai_strerror(result));
		return -EHOSTUNREACH;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind_port(fd, found->ai_family, local_port) ||
	    connect(fd, found->ai_addr, found->ai_addrlen)) {
		result = -errno;
		if (fd >= 0)
			close(fd);
		fd = result;
	}
	freeaddrinfo(found);
	return fd;
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
