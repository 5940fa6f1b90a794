/* SPDX-License-Identifier: MIT */
/* Ring parameters, header/data split among them, which only netlink can say. */
#include <errno.h>
#include <string.h>
#include <linux/genetlink.h>

#include "netlink/ethtool.h"

/* Family "ethtool" (Documentation/netlink/specs/ethtool.yaml); thresholds came with 6.14. */
#define RINGS_COMMAND_GET 15u
#define RINGS_COMMAND_SET 16u
#define RINGS_NOTICE      17u /* numbered apart from commands */

#define RINGS_HEADER         1u
#define RINGS_RX_MAX         2u
#define RINGS_RX             6u
#define RINGS_RX_JUMBO       8u
#define RINGS_RX_BUF_LEN     10u
#define RINGS_TCP_DATA_SPLIT 11u
#define RINGS_HDS_THRESH     17u

#define RINGS_HEADER_DEV_INDEX 1u

static struct nlmsghdr *rings_request(struct zrx_genl *ethtool, uint8_t command, uint32_t ifindex)
{
	struct nlmsghdr *request = zrx_genl_request(ethtool, command, 0);
	struct nlattr *header = mnl_attr_nest_start(request, RINGS_HEADER);

	mnl_attr_put_u32(request, RINGS_HEADER_DEV_INDEX, ifindex);
	mnl_attr_nest_end(request, header);
	return request;
}

static int rings_take(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[RINGS_HDS_THRESH + 1];
	struct zrx_ethtool_rings *rings = context;

	zrx_genl_attributes(message, table, RINGS_HDS_THRESH);
	rings->rx = (uint32_t)zrx_genl_number(table[RINGS_RX]);
	rings->rx_max = (uint32_t)zrx_genl_number(table[RINGS_RX_MAX]);
	rings->jumbo = (uint32_t)zrx_genl_number(table[RINGS_RX_JUMBO]);
	rings->buf_len = (uint32_t)zrx_genl_number(table[RINGS_RX_BUF_LEN]);
	rings->split = (uint32_t)zrx_genl_number(table[RINGS_TCP_DATA_SPLIT]);
	rings->has_thresh = !!table[RINGS_HDS_THRESH];
	rings->thresh = (uint32_t)zrx_genl_number(table[RINGS_HDS_THRESH]);
	return MNL_CB_OK;
}

int zrx_ethtool_rings(struct zrx_genl *ethtool, uint32_t ifindex, struct zrx_ethtool_rings *rings)
{
	memset(rings, 0, sizeof(*rings));
	return zrx_genl_call(ethtool, rings_request(ethtool, RINGS_COMMAND_GET, ifindex),
			     rings_take, rings);
}

struct rings_notice {
	uint32_t ifindex;
	uint32_t seen;
};

static int rings_notice(const struct nlmsghdr *message, void *context)
{
	const struct genlmsghdr *generic = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[RINGS_HEADER + 1], *header[RINGS_HEADER_DEV_INDEX + 1];
	struct rings_notice *notice = context;

	if (generic->cmd != RINGS_NOTICE)
		return MNL_CB_OK;
	zrx_genl_attributes(message, table, RINGS_HEADER);
	if (!table[RINGS_HEADER])
		return MNL_CB_OK;
	zrx_genl_nested(table[RINGS_HEADER], header, RINGS_HEADER_DEV_INDEX);
	notice->seen |= zrx_genl_number(header[RINGS_HEADER_DEV_INDEX]) == notice->ifindex;
	return MNL_CB_OK;
}

/* The kernel notifies its listeners of a setting that changed before it answers who changed it. */
int zrx_ethtool_split_set(struct zrx_genl *ethtool, uint32_t ifindex, uint32_t split,
			  uint32_t *changed)
{
	struct rings_notice notice = {.ifindex = ifindex};
	int deaf = zrx_genl_listen(ethtool, rings_notice, &notice), result;
	struct nlmsghdr *request = rings_request(ethtool, RINGS_COMMAND_SET, ifindex);

	mnl_attr_put_u8(request, RINGS_TCP_DATA_SPLIT, (uint8_t)split);
	result = zrx_genl_call(ethtool, request, NULL, NULL);
	*changed = deaf || notice.seen;
	zrx_genl_listen(ethtool, NULL, NULL);
	return result;
}

int zrx_ethtool_thresh_set(struct zrx_genl *ethtool, uint32_t ifindex, uint32_t thresh)
{
	struct nlmsghdr *request = rings_request(ethtool, RINGS_COMMAND_SET, ifindex);

	mnl_attr_put_u32(request, RINGS_HDS_THRESH, thresh);
	return zrx_genl_call(ethtool, request, NULL, NULL);
}
