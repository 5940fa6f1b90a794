/* SPDX-License-Identifier: MIT */
/* From what was counted of a stream to what it means. */
#ifndef ZRX_KERNEL_NIC_VERDICT_H
#define ZRX_KERNEL_NIC_VERDICT_H

#include "zcrx.h"

/* What is known beside the proof's own counts: settings, and how the stream stood at the end. */
struct zrx_nic_state {
	const char *interface;
	uint32_t split;      /* ZRX_NIC_SPLIT_* */
	uint32_t hds_thresh; /* bytes */
	uint32_t steer;      /* ZRX_STEER_*: how the flow was led to the queue */
	uint32_t stall;      /* ZRX_STALL_* that ended the stream, or was when the time was over */
	uint32_t flushes;    /* this kernel can copy on when the area is used up (6.19) */
	uint32_t ring_entries; /* of a receive queue; 0: not told */
	uint64_t area_bytes;
	uint64_t pending; /* bytes that lie in the socket */
	uint64_t unsplit; /* packets of the queue that the NIC could not split; ZRX_UNKNOWN */
	uint64_t starved; /* times the queue had no buffer, as the driver counts; ZRX_UNKNOWN */
};

/* Fill in verdict and checks of a proof whose counts are filled in. */
void zrx_nic_verdict(struct zrx_nic_proof *proof, const struct zrx_nic_state *state);

/* Why not a byte came, as far as that can be told. Returns -ETIMEDOUT. */
int zrx_nic_silence(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
		    struct zrx_error *error);

#endif /* ZRX_KERNEL_NIC_VERDICT_H */
