/* SPDX-License-Identifier: MIT */
/* A claim whose process is in another pid namespace: alive as long as that lives, and no longer. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/claim/claim.h"
#include "scratch.h"

static const struct zrx_options port_options = {
	.size = sizeof(port_options), .steer = ZRX_STEER_PORT, .steer_port = 5000};

/* Claims, tells how that went, and goes on until it is killed. */
static void claim_and_wait(struct fake_nic *fake, int tell)
{
	struct zrx_claim claim;
	char byte = 0;

	if (zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, NULL) ||
	    zrx_claim_steer_port(&claim, 5000, NULL))
		_exit(1);
	if (write(tell, &byte, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* The first process of a new pid namespace, by its number here; -1: none may be made. */
static pid_t start_in_namespace(struct fake_nic *fake)
{
	int numbers[2], told[2];
	pid_t helper, child = -1;
	char byte;

	CHECK(!pipe(numbers) && !pipe(told), "pipe");
	helper = fork();
	if (!helper) {
		pid_t inside = unshare(CLONE_NEWPID) ? -1 : fork();

		if (!inside)
			claim_and_wait(fake, told[1]);
		_exit(write(numbers[1], &inside, sizeof(inside)) != sizeof(inside));
	}
	waitpid(helper, NULL, 0);
	close(told[1]);
	CHECK(read(numbers[0], &child, sizeof(child)) == sizeof(child), "helper");
	CHECK(child > 0, "root is needed to make a pid namespace");
	CHECK(child < 0 || read(told[0], &byte, 1) == 1, "it could not claim");
	close(told[0]);
	close(numbers[0]);
	close(numbers[1]);
	return child;
}

static uint32_t alive_now(struct fake_nic *fake, int directory, int *swept)
{
	uint32_t alive;

	*swept = zrx_claim_sweep(&fake->base, directory, zrx_journal_net_space(), &alive, NULL);
	return alive;
}

void test_owners_elsewhere(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), swept;
	struct fake_state before = fake->state;
	pid_t child = start_in_namespace(fake);

	if (child > 0) {
		CHECK(alive_now(fake, directory, &swept) == 1 && !swept, "it lives");
		CHECK(fake_differs(&before, &fake->state), "it has set nothing up");
		kill(child, SIGKILL);
		/* Its parent is gone: it is not ours to wait for, but it can be seen to be gone. */
		while (!kill(child, 0))
			usleep(1000);
		CHECK(!alive_now(fake, directory, &swept) && swept == 1, "it is dead: %d", swept);
		CHECK(!fake_differs(&before, &fake->state), "not as before");
	}
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}
