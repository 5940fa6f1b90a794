/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <unistd.h>
#include <net/if.h>
#include <sys/socket.h>

#include "netlink/ethtool.h"
#include "netlink/netdev.h"
#include "nic/traffic.h"
#include "zcrx.h"

#define TRAFFIC_POOLS 256

/* The pool of a zcrx queue that is in use. Returns 0 if there is not exactly one that it can be. */
static uint64_t traffic_pool(const struct zrx_netdev_pool *pools, int count, uint32_t napi_id)
{
	uint64_t found = 0;
	int candidates = 0;

	for (int i = 0; i < count; i++) {
		if (!pools[i].io_uring || pools[i].detached ||
		    (napi_id && pools[i].napi_id && pools[i].napi_id != napi_id))
			continue;
		found = pools[i].id;
		candidates++;
	}
	return candidates == 1 ? found : 0;
}

static uint64_t traffic_chunks(struct zrx_genl *netdev, uint32_t ifindex, uint32_t napi_id)
{
	struct zrx_netdev_pool *pools = calloc(TRAFFIC_POOLS, sizeof(*pools));
	struct zrx_netdev_pool_stats stats;
	uint64_t pool, chunks = ZRX_UNKNOWN;

	if (!pools)
		return ZRX_UNKNOWN;
	pool = traffic_pool(pools, zrx_netdev_pools(netdev, ifindex, pools, TRAFFIC_POOLS),
			    napi_id);
	if (pool && !zrx_netdev_pool_stats(netdev, pool, &stats))
		chunks = stats.alloc_fast;
	free(pools);
	return chunks;
}

static uint64_t traffic_unsplit(uint32_t ifindex, uint32_t queue)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t count, unsplit = ZRX_UNKNOWN;
	char name[IF_NAMESIZE];

	if (fd < 0)
		return ZRX_UNKNOWN;
	if (if_indextoname(ifindex, name) && !zrx_ethtool_unsplit(fd, name, queue, &count))
		unsplit = count;
	close(fd);
	return unsplit;
}

void zrx_nic_traffic_read(struct zrx_nic_traffic *traffic, uint32_t ifindex, uint32_t queue,
			  uint32_t napi_id)
{
	struct zrx_genl *netdev = malloc(sizeof(*netdev));
	struct zrx_netdev_queue_stats stats;

	*traffic = (struct zrx_nic_traffic){ZRX_UNKNOWN, ZRX_UNKNOWN, ZRX_UNKNOWN, ZRX_UNKNOWN,
					    ZRX_UNKNOWN};
	traffic->unsplit = traffic_unsplit(ifindex, queue);
	if (netdev && !zrx_genl_open(netdev, "netdev")) {
		if (!zrx_netdev_queue_stats(netdev, ifindex, queue, &stats)) {
			traffic->packets = stats.packets;
			traffic->bytes = stats.bytes;
			traffic->starved = stats.starved;
		}
		traffic->chunks = traffic_chunks(netdev, ifindex, napi_id);
		zrx_genl_close(netdev);
	}
	free(netdev);
}
