/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_for(pid_t child)
{
	int status;

	CHECK(child > 0);
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK_EQUAL(status, 0);
}

/* The child reads what it inherited; whatever else it does, the parent does not notice. */
static void test_child_does_no_harm(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;
	pid_t child;
	int fd;

	rig_open(&rig, engine, NULL);
	event = rig_message(&rig, "inherited");
	fd = zrx_receiver_fd(rig.receiver);
	child = fork();
	if (child == 0) {
		CHECK(!memcmp(event.buffer.data, "inherited", 9));
		CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
		CHECK_EQUAL(zrx_event_release(&event, 1), 0);
		CHECK_EQUAL(zrx_event_release(&event, 1), 0);
		CHECK_EQUAL(zrx_receiver_wake(rig.receiver), 0);
		CHECK_EQUAL(zrx_receiver_close(rig.receiver), 0);
		_exit(0);
	}
	wait_for(child);
	CHECK(fcntl(fd, F_GETFD) >= 0);
	CHECK_EQUAL(rig_stats(&rig).outstanding, 1);
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	event = rig_message(&rig, "the parent goes on");
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

/* Nor does a child that lives longer keep anything: the peer sees the end. */
static void test_child_keeps_nothing(uint32_t engine)
{
	struct zrx_event event;
	int gate[2];
	struct rig rig;
	pid_t child;
	char byte;

	CHECK(!pipe(gate));
	rig_open(&rig, engine, NULL);
	event = rig_message(&rig, "held");
	child = fork();
	if (child == 0) {
		close(gate[1]);
		close(rig.pair[0]); /* this one is the program's own */
		close(rig.pair[1]);
		CHECK_EQUAL(read(gate[0], &byte, 1), 0);
		CHECK(!memcmp(event.buffer.data, "held", 4));
		_exit(0);
	}
	CHECK_EQUAL(zrx_receiver_close(rig.receiver), 0);
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	close(rig.pair[0]);
	alarm(20); /* bounds the read */
	CHECK_EQUAL(read(rig.pair[1], &byte, 1), 0);
	alarm(0);
	close(rig.pair[1]);
	close(gate[1]);
	wait_for(child);
	close(gate[0]);
}

/* A receiver that the child opens itself works. */
static void test_child_opens_its_own(uint32_t engine)
{
	struct zrx_event event;
	struct rig rig;
	pid_t child;

	rig_open(&rig, engine, NULL);
	child = fork();
	if (child == 0) {
		struct rig own;

		rig_open(&own, engine, NULL);
		event = rig_message(&own, "the child's");
		CHECK_EQUAL(zrx_event_release(&event, 1), 0);
		rig_close(&own);
		_exit(0);
	}
	wait_for(child);
	event = rig_message(&rig, "the parent's");
	CHECK_EQUAL(zrx_event_release(&event, 1), 0);
	rig_close(&rig);
}

static _Atomic int over; /* the close of the socket that lingers */

/* A stream ends whose socket nobody else holds: its close waits until the peer has read. */
static void *end_slowly(void *argument)
{
	struct rig *rig = argument;
	struct zrx_event event;

	CHECK_EQUAL(zrx_receiver_remove(rig->receiver, rig->stream), 0);
	rig_receive(rig, &event, 1);
	CHECK_EQUAL(event.flags, ZRX_END_REMOVED);
	over = 1;
	CHECK_EQUAL(zrx_receiver_close(rig->receiver), 0);
	return NULL;
}

static void fill_and_linger(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 60};
	char bytes[4096] = {0};

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* While it does, other receivers open and close, and the process forks. */
static void test_lingering(uint32_t engine)
{
	struct rig slow, other;
	pthread_t thread;
	int before;
	pid_t child;

	rig_open(&slow, engine, NULL);
	fill_and_linger(slow.pair[0]);
	close(slow.pair[0]);
	over = 0;
	before = open_descriptors();
	CHECK_EQUAL(pthread_create(&thread, NULL, end_slowly, &slow), 0);
	while (open_descriptors() == before && !over)
		usleep(1000);
	CHECK(!over); /* so it does linger here */
	rig_open(&other, engine, NULL);
	rig_close(&other);
	child = fork();
	if (child == 0)
		_exit(0);
	wait_for(child);
	CHECK(!over);
	close(slow.pair[1]); /* with bytes unread: a reset, and there is nothing to wait for */
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

int main(void)
{
	for_each_engine(test_child_does_no_harm);
	for_each_engine(test_child_keeps_nothing);
	for_each_engine(test_child_opens_its_own);
	for_each_engine(test_lingering);
	return 0;
}
