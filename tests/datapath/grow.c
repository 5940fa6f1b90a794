/* SPDX-License-Identifier: MIT */
/* An area that grows while its queue is bound to it, and a kernel whose areas cannot. */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FACTOR       4u /* so much more than at open */
#define BYTES        (96u << 20)
#define LARGE_MTU    9000
#define LARGE_BUFFER 16384u

static int kernel_can_grow(void)
{
	struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

	CHECK(!zrx_probe(&capabilities), "probe");
	return !!(capabilities.features & ZRX_FEATURE_ADD_AREA);
}

/* Named, the engine is refused; the best one there is comes without growth. */
static void check_cannot(struct zrx_options options)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver;
	struct rx rx;
	int result = zrx_receiver_open(&receiver, &options, &error);

	CHECK(result == -EOPNOTSUPP && strstr(error.message, "area_max_bytes"), "open gives %d: %s",
	      result, error.message);
	options.engine = ZRX_ENGINE_AUTO;
	options.window_bytes = 0; /* which would be larger than the area */
	rx_open(&rx, &options);
	CHECK(rx.info.area_max_bytes == options.area_bytes, "it may grow to %" PRIu64,
	      rx.info.area_max_bytes);
	rx_close(&rx);
}

/* So much is held of one stream, and then given back. */
static void check_can(const struct zrx_options *options, uint64_t held)
{
	struct listener listener;
	struct zrx_stats stats;
	struct flow flow;
	struct rx rx;

	listener_open(&listener, AF_INET6);
	rx_open(&rx, options);
	CHECK(rx.info.area_bytes == options->area_bytes &&
		      rx.info.area_max_bytes == options->area_max_bytes,
	      "from %" PRIu64 " to %" PRIu64, rx.info.area_bytes, rx.info.area_max_bytes);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	rx_start(&rx, &flow);
	rx.hold = 1;
	rx_until(&rx, &flow, held);
	rx.hold = 0;
	stats = rx_stats(&rx);
	CHECK(stats.area_bytes > options->area_bytes && stats.area_bytes <= options->area_max_bytes,
	      "the area has %" PRIu64 " bytes", stats.area_bytes);
	CHECK(stats.held_bytes >= held, "%" PRIu64 " bytes are held", stats.held_bytes);
	rx_release(&rx);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	rx_check_uncopied(&rx);
	rx_close(&rx);
}

static void grow(struct zrx_options options, uint64_t held)
{
	options.area_max_bytes = FACTOR * options.area_bytes;
	if (kernel_can_grow())
		check_can(&options, held);
	else
		check_cannot(options);
}

/* Its window would be less at the size at open. */
void area_grows(void)
{
	struct zrx_options options = rx_options();

	grow(options, options.area_bytes / 2);
}

/* Its window lets a stream hold more than the area has: the NIC finds no chunk. */
void area_grows_dry(void)
{
	struct zrx_options options = rx_options();

	options.window_bytes = options.area_bytes * 3 / 2;
	grow(options, options.area_bytes * 5 / 4);
}

/* Parts have to be contiguous enough for buffers larger than a page. */
void area_grows_large(void)
{
	struct zrx_options options = rx_options();

	nic_set_mtu(LARGE_MTU);
	options.buffer_bytes = LARGE_BUFFER;
	grow(options, options.area_bytes / 2);
	nic_set_mtu(atoi(nic_environment("MTU")));
}
