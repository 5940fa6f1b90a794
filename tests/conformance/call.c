/* SPDX-License-Identifier: MIT */
#include "call.h"
#include "verdict.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void channel_open(struct channel *channel, int fd)
{
	*channel = (struct channel){.fd = fd, .answers = fdopen(fd, "r")};
	CHECK(channel->answers, "no memory for a channel");
}

void channel_close(struct channel *channel)
{
	fclose(channel->answers);
	free(channel->line);
}

static void send_line(const struct channel *channel, const char *line)
{
	struct iovec parts[] = {{(char *)line, strlen(line)}, {(char *)"\n", 1}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	size_t left = parts[0].iov_len + 1;

	while (left) {
		ssize_t sent = sendmsg(channel->fd, &message, MSG_NOSIGNAL);

		CHECK(sent > 0, "the executor is gone at: %.40s", line);
		left -= (size_t)sent;
		for (int i = 0; i < 2; i++) {
			size_t part =
				(size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;

			parts[i].iov_base = (char *)parts[i].iov_base + part;
			parts[i].iov_len -= part;
			sent -= (ssize_t)part;
		}
	}
}

static char *read_line(struct channel *channel, const char *request)
{
	ssize_t length = getline(&channel->line, &channel->size, channel->answers);

	CHECK(length > 0, "the executor is gone at: %.40s", request);
	channel->line[strcspn(channel->line, "\n")] = '\0';
	return channel->line;
}

/* What follows the first word of a line, if that is the word; else NULL. */
static char *after(char *line, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(line, word, length) || (line[length] && line[length] != ' '))
		return NULL;
	return line + length + (line[length] == ' ');
}

int call_line(struct channel *channel, fact_fn fact, void *context, const char **text,
	      const char *request)
{
	send_line(channel, request);
	for (;;) {
		char *line = read_line(channel, request), *rest, *end;
		long error;

		if ((*text = after(line, "ok")))
			return 0;
		if ((rest = after(line, "failed"))) {
			error = strtol(rest, &end, 10);
			CHECK(error > 0 && end != rest, "%.40s: answered by: %.200s", request,
			      line);
			*text = end + (*end == ' ');
			return (int)-error;
		}
		CHECK(fact, "%.40s: answered by: %.200s", request, line);
		fact(context, line);
	}
}

int call(struct channel *channel, fact_fn fact, void *context, const char **text,
	 const char *format, ...)
{
	char request[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(request, sizeof(request), format, arguments);
	va_end(arguments);
	return call_line(channel, fact, context, text, request);
}

void call_ok(struct channel *channel, const char *format, ...)
{
	char request[512];
	const char *text;
	va_list arguments;
	int result;

	va_start(arguments, format);
	vsnprintf(request, sizeof(request), format, arguments);
	va_end(arguments);
	result = call_line(channel, NULL, NULL, &text, request);
	CHECK(result == 0, "%.40s: %s: %.400s", request, strerror(-result), text);
}
