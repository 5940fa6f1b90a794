/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"
#include "socket.h"
#include "sys.h"

static int number_option(int fd, int level, int name, int *value)
{
	uint32_t length = sizeof(*value);

	return zrx_sys_socket_option(fd, level, name, value, &length);
}

static int check_protocol(int fd, struct zrx_error *error)
{
	char protocol_name[16] = "";
	uint32_t length = sizeof(protocol_name) - 1;
	int protocol = 0;
	int result = number_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);

	if (result == -EBADF || result == -ENOTSOCK)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET,
				     "pass the descriptor of a connected TCP socket",
				     "descriptor %d is %s", fd,
				     result == -EBADF ? "not open" : "not a socket");
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET, NULL,
				     "cannot examine descriptor %d", fd);
	if (protocol != IPPROTO_TCP)
		return zrx_error_set(
			error, -EPROTONOSUPPORT, ZRX_STAGE_SOCKET,
			"only plain TCP can be received: open the socket with IPPROTO_TCP",
			"descriptor %d is not plain TCP (protocol %d)", fd, protocol);
	if (!zrx_sys_socket_option(fd, IPPROTO_TCP, TCP_ULP, protocol_name, &length) &&
	    !strcmp(protocol_name, "tls"))
		return zrx_error_set(
			error, -EPROTONOSUPPORT, ZRX_STAGE_SOCKET,
			"do TLS in user space over the buffers, or read this socket by recv",
			"descriptor %d has TLS in the kernel", fd);
	return 0;
}

/* A stream may be added until its last byte is read: also after the peer has closed its side. */
static int check_state(int fd, struct zrx_error *error)
{
	struct tcp_info info;
	uint32_t length = sizeof(info);
	int result;

	memset(&info, 0, sizeof(info));
	result = zrx_sys_socket_option(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET, NULL,
				     "cannot read the state of descriptor %d", fd);
	switch (info.tcpi_state) {
	case TCP_LISTEN:
		return zrx_error_set(error, -ENOTCONN, ZRX_STAGE_SOCKET,
				     "add what accept() returns", "descriptor %d listens", fd);
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return zrx_error_set(error, -ENOTCONN, ZRX_STAGE_SOCKET,
				     "wait until connect() is done",
				     "descriptor %d is still connecting", fd);
	case TCP_CLOSE:
		/*
		 * A reset connection is closed too, but has an error or an end to report: receiving
		 * tells.
		 */
		if (info.tcpi_advmss)
			return 0;
		return zrx_error_set(error, -ENOTCONN, ZRX_STAGE_SOCKET, "connect or accept first",
				     "descriptor %d is not connected", fd);
	default:
		return 0;
	}
}

int zrx_socket_check(int fd, uint64_t *cookie, struct zrx_error *error)
{
	uint32_t length = sizeof(*cookie);
	int result = check_protocol(fd, error);

	if (!result)
		result = check_state(fd, error);
	if (result)
		return result;
	result = zrx_sys_socket_option(fd, SOL_SOCKET, SO_COOKIE, cookie, &length);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET, NULL,
				     "cannot identify descriptor %d", fd);
	return 0;
}

int zrx_socket_check_listens(int fd, struct zrx_error *error)
{
	int listens = 0, result = check_protocol(fd, error);

	if (result)
		return result;
	result = number_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_SOCKET, NULL,
				     "cannot examine descriptor %d", fd);
	if (listens)
		return 0;
	return zrx_error_set(error, -EINVAL, ZRX_STAGE_SOCKET, "call listen() on it first",
			     "descriptor %d does not listen", fd);
}
