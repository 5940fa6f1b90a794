/* SPDX-License-Identifier: MIT */
/* Which sockets a receiver refuses, by where their bytes arrive. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "fake_nic.h"
#include "nic_arrival.h"

#define OWN        6u
#define OTHER      3u
#define NAPI_OF(q) (100 + (q)) /* as the NIC in memory has it */

static int arrives(struct fake_nic *fake, uint32_t napi_id, int *known, struct zrx_error *error)
{
	return zrx_nic_arrival_check(&fake->base, OWN, napi_id, known, error);
}

void test_arrival(void)
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

	fake->gone = 1;
	CHECK(!arrives(fake, NAPI_OF(OTHER), &known, &error) && !known,
	      "when in doubt, it is taken");
	fake_free(fake);
}
