/* SPDX-License-Identifier: MIT */
/* Receivers that are killed at random points; the next one begins as if they had never been. */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BYTES (16u << 20)
#define SEED  1u

unsigned receiver_kills = 10;

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Receives until it is killed; tells once bytes flow. */
__attribute__((noreturn)) static void be_victim(int receiving)
{
	struct zrx_options options = rx_options();
	struct listener listener;
	struct flow flow;
	struct rx rx;

	listener_open(&listener, AF_INET6);
	rx_open(&rx, &options);
	flow_connect(&flow, &listener, 0, FLOW_ENDLESS);
	rx_start(&rx, &flow);
	rx_until(&rx, &flow, 1);
	CHECK(write(receiving, "", 1) == 1, "pipe: %s", strerror(errno));
	rx_until(&rx, &flow, FLOW_ENDLESS);
	fail("an endless stream has come to its end");
}

struct victim {
	pid_t process;
	int receiving; /* readable once bytes flow; at its end once the victim and its sender are
			  gone */
};

static struct victim start_victim(void)
{
	struct victim victim;
	int ends[2];

	CHECK(!pipe(ends), "pipe: %s", strerror(errno));
	victim.process = fork();
	CHECK(victim.process >= 0, "fork: %s", strerror(errno));
	if (victim.process == 0) {
		close(ends[0]);
		be_victim(ends[1]);
	}
	close(ends[1]);
	victim.receiving = ends[0];
	return victim;
}

/* Returns whether it had received anything. */
static int kill_victim(const struct victim *victim)
{
	int status = 0, received;
	char byte;

	kill(victim->process, SIGKILL);
	CHECK(waitpid(victim->process, &status, 0) == victim->process && WIFSIGNALED(status),
	      "the receiver ended by itself: status %x", status);
	received = read(victim->receiving, &byte, 1) == 1;
	/* Its sender holds the pipe, too, until its connection goes. */
	CHECK(!received || read(victim->receiving, &byte, 1) == 0, "two bytes in the pipe");
	close(victim->receiving);
	return received;
}

/* How long a receiver takes until bytes flow, which is when most is to be put back. */
static uint64_t time_to_bytes(void)
{
	uint64_t begun = now_us();
	struct victim victim = start_victim();
	struct timespec moment = {.tv_nsec = 1000000};
	char byte;

	CHECK(read(victim.receiving, &byte, 1) == 1, "the receiver ended before any bytes came");
	begun = now_us() - begun;
	nanosleep(&moment, NULL);
	kill_victim(&victim);
	return begun;
}

void receiver_killed(void)
{
	struct zrx_options options = rx_options();
	unsigned receiving = 0, seed = SEED;
	uint64_t longest = 2 * time_to_bytes();
	struct flow flow;
	struct rx rx = {0};

	for (unsigned i = 0; i < receiver_kills; i++) {
		uint64_t delay = (uint64_t)((double)longest * rand_r(&seed) / RAND_MAX);
		struct victim victim = start_victim();

		nanosleep(&(struct timespec){.tv_sec = (time_t)(delay / 1000000),
					     .tv_nsec = (long)(delay % 1000000) * 1000},
			  NULL);
		receiving += (unsigned)kill_victim(&victim);
	}
	CHECK(receiving, "none of %u was killed while it received", receiver_kills);
	rx_receive_one(&rx, &options, &flow, BYTES);
	rx_check_uncopied(&rx);
	rx_close(&rx);
}
