/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "sender.h"

#define PAYLOAD     (256u << 10)
#define PRESS_MS    1
#define PRESS_BYTES (16u << 20) /* of the others, before those that stall are tried again */

/* Send on those that are not consumed what still goes. Returns 0 if nothing did. */
static int press(const struct bench_sender *sender, const int *sockets, const char *payload)
{
	const int *stalled = sockets + sender->streams - sender->stalled;
	int sent = 0;

	for (uint32_t i = 0; i < sender->stalled; i++) {
		while (send(stalled[i], payload, PAYLOAD, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			sent = 1;
	}
	return sent;
}

/* The same until the word comes, by which the receiver takes no more of them. */
static int press_until_told(const struct bench_sender *sender, const int *sockets, int go)
{
	struct pollfd told = {.fd = go, .events = POLLIN};
	char *payload = calloc(1, PAYLOAD);
	char byte;

	while (payload && !poll(&told, 1, press(sender, sockets, payload) ? 0 : PRESS_MS))
		;
	free(payload);
	return payload && read(go, &byte, 1) == 1;
}

static int send_all(const struct bench_sender *sender, const int *sockets)
{
	char *payload = calloc(1, PAYLOAD);
	uint64_t sent = 0;
	uint32_t turn = 0;

	while (payload && sent < sender->bytes) {
		uint64_t length = sender->bytes - sent < PAYLOAD ? sender->bytes - sent : PAYLOAD;
		ssize_t result = send(sockets[turn], payload, length, MSG_NOSIGNAL);

		if (result < 0)
			break; /* the receiver gave up, and says so */
		sent += (uint64_t)result;
		turn = (turn + 1) % sender->active;
		if (sender->stalled &&
		    sent / PRESS_BYTES != (sent - (uint64_t)result) / PRESS_BYTES)
			press(sender, sockets, payload);
	}
	free(payload);
	return sent == sender->bytes;
}

/* The child: returns its exit status. Its sockets stay open until the parent has received. */
static int serve(const struct bench_sender *sender, const struct sockaddr_in *address, int go)
{
	int *sockets = calloc(sender->streams, sizeof(*sockets));
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(sender->processor);
	for (uint32_t i = 0; i < sender->streams; i++) {
		sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(sockets[i], (const void *)address, sizeof(*address)))
			return 1;
	}
	if (read(go, &byte, 1) != 1)
		return 1;
	if (sender->stalled && !press_until_told(sender, sockets, go))
		return 1;
	if (!send_all(sender, sockets))
		return 1;
	return read(go, &byte, 1) == 0 ? 0 : 1;
}

/* Of those that it accepts. What is more than any user may have, root may. */
static int set_buffer(int listener, int bytes)
{
	return bytes && setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) &&
	       setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int listen_on_loopback(struct sockaddr_in *address, int buffer_bytes)
{
	socklen_t length = sizeof(*address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (listener < 0 || set_buffer(listener, buffer_bytes) ||
	    bind(listener, (void *)address, length) || listen(listener, 1024) ||
	    getsockname(listener, (void *)address, &length))
		return -errno;
	return listener;
}

int bench_sender_start(struct bench_sender *sender, int *sockets)
{
	struct sockaddr_in address;
	int listener = listen_on_loopback(&address, sender->buffer_bytes);
	int go[2], result = 0;

	if (listener < 0)
		return listener;
	if (pipe(go))
		return -errno;
	sender->process = fork();
	if (sender->process < 0)
		return -errno;
	if (!sender->process) {
		close(go[1]);
		_exit(serve(sender, &address, go[0]));
	}
	sender->go = go[1];
	close(go[0]);
	for (uint32_t i = 0; !result && i < sender->streams; i++) {
		sockets[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		result = sockets[i] < 0 ? -errno : 0;
	}
	close(listener);
	return result;
}

int bench_sender_go(struct bench_sender *sender)
{
	return write(sender->go, "", 1) == 1 ? 0 : -errno;
}

int bench_sender_finish(struct bench_sender *sender, int failed)
{
	int status = 0;

	if (failed)
		kill(sender->process, SIGKILL);
	close(sender->go);
	if (waitpid(sender->process, &status, 0) != sender->process)
		return -errno;
	return status ? -EPIPE : 0;
}
