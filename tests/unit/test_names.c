/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <errno.h>
#include <zcrx.h>

int main(void)
{
	char version[32];
	uint32_t engine = 99;

	snprintf(version, sizeof(version), "%d.%d.%d", ZRX_VERSION_MAJOR, ZRX_VERSION_MINOR,
		 ZRX_VERSION_PATCH);
	CHECK(!strcmp(zrx_version(), version));
	for (uint32_t i = 0; i < ZRX_ENGINE_COUNT; i++) {
		CHECK(zrx_engine_name(i));
		CHECK_EQUAL(zrx_engine_by_name(zrx_engine_name(i), &engine), 0);
		CHECK_EQUAL(engine, i);
	}
	CHECK(!zrx_engine_name(ZRX_ENGINE_COUNT));
	CHECK_EQUAL(zrx_engine_by_name("ZCRX", &engine), -EINVAL);
	CHECK_EQUAL(zrx_engine_by_name("", &engine), -EINVAL);
	CHECK_EQUAL(zrx_engine_by_name(NULL, &engine), -EINVAL);
	CHECK_EQUAL(zrx_engine_by_name("recv", NULL), -EINVAL);
	for (uint32_t i = 0; i < ZRX_STAGE_COUNT; i++) {
		CHECK(zrx_stage_name(i)[0]);
		for (uint32_t j = 0; j < i; j++)
			CHECK(strcmp(zrx_stage_name(i), zrx_stage_name(j)));
	}
	CHECK(!strcmp(zrx_stage_name(ZRX_STAGE_COUNT), "none"));
	return 0;
}
