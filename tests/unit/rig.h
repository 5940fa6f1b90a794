/* SPDX-License-Identifier: MIT */
/* A receiver with one connection, on each engine that can be opened here. */
#ifndef RIG_H
#define RIG_H

#include <zcrx.h>

struct rig {
	struct zrx_receiver *receiver;
	int pair[2];
	uint64_t stream;
};

/* Call test once for each copying engine that this kernel has (and without a device, zcrx). */
void for_each_engine(void (*test)(uint32_t engine));

/* options may be NULL; a small area is the default. */
void rig_open(struct rig *rig, uint32_t engine, const struct zrx_options *options);
void rig_close(struct rig *rig);

/* Receive exactly count events, in no more than ten seconds. */
void rig_receive(struct rig *rig, struct zrx_event *events, uint32_t count);

/* Send the text and receive it as one buffer. */
struct zrx_event rig_message(struct rig *rig, const char *text);

struct zrx_stats rig_stats(const struct rig *rig);

#endif
