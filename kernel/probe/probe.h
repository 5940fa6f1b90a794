/* SPDX-License-Identifier: MIT */
/*
 * What this kernel lets this process do. Observation (probe_observe.c) and judgement (probe.c) are
 * kept apart: tests judge invented facts, and a simulated kernel can replace the observation.
 */
#ifndef ZRX_KERNEL_PROBE_H
#define ZRX_KERNEL_PROBE_H

#include "uapi.h"
#include "zcrx.h"

#define ZRX_PROBE_ABSENT (-1) /* of a /proc value: no such file */

/* What stands between a process and the system calls it makes. */
struct zrx_probe_process {
	int32_t uring_disabled; /* sysctl kernel.io_uring_disabled: 0, 1, 2 or absent */
	int32_t seccomp;        /* 0 none, 1 strict, 2 filter, or absent */
	int32_t no_new_privs;
	uint32_t cap_net_admin; /* effective, in whatever user namespace */
	uint32_t cap_ipc_lock;
	uint32_t initial_userns;
	uint64_t memlock_bytes; /* soft limit; UINT64_MAX: none */
};

struct zrx_probe_facts {
	char release[72]; /* uname -r */
	uint32_t page_bytes;
	struct zrx_probe_process process;
	uint64_t hugepages_free;
	uint64_t hugepage_bytes;
	uint32_t thp;       /* madvise(MADV_HUGEPAGE) can have an effect */
	uint32_t busy_poll; /* a ring can poll the NIC before it sleeps (IORING_REGISTER_NAPI) */
	/* Negative errno of a trial, or 0: it worked. */
	int32_t uring;             /* io_uring_setup */
	int32_t defer_taskrun;     /* ... with SINGLE_ISSUER and DEFER_TASKRUN */
	int32_t cqe32;             /* ... and CQE32 */
	int32_t buffer_ring;       /* IORING_REGISTER_PBUF_RING */
	int32_t incremental;       /* ... with IOU_PBUF_RING_INC */
	int32_t multishot;         /* multishot receive from a socket pair */
	int32_t zcrx_registration; /* with an unreadable argument: EFAULT or EPERM if it is known */
	int32_t query_zcrx;        /* IORING_REGISTER_QUERY of the two below */
	int32_t query_event;
	struct zrx_uapi_query_zcrx zcrx;
	struct zrx_uapi_query_zcrx_event event;
};

/*
 * What an answered IORING_REGISTER_QUERY tells that the kernel has: ZRX_FEATURE_*, but for events,
 * which have a query of their own.
 */
static inline uint32_t zrx_probe_zcrx_features(const struct zrx_uapi_query_zcrx *zcrx)
{
	uint32_t features = 0;

	if (zcrx->nr_ctrl_opcodes > ZRX_UAPI_CTRL_FLUSH_RQ)
		features |= ZRX_FEATURE_FLUSH;
	if (zcrx->nr_ctrl_opcodes > ZRX_UAPI_CTRL_ADD_AREA)
		features |= ZRX_FEATURE_ADD_AREA;
	if (zcrx->register_flags & ZRX_UAPI_REG_NODEV)
		features |= ZRX_FEATURE_NODEV;
	/* A ring can hand its ifq on, and another take it. */
	if (zcrx->nr_ctrl_opcodes > ZRX_UAPI_CTRL_EXPORT &&
	    zcrx->register_flags & ZRX_UAPI_REG_IMPORT)
		features |= ZRX_FEATURE_SHARED_QUEUE;
	if (zcrx->features & ZRX_UAPI_FEATURE_RX_PAGE_SIZE)
		features |= ZRX_FEATURE_RX_BUF_LEN;
	if (zcrx->area_flags & ZRX_UAPI_AREA_DMABUF)
		features |= ZRX_FEATURE_DMABUF;
	return features;
}

void zrx_probe_observe(struct zrx_probe_facts *facts);
void zrx_probe_observe_process(struct zrx_probe_process *process);

/* What follows from them. */
struct zrx_probe_findings {
	struct zrx_capabilities capabilities; /* its checks are the ones below */
	struct zrx_check checks[ZRX_PROBE_CHECKS];
	struct zrx_error
		refused[ZRX_ENGINE_COUNT]; /* code != 0: why that engine cannot be opened */
};

/* Pure: fills all of findings. */
void zrx_probe_judge(const struct zrx_probe_facts *facts, struct zrx_probe_findings *findings);

/* errno_value (positive) of io_uring_setup: fills error with stage ring, the reason and what mends
 * it. */
void zrx_probe_uring_refusal(int errno_value, struct zrx_error *error);
void zrx_probe_uring_words(int errno_value, const struct zrx_probe_process *process,
			   struct zrx_error *error);

/*
 * errno_value (positive) of IORING_REGISTER_ZCRX_IFQ without a device (nodev), or on a NIC's queue
 * where the process or the kernel is to blame: fills error with stage queue. For all that a NIC can
 * be blamed for ask zrx_nic_explain, which comes here for the rest.
 */
void zrx_probe_zcrx_refusal(int errno_value, int nodev, struct zrx_error *error);
void zrx_probe_zcrx_words(int errno_value, int nodev, const struct zrx_probe_process *process,
			  struct zrx_error *error);

#endif /* ZRX_KERNEL_PROBE_H */
