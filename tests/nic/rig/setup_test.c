/* SPDX-License-Identifier: MIT */
/*
 * NIC set-up on a driver of the running kernel: receivers, ahead-of-time set-up and killed
 * processes, each followed by the question whether the NIC is as it was. Runs in the NIC rig, which
 * names the interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#define BYTES (1u << 20)

int checks_done;
int checks_failed;

static void test_receiver(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_nic_report report = {.size = sizeof(report)};
	uint32_t queue;
	struct zrx_receiver *receiver = rig_open(&options, &queue);

	CHECK(!zrx_nic_inspect(rig_interface, queue, &report, NULL), "inspect");
	CHECK(report.bound == ZRX_NIC_BOUND_IO_URING, "bound %x", report.bound);
	CHECK(report.split == ZRX_NIC_SPLIT_ON && !report.hds_thresh && report.ntuple, "settings");
	CHECK(!report.rss_to_queue && report.rules >= 1, "%u, %u", report.rss_to_queue,
	      report.rules);
	CHECK(!zrx_receiver_close(receiver), "close");
	rig_check_as_before(before, "a receiver");
}

/* In the other port's namespace: accepts one connection and sends. */
static pid_t start_peer(int ready[2])
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(RIG_PORT)};
	static char bytes[65536];
	int listener, fd, one = 1;
	pid_t child = fork();

	if (child)
		return child;
	if (rig_go_to_peer())
		_exit(1);
	listener = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 1) ||
	    write(ready[1], "x", 1) != 1)
		_exit(2);
	fd = accept(listener, NULL, NULL);
	if (read(fd, bytes, 1) != 1) /* the other side is steered by now */
		_exit(3);
	for (size_t sent = 0; sent < BYTES;) {
		ssize_t count = write(fd, bytes, sizeof(bytes));

		if (count < 0)
			_exit(4);
		sent += (size_t)count;
	}
	_exit(0);
}

static int connect_peer(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(RIG_PORT)};
	int ready[2], fd = socket(AF_INET6, SOCK_STREAM, 0);
	char byte;

	CHECK(!pipe(ready), "pipe");
	CHECK(start_peer(ready) > 0, "fork");
	CHECK(read(ready[0], &byte, 1) == 1, "peer");
	close(ready[0]);
	close(ready[1]);
	CHECK(inet_pton(AF_INET6, getenv("ZRX_RIG_PEER"), &address.sin6_addr) == 1, "address");
	CHECK(!connect(fd, (void *)&address, sizeof(address)), "connect: %s", strerror(errno));
	return fd;
}

/* Everything until the end; returns the bytes. */
static uint64_t drain(struct zrx_receiver *receiver, uint64_t *stream_ended)
{
	struct zrx_event events[64];
	uint64_t bytes = 0;

	for (int quiet = 0; quiet < 10;) {
		int count = zrx_receiver_receive(receiver, events, 64, 1000000000);

		CHECK(count >= 0, "receive: %d", count);
		quiet = count > 0 ? 0 : quiet + 1;
		for (int i = 0; i < count; i++) {
			bytes += events[i].kind == ZRX_EVENT_DATA ? events[i].buffer.length : 0;
			CHECK(events[i].kind != ZRX_EVENT_ERROR, "error %d", events[i].error);
			if (events[i].kind != ZRX_EVENT_DATA) {
				*stream_ended = 1;
				return bytes;
			}
		}
		zrx_event_release(events, (uint32_t)(count > 0 ? count : 0));
	}
	return bytes;
}

/* With a receive armed, whoever is refused the queue hears who has it. */
static void check_holder(struct zrx_receiver *receiver, uint32_t queue)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_event event;
	char words[32];

	CHECK(!zrx_receiver_receive(receiver, &event, 1, 0), "nothing yet");
	snprintf(words, sizeof(words), "process %d", getpid());
	CHECK(zrx_nic_explain(rig_interface, queue, EEXIST, 0, &error) == -EEXIST, "explain");
	CHECK_HAS(error.message, words);
}

static void test_connection(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_CONNECTION);
	uint64_t stream, ended = 0, bytes;
	uint32_t queue, napi = 0;
	struct zrx_receiver *receiver = rig_open(&options, &queue);
	struct zrx_nic_report report = {.size = sizeof(report)};
	socklen_t length = sizeof(napi);
	int fd = connect_peer(), status = 1;

	CHECK(!zrx_receiver_add(receiver, fd, NULL, &stream), "add");
	CHECK(!zrx_nic_inspect(rig_interface, queue, &report, NULL), "inspect");
	CHECK(report.rules == before->rules.count + 1, "%u rules", report.rules);
	check_holder(receiver, queue);
	CHECK(write(fd, "x", 1) == 1, "start");
	bytes = drain(receiver, &ended);
	CHECK(bytes == BYTES && ended, "%llu bytes", (unsigned long long)bytes);
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &length), "napi");
	CHECK(napi == report.napi_id, "it came by napi %u, not %u", napi, report.napi_id);
	CHECK(wait(&status) > 0 && !status, "peer: %x", status);
	CHECK(!zrx_nic_inspect(rig_interface, queue, &report, NULL), "inspect");
	CHECK(report.rules == before->rules.count, "%u rules after the end", report.rules);
	close(fd);
	CHECK(!zrx_receiver_close(receiver), "close");
	rig_check_as_before(before, "a steered connection");
}

/* All reads well but split is on by the driver's choice only: the kernel refuses, and we know why.
 */
static void test_unset_split(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_NONE);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver = NULL;
	struct zrx_nic_device *device;

	if (before->settings.split != ZRX_SPLIT_ON)
		return;
	CHECK(!zrx_nic_device_open(&device, rig_interface, NULL), "open");
	CHECK(!device->ops->thresh_set(device, 0), "%s", device->kernel_text);
	options.nic_mode = ZRX_NIC_PREPARED;
	CHECK(zrx_receiver_open(&receiver, &options, &error) == -EINVAL, "%s", error.message);
	CHECK_HAS(error.message, "driver's own choice");
	CHECK(!device->ops->thresh_set(device, before->settings.thresh), "%s", device->kernel_text);
	zrx_nic_device_close(device);
	rig_check_as_before(before, "split that was not set");
}

static void test_refusals(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver = NULL;

	options.flags = ZRX_QUEUE;
	options.queue = 99;
	CHECK(zrx_receiver_open(&receiver, &options, &error) == -ERANGE, "%s", error.message);
	CHECK_HAS(error.message, "no queue 99");
	options.flags = 0;
	options.queue = 0;
	options.nic_mode = ZRX_NIC_PREPARED;
	options.steer = options.steer_port = 0;
	CHECK(zrx_receiver_open(&receiver, &options, &error) == -EOPNOTSUPP, "%s", error.message);
	CHECK_HAS(error.message, "not prepared");
	CHECK_HAS(error.hint, "ethtool -G");
	rig_check_as_before(before, "refusals");
	test_unset_split(before);
}

static void test_ahead_of_time(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_nic_step steps[ZRX_NIC_STEPS];
	struct zrx_receiver *receiver, *second = NULL;
	uint32_t queue, planned;

	CHECK(zrx_nic_plan(&options, steps, ZRX_NIC_STEPS, &planned, &error) >= 2, "%s",
	      error.message);
	rig_check_as_before(before, "a plan");
	CHECK(!zrx_nic_apply(&options, &queue, &error), "%s", error.message);
	CHECK(queue == planned, "queue %u, planned %u", queue, planned);
	CHECK(!zrx_nic_restore(NULL, &error), "what lives is not restored: %s", error.message);
	options.nic_mode = ZRX_NIC_PREPARED;
	options.flags = ZRX_QUEUE;
	options.queue = queue;
	options.steer = options.steer_port = 0;
	receiver = rig_open(&options, &queue);
	CHECK(zrx_receiver_open(&second, &options, &error) == -EEXIST, "%s", error.message);
	CHECK(zrx_nic_undo(rig_interface, queue, &error) == -EBUSY, "%s", error.message);
	CHECK(!zrx_receiver_close(receiver), "close");
	CHECK(zrx_nic_undo(rig_interface, ZRX_NIC_FREE_QUEUE, &error) == 1, "%s", error.message);
	rig_check_as_before(before, "set up ahead of time");
}

static void test_killed(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct snapshot now;
	uint32_t queue;
	pid_t child = fork();

	if (!child) {
		rig_open(&options, &queue);
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
	rig_look(&now);
	CHECK(now.rules.count > before->rules.count, "the killed one had set nothing up");
	CHECK(zrx_nic_restore(NULL, &error) == 1, "%s", error.message);
	rig_check_as_before(before, "a killed process");

	child = fork();
	if (!child) {
		rig_open(&options, &queue);
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
	CHECK(!zrx_receiver_close(rig_open(&options, &queue)), "the next receiver restores, too");
	rig_check_as_before(before, "a killed process and the next");
}

/* Killed while it is setting up, wherever it has got to. */
static void test_killed_on_the_way(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t queue;

	for (unsigned delay_ms = 50; delay_ms <= 1200; delay_ms += 230) {
		pid_t child = fork();

		if (!child) {
			rig_open(&options, &queue);
			pause();
		}
		usleep(delay_ms * 1000);
		rig_kill(child);
		CHECK(zrx_nic_restore(NULL, &error) >= 0, "after %u ms: %s", delay_ms,
		      error.message);
		rig_check_as_before(before, "killed on the way");
	}
}

/* Split was set by an administrator: that must survive, though it reads as the driver's choice. */
static void test_set_by_hand(void)
{
	struct zrx_options options = rig_options(ZRX_STEER_NONE);
	struct zrx_nic_device *device;
	struct snapshot before;
	uint32_t changed = 0, queue;

	CHECK(!zrx_nic_device_open(&device, rig_interface, NULL), "open");
	CHECK(!device->ops->split_set(device, ZRX_SPLIT_ON, &changed), "%s", device->kernel_text);
	CHECK(changed, "the driver's choice is not the same as being set");
	CHECK(!device->ops->split_set(device, ZRX_SPLIT_ON, &changed) && !changed, "set twice");
	rig_look(&before);
	CHECK(!zrx_receiver_close(rig_open(&options, &queue)), "close");
	rig_check_as_before(&before, "set by hand");
	CHECK(!device->ops->split_set(device, ZRX_SPLIT_ON, &changed) && !changed,
	      "a receiver came and went, and split is no longer set");
	device->ops->split_set(device, ZRX_SPLIT_UNKNOWN, &changed);
	zrx_nic_device_close(device);
}

static void test_together(const struct snapshot *before)
{
	struct zrx_options first = rig_options(ZRX_STEER_PORT),
			   second = rig_options(ZRX_STEER_NONE);
	struct zrx_nic_report report = {.size = sizeof(report)};
	struct zrx_receiver *one, *two;
	uint32_t a, b;

	CHECK(!zrx_nic_inspect(rig_interface, ZRX_NIC_FREE_QUEUE, &report, NULL), "inspect");
	if (report.queue_count < 4) {
		printf("two receivers at once: this NIC has only %u queues\n", report.queue_count);
		return;
	}
	for (int order = 0; order < 2; order++) {
		one = rig_open(&first, &a);
		two = rig_open(&second, &b);
		CHECK(a != b, "both on queue %u", a);
		CHECK(!zrx_receiver_close(order ? two : one), "close");
		CHECK(!zrx_nic_inspect(rig_interface, order ? a : b, &report, NULL), "inspect");
		CHECK(report.split == ZRX_NIC_SPLIT_ON && report.bound && !report.rss_to_queue,
		      "the other is disturbed");
		CHECK(!zrx_receiver_close(order ? one : two), "close");
		rig_check_as_before(before, "two receivers");
	}
}

int main(void)
{
	struct snapshot before;

	rig_interface = getenv("ZRX_RIG_IFACE");
	if (!rig_interface) {
		fprintf(stderr, "run it in the NIC rig, which sets ZRX_RIG_IFACE\n");
		return 1;
	}
	alarm(800);
	setbuf(stdout, NULL);
	rig_look(&before);
	test_receiver(&before);
	test_connection(&before);
	test_refusals(&before);
	test_ahead_of_time(&before);
	test_killed(&before);
	test_killed_on_the_way(&before);
	test_together(&before);
	test_ports(&before);
	test_ownership(&before);
	test_full_table(&before);
	test_bad_input(&before);
	test_set_by_hand();
	test_vanishing_interface();
	printf("%s: %d checks, %d failed\n", rig_interface, checks_done, checks_failed);
	return checks_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
