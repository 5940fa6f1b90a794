/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "netlink/link.h"

#define LINK_ANSWER_BYTES 32768 /* an interface with many virtual functions fills half of it */

static int link_take_attribute(const struct nlattr *attribute, void *context)
{
	uint32_t *attached = context;

	if (mnl_attr_get_type(attribute) == IFLA_XDP_ATTACHED &&
	    mnl_attr_validate(attribute, MNL_TYPE_U8) >= 0)
		*attached = mnl_attr_get_u8(attribute) != XDP_ATTACHED_NONE;
	return MNL_CB_OK;
}

static int link_take(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attribute) == IFLA_XDP)
			mnl_attr_parse_nested(attribute, link_take_attribute, context);
	}
	return MNL_CB_STOP;
}

static int link_ask(struct mnl_socket *socket, uint32_t ifindex, uint32_t *attached)
{
	_Alignas(8) char buffer[LINK_ANSWER_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	ssize_t length;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST;
	request->nlmsg_seq = 1;
	link->ifi_index = (int)ifindex;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (length < 0)
		return -errno;
	return mnl_cb_run(buffer, (size_t)length, 1, mnl_socket_get_portid(socket), link_take,
			  attached) < 0
		       ? -errno
		       : 0;
}

int zrx_link_xdp(uint32_t ifindex, uint32_t *attached)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int result;

	*attached = 0;
	if (!socket)
		return -errno;
	result = link_ask(socket, ifindex, attached);
	mnl_socket_close(socket);
	return result;
}

int zrx_link_mtu(int socket, const char *name, uint32_t *mtu)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(socket, SIOCGIFMTU, &request))
		return -errno;
	*mtu = request.ifr_mtu > 0 ? (uint32_t)request.ifr_mtu : 0;
	return 0;
}
