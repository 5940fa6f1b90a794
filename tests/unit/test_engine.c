/* SPDX-License-Identifier: MIT */
/* Which engine is chosen, what is said of the others, and that a refusal leaves nothing behind. */
#include "check.h"
#include "net.h"

#include <errno.h>
#include <zcrx.h>

static struct zrx_capabilities capabilities = {.size = sizeof(capabilities)};

static int can(uint32_t engine)
{
	return capabilities.engines >> engine & 1;
}

static struct zrx_error refused[ZRX_ENGINE_COUNT]; /* of the receiver that was opened last */

static int open_engine(struct zrx_options *options, struct zrx_info *info, struct zrx_error *error)
{
	int descriptors = open_descriptors();
	struct zrx_receiver *receiver = NULL;
	int result;

	options->area_bytes = options->area_bytes ? options->area_bytes : 4 << 20;
	result = zrx_receiver_open(&receiver, options, error);
	CHECK(!receiver == (result != 0));
	if (!result) {
		info->size = sizeof(*info);
		CHECK_EQUAL(zrx_receiver_info(receiver, info), 0);
		for (uint32_t engine = 0; engine < ZRX_ENGINE_COUNT; engine++) {
			struct zrx_error *why = &refused[engine];

			why->size = sizeof(*why);
			result = zrx_receiver_refusal(receiver, engine, why);
			CHECK_EQUAL(result, why->code != 0);
			CHECK_EQUAL(why->code != 0, why->message[0] != '\0');
		}
		CHECK_EQUAL(zrx_receiver_refusal(receiver, ZRX_ENGINE_COUNT, &refused[0]), -EINVAL);
		CHECK_EQUAL(zrx_receiver_refusal(receiver, 0, NULL), -EINVAL);
		result = 0;
		CHECK_EQUAL(zrx_receiver_close(receiver), 0);
	}
	CHECK_EQUAL(open_descriptors(), descriptors);
	return result;
}

static void test_auto(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_info info;
	uint32_t expected = can(ZRX_ENGINE_MULTISHOT) ? ZRX_ENGINE_MULTISHOT : ZRX_ENGINE_RECV;

	CHECK_EQUAL(open_engine(&options, &info, NULL), 0);
	CHECK_EQUAL(info.engine, expected);
	CHECK_EQUAL(info.zero_copy, 0);
	CHECK(refused[ZRX_ENGINE_ZCRX].code);
	CHECK_SAYS(refused[ZRX_ENGINE_ZCRX].message, "interface");
	CHECK_EQUAL(refused[expected].code, 0);
	if (expected == ZRX_ENGINE_RECV)
		CHECK(refused[ZRX_ENGINE_MULTISHOT].message[0]);
}

/* A named engine, or an error: never another one. And the probe has told before. */
static void test_named(void)
{
	for (uint32_t engine = ZRX_ENGINE_ZCRX_NODEV; engine < ZRX_ENGINE_COUNT; engine++) {
		struct zrx_options options = ZRX_OPTIONS_INIT;
		struct zrx_error error = ZRX_ERROR_INIT, why = ZRX_ERROR_INIT;
		struct zrx_info info;

		options.engine = engine;
		if (open_engine(&options, &info, &error) == 0) {
			CHECK(can(engine));
			CHECK_EQUAL(info.engine, engine);
			continue;
		}
		CHECK(!can(engine));
		CHECK(error.code < 0 && error.message[0] && error.hint[0]);
		CHECK_EQUAL(zrx_probe_refusal(engine, &why), 1);
		CHECK_EQUAL(why.code, error.code);
	}
	CHECK(can(ZRX_ENGINE_RECV));
}

static void test_require_zero_copy(void)
{
	for (uint32_t engine = ZRX_ENGINE_ZCRX_NODEV; engine < ZRX_ENGINE_COUNT; engine++) {
		struct zrx_options options = ZRX_OPTIONS_INIT;
		struct zrx_error error = ZRX_ERROR_INIT;
		struct zrx_info info;

		options.engine = engine;
		options.flags = ZRX_REQUIRE_ZERO_COPY;
		CHECK_EQUAL(open_engine(&options, &info, &error), -EOPNOTSUPP);
		CHECK_SAYS(error.message, "cop");
	}
}

static void test_interfaces_that_will_not_do(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info;

	options.engine = ZRX_ENGINE_ZCRX;
	CHECK_EQUAL(open_engine(&options, &info, &error), -EINVAL);
	CHECK_SAYS(error.message, "interface");
	options.interface = "nosuchdev0";
	CHECK(open_engine(&options, &info, &error) < 0);
	CHECK(error.message[0] && error.hint[0]);
	options.interface = "lo";
	CHECK(open_engine(&options, &info, &error) < 0);
	CHECK(error.message[0] && error.hint[0]);
	options.engine = ZRX_ENGINE_AUTO; /* falls back, and says why */
	CHECK_EQUAL(open_engine(&options, &info, &error), 0);
	CHECK(info.engine != ZRX_ENGINE_ZCRX);
	CHECK(refused[ZRX_ENGINE_ZCRX].code < 0);
	CHECK(refused[ZRX_ENGINE_ZCRX].message[0]);
}

/* What stops every engine is the reason to give, not that no interface was named. */
static void test_auto_tells_what_to_mend(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info;

	options.area_bytes = 1ull << 46;
	CHECK_EQUAL(open_engine(&options, &info, &error), -ENOMEM);
	CHECK_EQUAL(error.stage, ZRX_STAGE_AREA);
}

int main(void)
{
	CHECK_EQUAL(zrx_probe(&capabilities), 0);
	test_auto();
	test_named();
	test_require_zero_copy();
	test_interfaces_that_will_not_do();
	test_auto_tells_what_to_mend();
	return 0;
}
