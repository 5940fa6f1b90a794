/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "space.h"

static int raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return result;
}

static int set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int result = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return result;
}

/*
 * As kernels come, but for the ports. What a machine has set otherwise would be measured, too:
 * congestion control that paces its packets by timers costs more than all that a receiver does.
 */
static const struct {
	const char *path;
	const char *text;
} settings[] = {
	{"/proc/sys/net/ipv4/ip_local_port_range", "1024 65535"},
	{"/proc/sys/net/ipv4/tcp_rmem", "4096 131072 6291456"},
	{"/proc/sys/net/ipv4/tcp_wmem", "4096 16384 4194304"},
};

int space_make(void)
{
	int result;

	/* Root keeps its own users, and with them its limits for locked memory. */
	if (unshare(CLONE_NEWNET) && (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNET)))
		return -errno;
	result = raise_loopback();
	for (size_t i = 0; !result && i < sizeof(settings) / sizeof(settings[0]); i++)
		result = set(settings[i].path, settings[i].text);
	return result;
}

int space_socket(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Where it is missing, both sides have to do with what there is. */
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
	return fd < 0 ? -errno : fd;
}

int space_enter(const char *name)
{
	char path[128];
	int fd, result;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	return result;
}
