/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "verdict.h"

#include <arpa/inet.h>
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
#define BACKLOG            4096

extern char **environ;

static const char *rig_address(void)
{
	const char *host = getenv("ZRX_RIG_LOCAL");

	return host ? host : "127.0.0.1";
}

int peer_listen(uint16_t *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
	struct addrinfo *address;
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);
	int fd = -1;

	if (getaddrinfo(rig_address(), "0", &hints, &address))
		return -1;
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, BACKLOG) ||
			getsockname(fd, (struct sockaddr *)&bound, &length))) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(address);
	/* The port has the same place in both families' addresses. */
	*port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
	return fd;
}

const char *peer_interpreter(void)
{
	static char path[4096];
	FILE *python = popen("python3 -c 'import sys; print(sys.executable)'", "re");

	if (!python)
		return NULL;
	if (!fgets(path, sizeof(path), python))
		path[0] = '\0';
	path[strcspn(path, "\n")] = '\0';
	return pclose(python) || !path[0] ? NULL : path;
}

pid_t peer_start(const struct scenario *scenario, const char *python, const char *program,
		 uint16_t port)
{
	static char isolated[] = "-IS"; /* it imports the standard library only */
	static char ip[] = "ip", netns[] = "netns", exec[] = "exec";
	char *arguments[SCENARIO_WORDS + 10], where[128];
	char *namespace = getenv("ZRX_RIG_PEER_NETNS");
	char *interpreter = strdup(python), *path = strdup(program);
	unsigned count = 0;
	pid_t sender;
	int result;

	snprintf(where, sizeof(where), "%s:%u", rig_address(), port);
	if (namespace) {
		arguments[count++] = ip;
		arguments[count++] = netns;
		arguments[count++] = exec;
		arguments[count++] = namespace;
	}
	arguments[count++] = interpreter;
	arguments[count++] = isolated;
	arguments[count++] = path;
	arguments[count++] = where;
	memcpy(arguments + count, scenario->words, sizeof(scenario->words));
	result = posix_spawnp(&sender, arguments[0], NULL, NULL, arguments, environ);
	CHECK(!result, "cannot start %s: %s", arguments[0], strerror(result));
	free(interpreter);
	free(path);
	return sender;
}

void peer_wait(pid_t sender)
{
	int status = 0;

	for (int waited = 0; waitpid(sender, &status, WNOHANG) == 0; waited++) {
		CHECK(waited < SENDER_PATIENCE_MS, "the sender is still there after 20 s");
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the sender failed: status %x",
	      status);
}
