/* SPDX-License-Identifier: MIT */
/* A receiver of engine zcrx, and the flows on it: every byte is checked as it comes. */
#ifndef DATAPATH_RX_H
#define DATAPATH_RX_H

#include <stddef.h>
#include <stdint.h>

#include <zcrx.h>

#include "flow.h"

#define RX_FLOWS  64
#define SECOND_NS INT64_C(1000000000)

struct rx_held {
	struct zrx_buffer buffer;
	uint64_t flow; /* its number */
	uint64_t offset;
};

struct rx {
	struct zrx_receiver *receiver;
	struct zrx_info info;
	struct flow *flows[RX_FLOWS];
	uint32_t count;
	const uint8_t *memory; /* the area, seen by another way than its buffers; else NULL */
	uint32_t largest;      /* buffer so far */
	int hold;              /* keep what comes until rx_release; see flow.hold, too */
	struct rx_held *held;
	size_t held_count, held_capacity;
};

/* Engine zcrx on the interface under test, each flow led to the queue as it is added. */
struct zrx_options rx_options(void);

void rx_open(struct rx *rx, const struct zrx_options *options);

/* Add the flow; try: it may be refused; start: and let its sender go. */
int rx_try_add(struct rx *rx, struct flow *flow, struct zrx_error *error);
void rx_add(struct rx *rx, struct flow *flow);
void rx_start(struct rx *rx, struct flow *flow);

/* One receive of at most so long. Returns how many events there were. */
uint32_t rx_turn(struct rx *rx, int64_t timeout_ns);

/* Receive until that many bytes of the flow are here; until every flow has come to its end. */
void rx_until(struct rx *rx, const struct flow *flow, uint64_t bytes);
void rx_until_ended(struct rx *rx);

/* How many of the views that are held are not what they were. */
size_t rx_changed(const struct rx *rx);

/* Check what is held once more, and release it; or release it without a look. */
void rx_release(struct rx *rx);
void rx_forget(struct rx *rx);

struct zrx_stats rx_stats(const struct rx *rx);

/* All flows have ended whole; where the kernel counts (7.2), it copied nothing. */
void rx_check_whole(const struct rx *rx);
void rx_check_uncopied(const struct rx *rx);

/* Close the flows and the receiver. */
void rx_close(struct rx *rx);

/* The receiver alone, whatever is held. Returns what zrx_receiver_close does. */
int rx_close_receiver(struct rx *rx);

/* One flow of that many bytes from its beginning to its end; the receiver stays open. */
void rx_receive_one(struct rx *rx, const struct zrx_options *options, struct flow *flow,
		    uint64_t bytes);

/* What the receivers of this process are doing. */
void rx_describe(char *text, size_t size);

#endif
