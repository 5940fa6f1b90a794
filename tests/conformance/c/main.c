/* SPDX-License-Identifier: MIT */
/* The C executor: does what the conformance driver asks, by libzcrx, and reports what came of it.
 * ../PROTOCOL.md */
#include "commands.h"
#include "views.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD    3
#define CHANNELS    8
#define PAYLOAD_FD  12
#define STACK_BYTES (256u << 10)

/* What has been read of a channel. */
struct input {
	int fd;
	char *bytes;
	size_t used, size;
};

/* The next line, without its newline; NULL at the end. It is dropped by the next call.
 * `line_bytes`: 0 before the first. */
static char *next_line(struct input *input, size_t *line_bytes)
{
	char *newline;

	input->used -= *line_bytes;
	if (*line_bytes)
		memmove(input->bytes, input->bytes + *line_bytes, input->used);
	while (!input->used || !(newline = memchr(input->bytes, '\n', input->used))) {
		ssize_t count;

		if (input->size - input->used < 4096) {
			input->size += 65536;
			input->bytes = realloc(input->bytes, input->size);
		}
		count = recv(input->fd, input->bytes + input->used, input->size - input->used, 0);
		if (count == 0 || (count < 0 && errno != EINTR))
			return NULL;
		input->used += count > 0 ? (size_t)count : 0;
	}
	*newline = '\0';
	*line_bytes = (size_t)(newline + 1 - input->bytes);
	return input->bytes;
}

static void send_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return; /* the driver is gone: the next line is the end */
		bytes += sent > 0 ? sent : 0;
		count -= sent > 0 ? (size_t)sent : 0;
	}
}

/* Serves a channel to its end. */
static void *serve(void *argument)
{
	struct input input = {.fd = (int)(intptr_t)argument};
	size_t line_bytes = 0, size;
	char *line, *text;

	while ((line = next_line(&input, &line_bytes))) {
		FILE *out = open_memstream(&text, &size);

		if (!out)
			abort();
		command_run(out, input.fd - FIRST_FD, line);
		fclose(out);
		send_all(input.fd, text, size);
		free(text);
	}
	free(input.bytes);
	return NULL;
}

static void ignore(int number)
{
	(void)number;
}

int main(void)
{
	struct sigaction action = {.sa_handler = ignore};
	pthread_attr_t attributes;
	pthread_t threads[CHANNELS];

	sigaction(SIGUSR1, &action, NULL); /* without SA_RESTART: a wait is interrupted */
	views_init(PAYLOAD_FD);
	/* Small stacks, which do not look like a forgotten area. */
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (intptr_t i = 1; i < CHANNELS; i++)
		if (pthread_create(&threads[i], &attributes, serve, (void *)(FIRST_FD + i)))
			abort();
	pthread_attr_destroy(&attributes);
	serve((void *)(intptr_t)FIRST_FD);
	for (int i = 1; i < CHANNELS; i++)
		pthread_join(threads[i], NULL);
	views_end();
	commands_end();
	return 0;
}
