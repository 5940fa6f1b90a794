/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#define RIG_CONTEXTS 8 /* that are looked for */

const char *rig_interface;

void rig_look(struct snapshot *at)
{
	struct zrx_nic_device *device = NULL;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_ethtool_rss rss;

	memset(at, 0, sizeof(*at));
	CHECK(!zrx_nic_device_open(&device, rig_interface, &error), "%s", error.message);
	CHECK(!zrx_nic_settings_read(device, &at->settings, &error), "%s", error.message);
	device->ops->rules(device, &at->rules);
	for (uint32_t context = 1; context <= RIG_CONTEXTS; context++)
		at->contexts += !device->ops->context(device, context, &rss);
	zrx_nic_device_close(device);
}

void rig_check_as_before(const struct snapshot *before, const char *what)
{
	struct snapshot now;

	rig_look(&now);
	CHECK(now.settings.split == before->settings.split, "%s: split %u", what,
	      now.settings.split);
	CHECK(now.settings.thresh == before->settings.thresh, "%s: thresh %u", what,
	      now.settings.thresh);
	CHECK(now.settings.ntuple == before->settings.ntuple, "%s: ntuple", what);
	CHECK(zrx_rss_equal(&now.settings.rss, &before->settings.rss), "%s: RSS", what);
	CHECK(now.contexts == before->contexts, "%s: %u contexts", what, now.contexts);
	CHECK(now.rules.count == before->rules.count, "%s: %u rules", what, now.rules.count);
}

struct zrx_options rig_options(uint32_t steer)
{
	struct zrx_options options = {
		.size = sizeof(options),
		.engine = ZRX_ENGINE_ZCRX,
		.interface = rig_interface,
		.area_bytes = 32 << 20,
		.steer = steer,
		.steer_port = steer == ZRX_STEER_PORT ? RIG_PORT : 0,
	};

	return options;
}

struct zrx_receiver *rig_open(const struct zrx_options *options, uint32_t *queue)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	struct zrx_receiver *receiver = NULL;

	CHECK(!zrx_receiver_open(&receiver, options, &error), "%s (%s)", error.message, error.hint);
	if (!receiver)
		exit(1);
	CHECK(!zrx_receiver_info(receiver, &info), "info");
	*queue = info.queue;
	return receiver;
}

void rig_kill(int child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int rig_go_to_peer(void)
{
	int space = open("/run/netns/peer", O_RDONLY | O_CLOEXEC), result;

	if (space < 0)
		return -1;
	result = setns(space, CLONE_NEWNET);
	close(space);
	return result;
}
