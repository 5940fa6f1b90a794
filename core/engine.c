/* SPDX-License-Identifier: MIT */
/* Which engine: the one that is named, or the best there is. */
#include <errno.h>

#include "engine.h"
#include "error.h"
#include "receiver.h"

static const struct zrx_engine *const engines[ZRX_ENGINE_COUNT] = {
	[ZRX_ENGINE_ZCRX] = &zrx_engine_zcrx,
	[ZRX_ENGINE_ZCRX_NODEV] = &zrx_engine_zcrx_nodev,
	[ZRX_ENGINE_MULTISHOT] = &zrx_engine_multishot,
	[ZRX_ENGINE_RECV] = &zrx_engine_recv,
};

/* Why a better engine is not even tried; 0 if it is. */
static int not_tried(const struct zrx_options *options, uint32_t engine, struct zrx_error *reason)
{
	if (engine == ZRX_ENGINE_ZCRX && !options->interface)
		return zrx_error_set(reason, -ENODEV, ZRX_STAGE_OPTIONS,
				     "name the interface whose queue to use",
				     "no interface was named, so no NIC queue can be bound");
	if ((options->flags & ZRX_REQUIRE_ZERO_COPY) && !engines[engine]->zero_copy)
		return zrx_error_set(reason, -EOPNOTSUPP, ZRX_STAGE_OPTIONS,
				     "open without ZRX_REQUIRE_ZERO_COPY, or use engine zcrx",
				     "engine %s copies, and zero-copy was required",
				     zrx_engine_name(engine));
	if (options->area_kind == ZRX_AREA_DMABUF && engine != ZRX_ENGINE_ZCRX)
		return zrx_error_set(reason, -EOPNOTSUPP, ZRX_STAGE_AREA,
				     "use engine zcrx, or another kind of area",
				     "engine %s cannot fill a dma-buf", zrx_engine_name(engine));
	return 0;
}

static int engine_try(struct zrx_receiver *receiver, uint32_t engine, struct zrx_error *reason)
{
	int result = not_tried(&receiver->options, engine, reason);

	if (result)
		return result;
	receiver->engine = engines[engine];
	return receiver->engine->open(receiver, reason);
}

int zrx_engine_select(struct zrx_receiver *receiver, struct zrx_error *error)
{
	static const uint32_t best_first[] = {ZRX_ENGINE_ZCRX, ZRX_ENGINE_MULTISHOT,
					      ZRX_ENGINE_RECV};
	struct zrx_error *refused = receiver->refused;
	uint32_t blamed = 0;
	int was_tried = 0;
	int result;

	if (receiver->options.engine != ZRX_ENGINE_AUTO)
		return engine_try(receiver, receiver->options.engine, error);
	for (size_t i = 0; i < sizeof(best_first) / sizeof(best_first[0]); i++) {
		uint32_t engine = best_first[i];

		refused[engine].size = sizeof(refused[engine]);
		receiver->engine = NULL;
		result = engine_try(receiver, engine, &refused[engine]);
		if (!result)
			return 0;
		/* The reason to mend is that of the best engine that was really tried. */
		if (!blamed || (!was_tried && receiver->engine))
			blamed = engine;
		was_tried |= receiver->engine != NULL;
	}
	if (error)
		zrx_error_copy(error, &refused[blamed]);
	return refused[blamed].code;
}
