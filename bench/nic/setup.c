/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <zcrx.h>

#include "setup.h"

static int complain(const char *interface, const struct zrx_error *error)
{
	fprintf(stderr, "%s: %s (%s)\n", interface, error->message, error->hint);
	return 1;
}

int setup_prepare(const char *interface, uint16_t port)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t queue;

	options.interface = interface;
	options.steer = ZRX_STEER_PORT;
	options.steer_port = port;
	if (zrx_nic_apply(&options, &queue, &error))
		return complain(interface, &error);
	printf("%u\n", queue);
	return 0;
}

int setup_restore(const char *interface, uint32_t queue)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	return zrx_nic_undo(interface, queue, &error) < 0 ? complain(interface, &error) : 0;
}
