/* SPDX-License-Identifier: MIT */
/* Numbers to words and back. */
#include <errno.h>
#include <string.h>

#include "zcrx.h"

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

static const char *const engine_names[ZRX_ENGINE_COUNT] = {
	[ZRX_ENGINE_AUTO] = "auto",
	[ZRX_ENGINE_ZCRX] = "zcrx",
	[ZRX_ENGINE_ZCRX_NODEV] = "zcrx-nodev",
	[ZRX_ENGINE_MULTISHOT] = "multishot",
	[ZRX_ENGINE_RECV] = "recv",
};

static const char *const stage_names[ZRX_STAGE_COUNT] = {
	[ZRX_STAGE_NONE] = "none",     [ZRX_STAGE_OPTIONS] = "options",
	[ZRX_STAGE_AREA] = "area",     [ZRX_STAGE_RING] = "ring",
	[ZRX_STAGE_NIC] = "nic",       [ZRX_STAGE_QUEUE] = "queue",
	[ZRX_STAGE_SOCKET] = "socket", [ZRX_STAGE_STREAM] = "stream",
	[ZRX_STAGE_THREAD] = "thread", [ZRX_STAGE_RECEIVE] = "receive",
};

const char *zrx_version(void)
{
	return STRING(ZRX_VERSION_MAJOR) "." STRING(ZRX_VERSION_MINOR) "." STRING(
		ZRX_VERSION_PATCH);
}

const char *zrx_engine_name(uint32_t engine)
{
	return engine < ZRX_ENGINE_COUNT ? engine_names[engine] : NULL;
}

int zrx_engine_by_name(const char *name, uint32_t *engine)
{
	if (!name || !engine)
		return -EINVAL;
	for (uint32_t i = 0; i < ZRX_ENGINE_COUNT; i++) {
		if (!strcmp(name, engine_names[i])) {
			*engine = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *zrx_stage_name(uint32_t stage)
{
	return stage < ZRX_STAGE_COUNT ? stage_names[stage] : stage_names[ZRX_STAGE_NONE];
}
