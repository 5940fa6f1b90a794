/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "netlink/genl.h"

/* A driver may close and reopen its rings within one request. */
#define GENL_TIMEOUT_SECONDS 20

/* Of struct nlmsgerr with NETLINK_EXT_ACK; older headers have them, but not under one roof. */
#define GENL_ERROR_TEXT 1u

struct genl_table {
	const struct nlattr **slots;
	uint16_t highest;
};

static int genl_sort(const struct nlattr *attribute, void *context)
{
	const struct genl_table *table = context;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type <= table->highest)
		table->slots[type] = attribute;
	return MNL_CB_OK;
}

void zrx_genl_attributes(const struct nlmsghdr *message, const struct nlattr **slots,
			 uint16_t highest)
{
	struct genl_table table = {slots, highest};

	memset(slots, 0, sizeof(*slots) * (highest + 1u));
	mnl_attr_parse(message, sizeof(struct genlmsghdr), genl_sort, &table);
}

void zrx_genl_nested(const struct nlattr *nest, const struct nlattr **slots, uint16_t highest)
{
	struct genl_table table = {slots, highest};

	memset(slots, 0, sizeof(*slots) * (highest + 1u));
	mnl_attr_parse_nested(nest, genl_sort, &table);
}

uint64_t zrx_genl_number(const struct nlattr *attribute)
{
	if (!attribute)
		return 0;
	switch (mnl_attr_get_payload_len(attribute)) {
	case 1:
		return mnl_attr_get_u8(attribute);
	case 2:
		return mnl_attr_get_u16(attribute);
	case 4:
		return mnl_attr_get_u32(attribute);
	case 8:
		return mnl_attr_get_u64(attribute);
	default:
		return 0;
	}
}

struct nlmsghdr *zrx_genl_request(struct zrx_genl *genl, uint8_t command, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(genl->buffer);
	struct genlmsghdr *generic;

	request->nlmsg_type = genl->family;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->nlmsg_seq = ++genl->sequence;
	generic = mnl_nlmsg_put_extra_header(request, sizeof(*generic));
	generic->cmd = command;
	generic->version = 1;
	return request;
}

/* The kernel's sentence stands behind its copy of our request (or of its header, when capped). */
static void genl_keep_text(struct zrx_genl *genl, const struct nlmsghdr *message)
{
	const struct nlmsgerr *refusal = mnl_nlmsg_get_payload(message);
	unsigned offset = sizeof(*refusal);
	const struct nlattr *attribute;

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(message->nlmsg_flags & NLM_F_CAPPED))
		offset += mnl_nlmsg_get_payload_len(&refusal->msg);
	mnl_attr_for_each(attribute, message, offset)
	{
		if (mnl_attr_get_type(attribute) == GENL_ERROR_TEXT &&
		    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
			snprintf(genl->kernel_text, sizeof(genl->kernel_text), "%s",
				 mnl_attr_get_str(attribute));
	}
}

struct genl_exchange {
	struct zrx_genl *genl;
	zrx_genl_answer answer;
	void *context;
	int result;
};

/* Returns 1 when the exchange is over. */
static int genl_take(struct genl_exchange *exchange, const struct nlmsghdr *message)
{
	const int32_t *code = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_pid != mnl_socket_get_portid(exchange->genl->socket)) {
		if (exchange->genl->notice)
			exchange->genl->notice(message, exchange->genl->notice_context);
		return 0; /* not to us: to the group */
	}
	if (message->nlmsg_seq != exchange->genl->sequence)
		return 0; /* a late answer to a request that timed out */
	switch (message->nlmsg_type) {
	case NLMSG_DONE:
		if (mnl_nlmsg_get_payload_len(message) >= sizeof(*code))
			exchange->result = *code;
		return 1;
	case NLMSG_ERROR:
		if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nlmsgerr))
			exchange->result = -EPROTO;
		else
			exchange->result = *code;
		if (exchange->result && exchange->result != -EPROTO)
			genl_keep_text(exchange->genl, message);
		return 1;
	default:
		if (exchange->answer)
			exchange->answer(message, exchange->context);
		return 0;
	}
}

int zrx_genl_call(struct zrx_genl *genl, struct nlmsghdr *request, zrx_genl_answer answer,
		  void *context)
{
	struct genl_exchange exchange = {genl, answer, context, 0};
	ssize_t received;
	int left, over = 0;

	genl->kernel_text[0] = '\0';
	if (mnl_socket_sendto(genl->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (!over) {
		const struct nlmsghdr *message = (const void *)genl->buffer;

		received = mnl_socket_recvfrom(genl->socket, genl->buffer, sizeof(genl->buffer));
		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		for (left = (int)received; !over && mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left))
			over = genl_take(&exchange, message);
	}
	return exchange.result;
}

struct genl_family {
	uint16_t id;
	uint32_t group;
};

static uint32_t genl_first_group(const struct nlattr *groups)
{
	const struct nlattr *table[CTRL_ATTR_MCAST_GRP_ID + 1], *group;

	mnl_attr_for_each_nested(group, groups)
	{
		zrx_genl_nested(group, table, CTRL_ATTR_MCAST_GRP_ID);
		return (uint32_t)zrx_genl_number(table[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return 0;
}

static int genl_take_family(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[CTRL_ATTR_MCAST_GROUPS + 1];
	struct genl_family *family = context;

	zrx_genl_attributes(message, table, CTRL_ATTR_MCAST_GROUPS);
	family->id = (uint16_t)zrx_genl_number(table[CTRL_ATTR_FAMILY_ID]);
	if (table[CTRL_ATTR_MCAST_GROUPS])
		family->group = genl_first_group(table[CTRL_ATTR_MCAST_GROUPS]);
	return MNL_CB_OK;
}

int zrx_genl_listen(struct zrx_genl *genl, zrx_genl_answer notice, void *context)
{
	int option = notice ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;

	if (!genl->group)
		return -ENOENT;
	genl->notice = notice;
	genl->notice_context = context;
	return mnl_socket_setsockopt(genl->socket, option, &genl->group, sizeof(genl->group)) < 0
		       ? -errno
		       : 0;
}

int zrx_genl_open(struct zrx_genl *genl, const char *family)
{
	const struct timeval timeout = {.tv_sec = GENL_TIMEOUT_SECONDS};
	struct genl_family found = {0};
	struct nlmsghdr *request;
	int result, one = 1;

	memset(genl, 0, offsetof(struct zrx_genl, buffer));
	genl->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!genl->socket)
		return -errno;
	mnl_socket_setsockopt(genl->socket, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(genl->socket, NETLINK_CAP_ACK, &one, sizeof(one));
	if (setsockopt(mnl_socket_get_fd(genl->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)) ||
	    mnl_socket_bind(genl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		result = -errno;
		zrx_genl_close(genl);
		return result;
	}
	genl->family = GENL_ID_CTRL;
	request = zrx_genl_request(genl, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, family);
	result = zrx_genl_call(genl, request, genl_take_family, &found);
	if (!result && !found.id)
		result = -ENOENT;
	if (result)
		zrx_genl_close(genl);
	genl->family = found.id;
	genl->group = found.group;
	return result;
}

void zrx_genl_close(struct zrx_genl *genl)
{
	if (genl->socket)
		mnl_socket_close(genl->socket);
	genl->socket = NULL;
}
