/* SPDX-License-Identifier: MIT */
/* From what was counted of a stream to what it means. */
#ifndef ZRX_KERNEL_NIC_VERDICT_H
#define ZRX_KERNEL_NIC_VERDICT_H

#include "zcrx.h"

/* How the interface was set while the stream ran. */
struct zrx_nic_state {
	const char *interface;
	uint32_t split;      /* ZRX_NIC_SPLIT_* */
	uint32_t hds_thresh; /* bytes */
	int stalled;         /* the stream stopped for want of chunks to copy into */
};

/*
 * Fill in verdict and checks of a proof whose counts are filled in. proof->checks has room for
 * ZRX_PROOF_CHECKS.
 */
void zrx_nic_verdict(struct zrx_nic_proof *proof, const struct zrx_nic_state *state);

#endif /* ZRX_KERNEL_NIC_VERDICT_H */
