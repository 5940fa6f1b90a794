/* SPDX-License-Identifier: MIT */
/* Copies one TCP connection to port 5000 of this machine to standard output: zcrx at its smallest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <zcrx.h>

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(5000),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *rx;
	struct zrx_event events[64];
	uint64_t stream;
	int over = 0, failed = 0;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		return perror("port 5000"), 1;
	if (zrx_receiver_open(&rx, NULL, &error) < 0)
		return fprintf(stderr, "%s\n%s\n", error.message, error.hint), 1;
	if (zrx_receiver_add(rx, accept(listener, NULL, NULL), NULL, &stream) < 0)
		return fprintf(stderr, "cannot add the connection\n"), 1;
	while (!over) {
		int count = zrx_receiver_receive(rx, events, 64, -1);

		if (count == -EINTR) /* a signal came, Ctrl-Z and fg perhaps: go on */
			continue;
		if (count < 0)
			return fprintf(stderr, "receive: %s\n", strerror(-count)), 1;
		for (int i = 0; i < count; i++) {
			if (events[i].kind == ZRX_EVENT_DATA)
				fwrite(events[i].buffer.data, 1, events[i].buffer.length, stdout);
			else
				over = 1;
			if (events[i].kind == ZRX_EVENT_ERROR)
				failed = fprintf(stderr, "%s\n", strerror(-events[i].error));
		}
		zrx_event_release(events, (uint32_t)count);
	}
	zrx_receiver_close(rx);
	if (ferror(stdout) || fclose(stdout))
		return perror("output"), 1;
	return failed != 0;
}
