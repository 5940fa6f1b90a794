/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SENDER_PATIENCE_MS 20000

extern char **environ;

/* The address to listen on, port 0. */
static struct addrinfo *rig_address(void)
{
	const char *host = getenv("ZRX_RIG_LOCAL");
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
	struct addrinfo *address;

	if (!host)
		host = "127.0.0.1";
	CHECK(!getaddrinfo(host, "0", &hints, &address), "ZRX_RIG_LOCAL=%s is no address", host);
	return address;
}

void peer_listen(struct peer *peer, const struct scenario *scenario)
{
	struct addrinfo *address = rig_address();
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !bind(fd, address->ai_addr, address->ai_addrlen) &&
		      !listen(fd, (int)scenario->connections) &&
		      !getsockname(fd, (struct sockaddr *)&bound, &length),
	      "listen: %s", strerror(errno));
	freeaddrinfo(address);
	peer->listener = fd;
	/* The port has the same place in both families' addresses. */
	peer->port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
}

/* HOST:PORT, as the sender wants it. */
static void listening_address(const struct peer *peer, char *where, size_t size)
{
	const char *host = getenv("ZRX_RIG_LOCAL");

	snprintf(where, size, "%s:%u", host ? host : "127.0.0.1", peer->port);
}

void peer_start(struct peer *peer, const struct scenario *scenario, const char *program)
{
	static char ip[] = "ip", netns[] = "netns", exec[] = "exec";
	char *arguments[SCENARIO_WORDS + 8], where[128];
	char *namespace = getenv("ZRX_RIG_PEER_NETNS"), *path = strdup(program);
	unsigned count = 0;
	int result;

	listening_address(peer, where, sizeof(where));
	if (namespace) {
		arguments[count++] = ip;
		arguments[count++] = netns;
		arguments[count++] = exec;
		arguments[count++] = namespace;
	}
	arguments[count++] = path;
	arguments[count++] = where;
	memcpy(arguments + count, scenario->words, sizeof(scenario->words));
	result = posix_spawnp(&peer->sender, arguments[0], NULL, NULL, arguments, environ);
	CHECK(!result, "cannot start %s: %s", arguments[0], strerror(result));
	free(path);
}

int peer_accept(struct peer *peer)
{
	int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);

	CHECK(fd >= 0, "accept: %s", strerror(errno));
	return fd;
}

void peer_go_on(int fd)
{
	CHECK(send(fd, "", 1, MSG_NOSIGNAL) == 1, "the sender left before it was let go on");
}

void peer_wait(struct peer *peer)
{
	int status = 0;

	close(peer->listener);
	for (int waited = 0; waitpid(peer->sender, &status, WNOHANG) == 0; waited++) {
		CHECK(waited < SENDER_PATIENCE_MS, "the sender is still there after 20 s");
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the sender failed: status %x",
	      status);
}
