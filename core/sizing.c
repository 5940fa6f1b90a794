/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "error.h"
#include "nic/demand.h"
#include "options.h"
#include "receiver.h"
#include "sizing.h"

#define SIZING_RING_MOST 32768u

static int sizing_refuse(const struct zrx_options *options, const struct zrx_nic_demand *demand,
			 struct zrx_error *error)
{
	char hint[256];

	snprintf(hint, sizeof(hint),
		 "set area_bytes to %" PRIu64 ", or to 0 for the same (at least %" PRIu64
		 "); or make the rings shorter: ethtool -G %.15s rx N; ZRX_SMALL_AREA opens "
		 "nevertheless",
		 demand->area_bytes, demand->demand_bytes, options->interface);
	return zrx_error_set(error, -ENOBUFS, ZRX_STAGE_AREA, hint,
			     "%.15s: area_bytes %" PRIu64
			     " is below what its queue holds standing: %s",
			     options->interface, options->area_bytes, demand->arithmetic);
}

/* Memory of the caller's has the size that it has. */
static int sizing_is_ours(const struct zrx_options *options)
{
	return options->flags & ZRX_DEFAULT_AREA && options->area_kind != ZRX_AREA_CALLER &&
	       options->area_kind != ZRX_AREA_DMABUF;
}

int zrx_sizing_decide(struct zrx_options *options, const struct zrx_nic_demand *demand,
		      struct zrx_error *error)
{
	uint64_t completions = 2ull * demand->ring_entries;

	if (sizing_is_ours(options)) {
		options->area_bytes = demand->area_bytes;
		if (options->area_max_bytes && options->area_bytes > options->area_max_bytes)
			options->area_bytes = options->area_max_bytes;
	}
	if (options->area_bytes < demand->demand_bytes && !(options->flags & ZRX_SMALL_AREA))
		return sizing_refuse(options, demand, error);
	if (!(options->flags & ZRX_DEFAULT_RING))
		return 0;
	while (options->ring_entries < completions && options->ring_entries < SIZING_RING_MOST)
		options->ring_entries *= 2;
	return 0;
}

int zrx_sizing_apply(struct zrx_options *options, uint64_t *demand_bytes, struct zrx_error *error)
{
	struct zrx_nic_demand demand = {.size = sizeof(demand)};
	struct zrx_nic_device *device;
	int result;

	*demand_bytes = 0;
	if (zrx_nic_device_open(&device, options->interface, NULL))
		return 0;
	result = zrx_demand_read(device, options->buffer_bytes, &demand);
	zrx_nic_device_close(device);
	if (result)
		return 0;
	*demand_bytes = demand.demand_bytes;
	return zrx_sizing_decide(options, &demand, error);
}
