/* SPDX-License-Identifier: MIT */
/* Which sockets a receiver refuses, by where their bytes arrive. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/arrival.h"
#include "nic/claim/claim.h"
#include "scratch.h"

#define OWN        6u
#define OTHER      3u
#define NAPI_OF(q) (100 + (q)) /* as the NIC in memory has it */

static int arrives(struct fake_nic *fake, uint32_t napi_id, int *known, struct zrx_error *error)
{
	return zrx_nic_arrival_check(&fake->base, -1, OWN, napi_id, known, error);
}

static void test_refusals(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_error error = ZRX_ERROR_INIT;
	int known;

	fake->bound[OWN] = ZRX_BOUND_IO_URING;
	CHECK(!arrives(fake, NAPI_OF(OWN), &known, &error) && known, "its own queue");
	CHECK(!arrives(fake, NAPI_OF(OTHER), &known, &error) && !known, "a queue of nobody's");
	CHECK(!arrives(fake, 4711, &known, &error) && !known, "another interface's");

	fake->bound[OTHER] = ZRX_BOUND_IO_URING;
	CHECK(arrives(fake, NAPI_OF(OTHER), &known, &error) == -EXDEV && !known, "another's queue");
	CHECK(error.stage == ZRX_STAGE_SOCKET, "stage %u", error.stage);
	CHECK_HAS(error.message, "queue 3 of fake0");
	CHECK_HAS(error.message, "this receiver has queue 6");
	CHECK_HAS(error.hint, "the receiver of queue 3");
	fake->bound[OTHER] = ZRX_BOUND_DMABUF;
	CHECK(arrives(fake, NAPI_OF(OTHER), &known, &error) == -EXDEV, "device memory");
	fake->bound[OTHER] = ZRX_BOUND_XSK;
	CHECK(!arrives(fake, NAPI_OF(OTHER), &known, &error), "what AF_XDP passes on is copied");

	fake->bound[OTHER] = ZRX_BOUND_IO_URING;
	fake->one_poller = 1;
	CHECK(!arrives(fake, NAPI_OF(0), &known, &error) && known, "it may be its own queue");
	fake->bound[OWN] = 0;
	fake->one_poller = 0;

	fake->gone = 1;
	CHECK(!arrives(fake, NAPI_OF(OTHER), &known, &error) && !known,
	      "when in doubt, it is taken");
	fake_free(fake);
}

/* What a receiver is told that has no other business with the queue. */
static void check_holder(struct fake_nic *fake, int directory, const char *words)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int known;

	fake->bound[OTHER] = ZRX_BOUND_IO_URING;
	CHECK(zrx_nic_arrival_check(&fake->base, directory, OWN, NAPI_OF(OTHER), &known, &error) ==
		      -EXDEV,
	      "refused");
	fake->bound[OTHER] = 0;
	CHECK_HAS(error.message, words);
}

static void test_holder(void)
{
	static const struct zrx_options other = {
		.size = sizeof(other), .flags = ZRX_QUEUE, .queue = OTHER, .steer = ZRX_STEER_NONE};
	struct fake_nic *fake = fake_new();
	struct zrx_error error = ZRX_ERROR_INIT;
	int directory = scratch_open(), told[2];
	struct zrx_claim claim;
	char words[64];
	pid_t child;

	check_holder(fake, directory, "another area; this");
	CHECK(!zrx_claim_take(&claim, &fake->base, scratch_name(), &other, 0, NULL), "take");
	check_holder(fake, directory, "another area, of this process; this");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");

	CHECK(!pipe(told), "pipe");
	child = fork();
	if (!child) {
		char taken = !zrx_claim_take(&claim, &fake->base, scratch_name(), &other, 0, NULL);

		_exit(write(told[1], &taken, 1) != 1 || pause());
	}
	CHECK(read(told[0], words, 1) == 1 && words[0], "the child's claim");
	snprintf(words, sizeof(words), "process %d (test-nic)", (int)child);
	check_holder(fake, directory, words);
	CHECK(zrx_claim_take(&claim, &fake->base, scratch_name(), &other, 0, &error) == -EEXIST,
	      "claimed twice");
	CHECK_HAS(error.message, words);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	check_holder(fake, directory, "another area; this");
	close(told[0]);
	close(told[1]);
	scratch_close(directory);
	fake_free(fake);
}

void test_arrival(void)
{
	test_refusals();
	test_holder();
}
