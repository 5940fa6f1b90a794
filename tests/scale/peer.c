/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "scale.h"

#define SOURCES 64u

static int listen_on_loopback(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	REQUIRE(listener >= 0 && !bind(listener, (void *)address, length) &&
			!listen(listener, 1024) && !getsockname(listener, (void *)address, &length),
		"cannot listen on loopback: %s", strerror(errno));
	return listener;
}

void peer_start(struct peer *peer,
		void (*body)(const struct sockaddr_in *address, const void *argument),
		const void *argument)
{
	struct sockaddr_in address;

	peer->listener = listen_on_loopback(&address);
	peer->process = fork();
	REQUIRE(peer->process >= 0, "fork: %s", strerror(errno));
	if (peer->process)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(peer->listener);
	body(&address, argument);
	_exit(0);
}

int peer_accept(const struct peer *peer)
{
	int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);

	REQUIRE(fd >= 0, "accept: %s", strerror(errno));
	return fd;
}

void peer_wait(struct peer *peer)
{
	int status;

	close(peer->listener);
	REQUIRE(waitpid(peer->process, &status, 0) == peer->process && !status,
		"the peer failed, status %#x", (unsigned)status);
}

int peer_connect(const struct sockaddr_in *address, uint32_t source)
{
	struct sockaddr_in own = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source % SOURCES)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int late = 1; /* the port at connect, when it need not be unique for the address */

	REQUIRE(fd >= 0 &&
			!setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late)) &&
			!bind(fd, (void *)&own, sizeof(own)) &&
			!connect(fd, (const void *)address, sizeof(*address)),
		"connect: %s", strerror(errno));
	return fd;
}

void peer_send(int fd, const void *bytes, size_t length)
{
	for (size_t sent = 0; sent < length;) {
		ssize_t result =
			send(fd, (const uint8_t *)bytes + sent, length - sent, MSG_NOSIGNAL);

		REQUIRE(result > 0, "send: %s", strerror(errno));
		sent += (size_t)result;
	}
}
