/* SPDX-License-Identifier: MIT */
/* Connections one after the other: each sends a greeting, and is closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sender.h"
#include "space.h"

#define SOURCES  32u /* addresses: a port of each rests for a minute after its connection */
#define SECOND   1000000000u
#define PAUSE_NS 50000 /* until some of those that are open have ended */

static void sleep_until(uint64_t at_ns)
{
	const struct timespec at = {.tv_sec = (time_t)(at_ns / SECOND),
				    .tv_nsec = (long)(at_ns % SECOND)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* On loopback, where any address is this machine's. */
static int bind_source(const struct sender_job *job, int fd, uint64_t number)
{
	struct sockaddr_in6 source = job->address;
	int on = 1;

	if (!IN6_IS_ADDR_V4MAPPED(&source.sin6_addr) || source.sin6_addr.s6_addr[12] != 127)
		return 0;
	source.sin6_port = 0;
	source.sin6_addr.s6_addr[14] = 1;
	source.sin6_addr.s6_addr[15] = (uint8_t)(1 + number % SOURCES);
	/* The port is chosen by connect(): it may be one that another destination has. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
	    bind(fd, (const void *)&source, sizeof(source)))
		return -errno;
	return 0;
}

static int greet(const struct sender_job *job, struct sent *sent, uint64_t number)
{
	struct greeting greeting = {.number = number};
	int fd = space_socket();
	int result = fd < 0 ? fd : bind_source(job, fd, number);

	greeting.connected_ns = now_ns();
	if (!result && (connect(fd, (const void *)&job->address, sizeof(job->address)) ||
			send(fd, &greeting, sizeof(greeting), MSG_NOSIGNAL) != sizeof(greeting)))
		result = errno ? -errno : -EPIPE;
	if (fd >= 0)
		close(fd);
	if (result)
		return result;
	tally_add(&sent->connections, 1);
	tally_add(&sent->bytes, sizeof(greeting));
	tally_add(&sent->numbers, number);
	return 0;
}

/* A backlog that is full would drop what comes, and that is tried again a second later. */
static void wait_for_room(const struct sender_job *job)
{
	struct tally_sums begun, taken;

	for (;;) {
		tallies_sum_sent(job->tallies, &begun);
		tallies_sum(job->tallies, &taken);
		if (begun.accepted < taken.ended + taken.failed + job->most_open)
			return;
		sleep_until(now_ns() + PAUSE_NS);
	}
}

int sender_greet(const struct sender_job *job, uint32_t index)
{
	struct sent *sent = &job->tallies->senders[index];
	uint64_t count = sender_share(job, index), start;
	int result;

	prctl(PR_SET_TIMERSLACK, 1);
	result = sender_ready(job);
	start = now_ns();
	for (uint64_t i = 0; !result && i < count; i++) {
		uint64_t number = i * job->senders + index;

		if (job->rate && start + number * SECOND / job->rate > now_ns())
			sleep_until(start + number * SECOND / job->rate);
		wait_for_room(job);
		result = greet(job, sent, number);
	}
	return result;
}
