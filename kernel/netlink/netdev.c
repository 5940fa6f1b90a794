/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "netlink/netdev.h"

/* Commands and attributes of the family "netdev" (Documentation/netlink/specs/netdev.yaml). */
#define NETDEV_COMMAND_PAGE_POOL_GET       5u
#define NETDEV_COMMAND_PAGE_POOL_STATS_GET 9u
#define NETDEV_COMMAND_QUEUE_GET           10u
#define NETDEV_COMMAND_NAPI_GET            11u
#define NETDEV_COMMAND_QSTATS_GET          12u

#define NETDEV_QUEUE_ID       1u
#define NETDEV_QUEUE_IFINDEX  2u
#define NETDEV_QUEUE_TYPE     3u
#define NETDEV_QUEUE_NAPI_ID  4u
#define NETDEV_QUEUE_DMABUF   5u
#define NETDEV_QUEUE_IO_URING 6u
#define NETDEV_QUEUE_XSK      7u
#define NETDEV_QUEUE_LEASE    8u
#define NETDEV_QUEUE_IS_RX    0u

#define NETDEV_IO_URING_RX_BUF_LEN 1u

#define NETDEV_NAPI_ID  2u
#define NETDEV_NAPI_IRQ 3u

#define NETDEV_POOL_ID           1u
#define NETDEV_POOL_IFINDEX      2u
#define NETDEV_POOL_NAPI_ID      3u
#define NETDEV_POOL_INFLIGHT     4u
#define NETDEV_POOL_INFLIGHT_MEM 5u
#define NETDEV_POOL_DETACH_TIME  6u
#define NETDEV_POOL_IO_URING     8u

#define NETDEV_QSTATS_IFINDEX     1u
#define NETDEV_QSTATS_QUEUE_TYPE  2u
#define NETDEV_QSTATS_QUEUE_ID    3u
#define NETDEV_QSTATS_SCOPE       4u
#define NETDEV_QSTATS_RX_PACKETS  8u
#define NETDEV_QSTATS_RX_BYTES    9u
#define NETDEV_QSTATS_ALLOC_FAIL  12u
#define NETDEV_QSTATS_OVERRUNS    14u /* dropped by the device, for want of buffers */
#define NETDEV_QSTATS_SCOPE_QUEUE 1u

#define NETDEV_STATS_INFO           1u
#define NETDEV_STATS_ALLOC_FAST     8u
#define NETDEV_STATS_ALLOC_SLOW     9u
#define NETDEV_STATS_ALLOC_EMPTY    11u
#define NETDEV_STATS_ALLOC_REFILL   12u
#define NETDEV_STATS_RECYCLE_CACHED 14u
#define NETDEV_STATS_RECYCLE_RING   16u

struct netdev_list {
	void *found;
	uint32_t capacity;
	uint32_t count;
	uint32_t ifindex;
};

static uint32_t netdev_rx_buf_len(const struct nlattr *nest)
{
	const struct nlattr *table[NETDEV_IO_URING_RX_BUF_LEN + 1];

	zrx_genl_nested(nest, table, NETDEV_IO_URING_RX_BUF_LEN);
	return (uint32_t)zrx_genl_number(table[NETDEV_IO_URING_RX_BUF_LEN]);
}

static int netdev_take_queue(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[NETDEV_QUEUE_LEASE + 1];
	struct netdev_list *list = context;
	struct zrx_netdev_queue *queue;

	zrx_genl_attributes(message, table, NETDEV_QUEUE_LEASE);
	if (zrx_genl_number(table[NETDEV_QUEUE_TYPE]) != NETDEV_QUEUE_IS_RX ||
	    zrx_genl_number(table[NETDEV_QUEUE_IFINDEX]) != list->ifindex ||
	    list->count == list->capacity)
		return MNL_CB_OK;
	queue = (struct zrx_netdev_queue *)list->found + list->count++;
	memset(queue, 0, sizeof(*queue));
	queue->id = (uint32_t)zrx_genl_number(table[NETDEV_QUEUE_ID]);
	queue->napi_id = (uint32_t)zrx_genl_number(table[NETDEV_QUEUE_NAPI_ID]);
	if (table[NETDEV_QUEUE_IO_URING]) {
		queue->bound |= ZRX_BOUND_IO_URING;
		queue->rx_buf_len = netdev_rx_buf_len(table[NETDEV_QUEUE_IO_URING]);
	}
	if (table[NETDEV_QUEUE_DMABUF]) {
		queue->bound |= ZRX_BOUND_DMABUF;
		queue->dmabuf = (uint32_t)zrx_genl_number(table[NETDEV_QUEUE_DMABUF]);
	}
	if (table[NETDEV_QUEUE_XSK])
		queue->bound |= ZRX_BOUND_XSK;
	if (table[NETDEV_QUEUE_LEASE])
		queue->bound |= ZRX_BOUND_LEASE;
	return MNL_CB_OK;
}

int zrx_netdev_queue_get(struct zrx_genl *netdev, uint32_t ifindex, uint32_t queue,
			 struct zrx_netdev_queue *found)
{
	struct netdev_list list = {found, 1, 0, ifindex};
	struct nlmsghdr *request = zrx_genl_request(netdev, NETDEV_COMMAND_QUEUE_GET, 0);
	int result;

	mnl_attr_put_u32(request, NETDEV_QUEUE_IFINDEX, ifindex);
	mnl_attr_put_u32(request, NETDEV_QUEUE_TYPE, NETDEV_QUEUE_IS_RX);
	mnl_attr_put_u32(request, NETDEV_QUEUE_ID, queue);
	result = zrx_genl_call(netdev, request, netdev_take_queue, &list);
	return result ? result : list.count ? 0 : -ENOENT;
}

int zrx_netdev_queues(struct zrx_genl *netdev, uint32_t ifindex, struct zrx_netdev_queue *found,
		      uint32_t capacity)
{
	struct netdev_list list = {found, capacity, 0, ifindex};
	struct nlmsghdr *request = zrx_genl_request(netdev, NETDEV_COMMAND_QUEUE_GET, NLM_F_DUMP);
	int result;

	mnl_attr_put_u32(request, NETDEV_QUEUE_IFINDEX, ifindex);
	result = zrx_genl_call(netdev, request, netdev_take_queue, &list);
	return result ? result : (int)list.count;
}

static int netdev_take_irq(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[NETDEV_NAPI_IRQ + 1];

	zrx_genl_attributes(message, table, NETDEV_NAPI_IRQ);
	*(uint32_t *)context = (uint32_t)zrx_genl_number(table[NETDEV_NAPI_IRQ]);
	return MNL_CB_OK;
}

int zrx_netdev_napi_irq(struct zrx_genl *netdev, uint32_t napi_id, uint32_t *irq)
{
	struct nlmsghdr *request = zrx_genl_request(netdev, NETDEV_COMMAND_NAPI_GET, 0);

	*irq = 0;
	mnl_attr_put_u32(request, NETDEV_NAPI_ID, napi_id);
	return zrx_genl_call(netdev, request, netdev_take_irq, irq);
}

static int netdev_take_pool(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[NETDEV_POOL_IO_URING + 1];
	struct netdev_list *list = context;
	struct zrx_netdev_pool *pool;

	zrx_genl_attributes(message, table, NETDEV_POOL_IO_URING);
	if (zrx_genl_number(table[NETDEV_POOL_IFINDEX]) != list->ifindex ||
	    list->count == list->capacity)
		return MNL_CB_OK;
	pool = (struct zrx_netdev_pool *)list->found + list->count++;
	pool->id = zrx_genl_number(table[NETDEV_POOL_ID]);
	pool->napi_id = zrx_genl_number(table[NETDEV_POOL_NAPI_ID]);
	pool->inflight = zrx_genl_number(table[NETDEV_POOL_INFLIGHT]);
	pool->inflight_bytes = zrx_genl_number(table[NETDEV_POOL_INFLIGHT_MEM]);
	pool->io_uring = !!table[NETDEV_POOL_IO_URING];
	pool->detached = !!table[NETDEV_POOL_DETACH_TIME];
	return MNL_CB_OK;
}

int zrx_netdev_pools(struct zrx_genl *netdev, uint32_t ifindex, struct zrx_netdev_pool *found,
		     uint32_t capacity)
{
	struct netdev_list list = {found, capacity, 0, ifindex};
	struct nlmsghdr *request =
		zrx_genl_request(netdev, NETDEV_COMMAND_PAGE_POOL_GET, NLM_F_DUMP);
	int result = zrx_genl_call(netdev, request, netdev_take_pool, &list);

	return result ? result : (int)list.count;
}

static int netdev_take_stats(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[NETDEV_STATS_RECYCLE_RING + 1];
	struct zrx_netdev_pool_stats *stats = context;

	zrx_genl_attributes(message, table, NETDEV_STATS_RECYCLE_RING);
	stats->alloc_fast = zrx_genl_number(table[NETDEV_STATS_ALLOC_FAST]);
	stats->alloc_slow = zrx_genl_number(table[NETDEV_STATS_ALLOC_SLOW]);
	stats->alloc_empty = zrx_genl_number(table[NETDEV_STATS_ALLOC_EMPTY]);
	stats->alloc_refill = zrx_genl_number(table[NETDEV_STATS_ALLOC_REFILL]);
	stats->recycle_cached = zrx_genl_number(table[NETDEV_STATS_RECYCLE_CACHED]);
	stats->recycle_ring = zrx_genl_number(table[NETDEV_STATS_RECYCLE_RING]);
	return MNL_CB_OK;
}

int zrx_netdev_pool_stats(struct zrx_genl *netdev, uint64_t pool,
			  struct zrx_netdev_pool_stats *stats)
{
	struct nlmsghdr *request = zrx_genl_request(netdev, NETDEV_COMMAND_PAGE_POOL_STATS_GET, 0);
	struct nlattr *nest = mnl_attr_nest_start(request, NETDEV_STATS_INFO);

	mnl_attr_put_u32(request, NETDEV_POOL_ID, (uint32_t)pool);
	mnl_attr_nest_end(request, nest);
	memset(stats, 0, sizeof(*stats));
	return zrx_genl_call(netdev, request, netdev_take_stats, stats);
}

struct netdev_queue_count {
	struct zrx_netdev_queue_stats *stats;
	uint32_t queue;
	int found;
};

static int netdev_take_queue_stats(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *table[NETDEV_QSTATS_OVERRUNS + 1];
	struct netdev_queue_count *count = context;

	zrx_genl_attributes(message, table, NETDEV_QSTATS_OVERRUNS);
	if (!table[NETDEV_QSTATS_RX_BYTES] ||
	    zrx_genl_number(table[NETDEV_QSTATS_QUEUE_TYPE]) != NETDEV_QUEUE_IS_RX ||
	    zrx_genl_number(table[NETDEV_QSTATS_QUEUE_ID]) != count->queue)
		return MNL_CB_OK;
	count->stats->packets = zrx_genl_number(table[NETDEV_QSTATS_RX_PACKETS]);
	count->stats->bytes = zrx_genl_number(table[NETDEV_QSTATS_RX_BYTES]);
	count->stats->starved = table[NETDEV_QSTATS_ALLOC_FAIL] || table[NETDEV_QSTATS_OVERRUNS]
					? zrx_genl_number(table[NETDEV_QSTATS_ALLOC_FAIL]) +
						  zrx_genl_number(table[NETDEV_QSTATS_OVERRUNS])
					: UINT64_MAX;
	count->found = 1;
	return MNL_CB_OK;
}

int zrx_netdev_queue_stats(struct zrx_genl *netdev, uint32_t ifindex, uint32_t queue,
			   struct zrx_netdev_queue_stats *stats)
{
	struct nlmsghdr *request = zrx_genl_request(netdev, NETDEV_COMMAND_QSTATS_GET, NLM_F_DUMP);
	struct netdev_queue_count count = {.stats = stats, .queue = queue};
	int result;

	mnl_attr_put_u32(request, NETDEV_QSTATS_IFINDEX, ifindex);
	mnl_attr_put_u32(request, NETDEV_QSTATS_SCOPE, NETDEV_QSTATS_SCOPE_QUEUE);
	result = zrx_genl_call(netdev, request, netdev_take_queue_stats, &count);
	return result ? result : count.found ? 0 : -EOPNOTSUPP;
}
