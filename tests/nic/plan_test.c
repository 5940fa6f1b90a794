/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/claim/settings.h"

static struct zrx_nic_wish wish_for(uint32_t queue)
{
	struct zrx_nic_wish wish = {.queue = queue, .queue_count = FAKE_QUEUES, .ntuple = 1};

	return wish;
}

static void test_steps(void)
{
	struct zrx_nic_wish wish = wish_for(7);
	struct fake_nic *fake = fake_new();
	struct zrx_nic_settings now;
	struct zrx_nic_plan plan;
	char text[200];

	CHECK(!zrx_nic_settings_read(&fake->base, &now, NULL), "read");
	CHECK(!zrx_nic_plan_make(&now, &wish, "fake0", &plan, NULL), "plan");
	CHECK(plan.steps == (ZRX_STEP_RSS | ZRX_STEP_SPLIT | ZRX_STEP_THRESH | ZRX_STEP_NTUPLE),
	      "%x", plan.steps);
	zrx_nic_step_command(ZRX_STEP_RSS, &plan, "fake0", text, sizeof(text));
	CHECK(!strcmp(text, "ethtool -X fake0 equal 7"), "%s", text);

	wish.hw_gro = 1;
	wish.ntuple = 0;
	now.thresh = 0;
	now.split = ZRX_SPLIT_ON;
	CHECK(!zrx_nic_plan_make(&now, &wish, "fake0", &plan, NULL), "plan");
	CHECK(plan.steps == (ZRX_STEP_RSS | ZRX_STEP_HW_GRO | ZRX_STEP_SPLIT),
	      "split is set though it reads as on: %x", plan.steps);
	fake_free(fake);
}

static void test_no_queue_left(void)
{
	struct zrx_nic_wish wish = wish_for(0);
	struct zrx_nic_settings now = {.rss = {.count = 4}};
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_nic_plan plan;

	wish.queue_count = 1;
	CHECK(zrx_nic_plan_make(&now, &wish, "eth1", &plan, &error) == -EBUSY, "one queue");
	CHECK_HAS(error.message, "no queue is left");
	CHECK_HAS(error.hint, "ethtool -L eth1 combined 2");
}

/* Reading that fails is an error with a name, at every call. */
static void test_unreadable(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_nic_settings now;

	for (int call = 1; call <= 4; call++) {
		struct zrx_error error = ZRX_ERROR_INIT;

		fake->calls = 0;
		fake->fail_call = call;
		fake->fail_how = FAKE_FAIL_CLEAN;
		CHECK(zrx_nic_settings_read(&fake->base, &now, &error) == -EIO, "call %d", call);
		CHECK_HAS(error.message, "fake0");
	}
	fake_free(fake);
}

void test_plan(void)
{
	test_steps();
	test_no_queue_left();
	test_unreadable();
}
