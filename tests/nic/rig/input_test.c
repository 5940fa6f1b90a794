/* SPDX-License-Identifier: MIT */
/* What cannot be set up on a driver of the running kernel: refused with a reason, nothing changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/sockios.h>

#include "rig.h"

#define NOBODY 65534

static void check_apply(const struct zrx_options *options, int code, const char *words)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t queue;

	CHECK(zrx_nic_apply(options, &queue, &error) == code, "%d, not %d: %s", error.code, code,
	      error.message);
	CHECK_HAS(error.message, words);
	CHECK(error.hint[0], "no hint: %s", error.message);
}

/* Whoever has no rights is told so, and may see the plan nevertheless. */
static void test_no_rights(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_nic_step steps[ZRX_NIC_STEPS];
	struct zrx_error error = ZRX_ERROR_INIT;
	int status = 1, failed = checks_failed;
	uint32_t queue;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(2);
		check_apply(&options, -EACCES, "Permission denied");
		CHECK(zrx_nic_plan(&options, steps, ZRX_NIC_STEPS, &queue, &error) >= 2, "%s",
		      error.message);
		_exit(checks_failed > failed);
	}
	CHECK(waitpid(child, &status, 0) == child && !status, "without rights: %x", status);
	rig_check_as_before(before, "without rights");
}

static void test_taken(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	uint32_t queue;
	struct zrx_receiver *receiver = rig_open(&options, &queue);

	options.flags = ZRX_QUEUE;
	options.queue = queue;
	check_apply(&options, -EEXIST, "claimed by this process");
	CHECK(!zrx_receiver_close(receiver), "close");
	rig_check_as_before(before, "a queue that is taken");
}

static int channels(uint32_t command, struct ethtool_channels *counts)
{
	struct ifreq request = {.ifr_data = (void *)counts};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), result;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", rig_interface);
	counts->cmd = command;
	result = ioctl(fd, SIOCETHTOOL, &request);
	close(fd);
	return result;
}

static void test_one_queue(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct ethtool_channels counts = {0}, one;

	CHECK(!channels(ETHTOOL_GCHANNELS, &counts), "%s", strerror(errno));
	one = counts;
	one.combined_count = counts.combined_count ? 1 : 0;
	one.rx_count = counts.rx_count ? 1 : 0;
	one.tx_count = counts.tx_count ? 1 : 0;
	CHECK(!channels(ETHTOOL_SCHANNELS, &one), "%s", strerror(errno));
	check_apply(&options, -EBUSY, "queue");
	CHECK(!channels(ETHTOOL_SCHANNELS, &counts), "%s", strerror(errno));
	rig_check_as_before(before, "one queue");
}

/* The driver lets the card go. Nothing is left to be undone, and what is written is forgotten. */
static void unbind(void)
{
	char link[PATH_MAX], device[PATH_MAX], file[PATH_MAX];
	int fd, length;

	snprintf(link, sizeof(link), "/sys/class/net/%s/device", rig_interface);
	CHECK(realpath(link, device), "%s", link);
	snprintf(file, sizeof(file), "%.4000s/driver/unbind", device);
	fd = open(file, O_WRONLY);
	length = (int)strlen(basename(device));
	CHECK(write(fd, basename(device), (size_t)length) == length, "%s: %s", file,
	      strerror(errno));
	close(fd);
}

/* The group is of no use any more, and says no worse than that nothing comes. */
static void check_gone(struct zrx_group *group)
{
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;
	struct zrx_event event;

	for (uint32_t i = 0; i < zrx_group_count(group); i++)
		CHECK(!zrx_receiver_receive(zrx_group_receiver(group, i), &event, 1, 10000000),
		      "receive");
	CHECK(!zrx_group_stats(group, &stats) && stats.receiver_count == 2, "stats");
}

void test_vanishing_interface(void)
{
	struct zrx_group_options group_options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_group *group;
	uint32_t queue;

	group_options.count = 2;
	group_options.receiver = &options;
	CHECK(!zrx_group_open(&group, &group_options, &error), "%s (%s)", error.message,
	      error.hint);
	options.steer = options.steer_port = 0;
	CHECK(!zrx_nic_apply(&options, &queue, &error), "%s", error.message);
	unbind();
	check_gone(group);
	CHECK(!zrx_group_close(group), "close");
	CHECK(zrx_nic_undo(rig_interface, queue, &error) == -ENODEV, "%s", error.message);
	CHECK_HAS(error.message, "no interface");
	check_apply(&options, -ENODEV, "no interface");
	CHECK(zrx_nic_restore(NULL, &error) >= 1, "%s", error.message);
	CHECK(zrx_nic_restore(NULL, &error) == 0, "it was not forgotten");
}

void test_bad_input(const struct snapshot *before)
{
	test_no_rights(before);
	test_taken(before);
	test_one_queue(before);
}
