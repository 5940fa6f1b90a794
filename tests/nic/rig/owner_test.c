/* SPDX-License-Identifier: MIT */
/*
 * What is left behind, and whose it is: a rule that somebody put in the place of ours, a claim in
 * another pid namespace, a program that a signal stops.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic/claim/flow.h"
#include "rig.h"

/* Two ends of a connection on this machine: its rule is set like any other. */
static void connect_here(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!bind(listener, (void *)&address, sizeof(address)) && !listen(listener, 1) &&
		      !getsockname(listener, (void *)&address, &length) &&
		      !connect(ends[0], (void *)&address, sizeof(address)),
	      "loopback: %s", strerror(errno));
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
}

/* The location of the one rule that was not there before. */
static uint32_t new_location(struct zrx_nic_device *device, const struct snapshot *before)
{
	struct zrx_ethtool_rule_table now;
	uint32_t found = UINT32_MAX;

	CHECK(!device->ops->rules(device, &now), "rules");
	for (uint32_t i = 0; i < now.count; i++)
		if (!zrx_ethtool_lists(&before->rules, now.location[i]))
			found = now.location[i];
	CHECK(found != UINT32_MAX, "there is no rule");
	return found;
}

/* Somebody deletes our rule, and sets one of his own there. */
static int replace_rule(struct zrx_nic_device *device, uint32_t location)
{
	struct ethtool_rx_flow_spec rule;
	struct zrx_flow flow;
	struct zrx_ethtool_rule_table table;
	int result;

	CHECK(!device->ops->rules(device, &table), "rules");
	zrx_flow_of_port(4, 4321, &flow);
	zrx_flow_rule(&flow, 1, &rule);
	rule.location = table.any ? RX_CLS_LOC_ANY : location;
	result = device->ops->rule_remove(device, location);
	CHECK(!result, "remove: %s", strerror(-result));
	result = device->ops->rule_add(device, &rule, 0);
	CHECK(!result, "add: %s", strerror(-result));
	CHECK(rule.location == location, "at %u, not %u", rule.location, location);
	return result ? result : rule.location == location ? 0 : -EXDEV;
}

static void check_replaced(struct zrx_nic_device *device, uint32_t location, const char *what)
{
	struct zrx_ethtool_rule_table table;
	int result;

	CHECK(!device->ops->rules(device, &table) && zrx_ethtool_lists(&table, location),
	      "%s: somebody else's rule was removed", what);
	result = device->ops->rule_remove(device, location);
	CHECK(!result, "%s: remove: %s", what, strerror(-result));
}

/* how: 0 the stream is removed, 1 the receiver is closed, 2 its process is killed. */
static void test_replaced(const struct snapshot *before, int how)
{
	static const char *const names[] = {"remove", "close", "kill"};
	struct zrx_options options = rig_options(ZRX_STEER_CONNECTION);
	struct zrx_error error = ZRX_ERROR_INIT;
	int ends[2], told[2];
	struct zrx_nic_device *device;
	uint64_t stream;
	uint32_t queue, location;
	pid_t child;
	char byte;

	CHECK(!zrx_nic_device_open(&device, rig_interface, NULL) && !pipe(told), "open");
	child = fork();
	if (!child) {
		struct zrx_receiver *receiver = rig_open(&options, &queue);

		connect_here(ends);
		if (zrx_receiver_add(receiver, ends[1], NULL, &stream))
			_exit(1);
		location = new_location(device, before);
		if (replace_rule(device, location))
			_exit(2);
		if (how == 0)
			zrx_receiver_remove(receiver, stream);
		if (how == 2 && write(told[1], &location, sizeof(location)) == sizeof(location))
			raise(SIGKILL);
		zrx_receiver_close(receiver);
		_exit(write(told[1], &location, sizeof(location)) != sizeof(location));
	}
	close(told[1]);
	CHECK(read(told[0], &location, sizeof(location)) == sizeof(location), "%s", names[how]);
	CHECK(!read(told[0], &byte, 1), "it goes on");
	waitpid(child, NULL, 0);
	CHECK(zrx_nic_restore(NULL, &error) >= 0, "%s", error.message);
	check_replaced(device, location, names[how]);
	if (!before->settings.ntuple) /* it stayed on for that rule */
		CHECK(!device->ops->feature_set(device, ZRX_NIC_NTUPLE, 0), "ntuple");
	zrx_nic_device_close(device);
	close(told[0]);
	rig_check_as_before(before, names[how]);
}

/* Its number means nothing here; that its lock is held, or not, does. */
static void test_other_namespace(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	int told[2], numbers[2];
	pid_t helper, child = -1;
	uint32_t queue;
	char byte;

	CHECK(!pipe(told) && !pipe(numbers), "pipe");
	helper = fork();
	if (!helper) {
		pid_t inside = unshare(CLONE_NEWPID) ? -1 : fork();

		if (!inside) {
			rig_open(&options, &queue);
			if (write(told[1], "x", 1) == 1)
				pause();
			_exit(1);
		}
		_exit(write(numbers[1], &inside, sizeof(inside)) != sizeof(inside));
	}
	waitpid(helper, NULL, 0);
	close(told[1]);
	CHECK(read(numbers[0], &child, sizeof(child)) == sizeof(child) && child > 0, "unshare");
	CHECK(read(told[0], &byte, 1) == 1, "it did not open");
	CHECK(zrx_nic_restore(NULL, &error) == 0, "it lives: %s", error.message);
	kill(child, SIGKILL);
	while (!kill(child, 0))
		usleep(1000);
	CHECK(zrx_nic_restore(NULL, &error) == 1, "it is dead: %s", error.message);
	rig_check_as_before(before, "killed in another pid namespace");
	close(told[0]);
	close(numbers[0]);
	close(numbers[1]);
}

/* The example beside this program, which listens with a receiver open. Returns its process. */
static pid_t start_example(void)
{
	static const char words[] = "listening on";
	char path[4096] = "", text[256] = "";
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 32);
	size_t done = 0;
	int ends[2];
	pid_t child;

	CHECK(length > 0 && !pipe(ends), "pipe");
	strcpy(strrchr(path, '/'), "/examples/receive");
	child = fork();
	if (!child) {
		dup2(ends[1], STDERR_FILENO);
		execl(path, path, "--listen", "[::]:0", "--discard", "--interface", rig_interface,
		      "--engine", "zcrx", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while (!strstr(text, words) && done < sizeof(text) - 1 &&
	       (length = read(ends[0], text + done, sizeof(text) - 1 - done)) > 0)
		done += (size_t)length;
	CHECK(strstr(text, words), "%s says: %s", path, text);
	close(ends[0]);
	return child;
}

static void test_stopped_by_signal(const struct snapshot *before)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		pid_t child = start_example();
		int status = 0;

		kill(child, signals[i]);
		CHECK(waitpid(child, &status, 0) == child, "wait");
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 128 + signals[i], "%s: status %x",
		      strsignal(signals[i]), status);
		rig_check_as_before(before, strsignal(signals[i]));
	}
}

void test_ownership(const struct snapshot *before)
{
	for (int how = 0; how < 3; how++)
		test_replaced(before, how);
	test_other_namespace(before);
	test_stopped_by_signal(before);
}
