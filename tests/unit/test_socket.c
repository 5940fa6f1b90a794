/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void refused(int fd, int code, const char *word)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	uint64_t cookie;

	CHECK_EQUAL(zrx_socket_check(fd, &cookie, &error), code);
	CHECK_EQUAL(error.code, code);
	CHECK_EQUAL(error.stage, ZRX_STAGE_SOCKET);
	CHECK_SAYS(error.message, word);
	CHECK(error.hint[0]);
	if (fd >= 0)
		close(fd);
}

static void test_refusals(void)
{
	int unix_pair[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair));
	refused(-1, -EBADF, "not open");
	refused(open("/dev/null", O_RDONLY), -ENOTSOCK, "not a socket");
	refused(socket(AF_INET, SOCK_DGRAM, 0), -EPROTONOSUPPORT, "not plain TCP");
	refused(unix_pair[0], -EPROTONOSUPPORT, "not plain TCP");
	refused(socket(AF_INET, SOCK_STREAM, 0), -ENOTCONN, "not connected");
	refused(socket(AF_INET6, SOCK_STREAM, 0), -ENOTCONN, "not connected");
	refused(tcp_listener(), -ENOTCONN, "listens");
	close(unix_pair[1]);
}

/* Two descriptors of one socket are one socket. */
static void test_identity(void)
{
	uint64_t first, second, duplicate;
	int pair[2], copy;

	tcp_pair(pair);
	copy = dup(pair[0]);
	CHECK_EQUAL(zrx_socket_check(pair[0], &first, NULL), 0);
	CHECK_EQUAL(zrx_socket_check(pair[1], &second, NULL), 0);
	CHECK_EQUAL(zrx_socket_check(copy, &duplicate, NULL), 0);
	CHECK(first != second);
	CHECK(first == duplicate);
	close(copy);
	close_pair(pair);
}

/* Whoever has left may have left bytes, and how it ended is for receive to tell. */
static void test_ended_connections_are_taken(void)
{
	struct linger at_once = {1, 0};
	uint64_t cookie;
	int pair[2];

	tcp_pair(pair);
	CHECK(!shutdown(pair[1], SHUT_WR));
	CHECK_EQUAL(zrx_socket_check(pair[0], &cookie, NULL), 0);
	close_pair(pair);
	tcp_pair(pair);
	setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(pair[1]);
	CHECK_EQUAL(zrx_socket_check(pair[0], &cookie, NULL), 0);
	close(pair[0]);
}

int main(void)
{
	test_refusals();
	test_identity();
	test_ended_connections_are_taken();
	return 0;
}
