/* SPDX-License-Identifier: MIT */
#include "net.h"
#include "check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

int tcp_listener(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	CHECK(fd >= 0);
	CHECK(!bind(fd, (struct sockaddr *)&address, sizeof(address)));
	CHECK(!listen(fd, 8));
	return fd;
}

void tcp_pair(int pair[2])
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	int listener = tcp_listener(), on = 1;

	CHECK(!getsockname(listener, (struct sockaddr *)&address, &length));
	pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	CHECK(!connect(pair[1], (struct sockaddr *)&address, length));
	CHECK(!setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	pair[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(pair[0] >= 0);
	close(listener);
}

void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

void send_bytes(int fd, const void *bytes, unsigned long count)
{
	while (count) {
		ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);

		CHECK(sent > 0);
		bytes = (const char *)bytes + sent;
		count -= (unsigned long)sent;
	}
}

int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 3; /* ".", ".." and the directory itself */
}
