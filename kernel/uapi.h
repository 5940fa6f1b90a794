/* SPDX-License-Identifier: MIT */
/*
 * The kernel's zcrx interface, as far as zcrx uses it: numbers and layouts that the
 * installed headers may be too old to have. Named apart from the kernel's own, so that both can be
 * included. Layouts: include/uapi/linux/io_uring.h, .../io_uring/zcrx.h, .../io_uring/query.h.
 */
#ifndef ZRX_KERNEL_UAPI_H
#define ZRX_KERNEL_UAPI_H

#include <stdint.h>

/* Operations and flags of io_uring proper. */
#define ZRX_UAPI_OP_RECV_ZC           58u
#define ZRX_UAPI_REGISTER_PBUF_RING   22u
#define ZRX_UAPI_UNREGISTER_PBUF_RING 23u
#define ZRX_UAPI_REGISTER_NAPI        27u /* 6.9 */
#define ZRX_UAPI_REGISTER_ZCRX_IFQ    32u
#define ZRX_UAPI_REGISTER_QUERY       35u
#define ZRX_UAPI_REGISTER_ZCRX_CTRL   36u
#define ZRX_UAPI_PBUF_RING_INC        2u        /* 6.12: consume provided buffers bit by bit */
#define ZRX_UAPI_CQE_F_BUF_MORE       (1u << 4) /* ... and this one has more room */
#define ZRX_UAPI_MEM_REGION_TYPE_USER 1u

struct zrx_uapi_buf_reg {
	uint64_t ring_addr;
	uint32_t ring_entries;
	uint16_t bgid;
	uint16_t flags; /* 6.4; padding and zero before */
	uint64_t resv[3];
};

/* Of io_uring_enter with IORING_ENTER_EXT_ARG. */
struct zrx_uapi_getevents_arg {
	uint64_t sigmask;
	uint32_t sigmask_sz;
	uint32_t min_wait_usec; /* 6.12; padding and zero before */
	uint64_t ts;
};

#define ZRX_UAPI_FEAT_MIN_TIMEOUT (1u << 15)

struct zrx_uapi_napi {
	uint32_t busy_poll_us;
	uint8_t prefer_busy_poll;
	uint8_t opcode; /* 6.13; 0: as before, instances are found by the sockets that are polled */
	uint8_t pad[2];
	uint32_t op_param;
	uint32_t resv;
};

/* Offsets in CQEs and refill entries: area id above, byte offset below. */
#define ZRX_UAPI_AREA_SHIFT 48
#define ZRX_UAPI_AREA_MASK  (~((1ull << ZRX_UAPI_AREA_SHIFT) - 1))

#define ZRX_UAPI_RQ_MAX_ENTRIES 32768u

struct zrx_uapi_rqe {
	uint64_t off;
	uint32_t len;
	uint32_t pad;
};

struct zrx_uapi_zcrx_cqe { /* the second half of a 32-byte CQE */
	uint64_t off;
	uint64_t pad;
};

struct zrx_uapi_offsets {
	uint32_t head;
	uint32_t tail;
	uint32_t rqes;
	uint32_t resv2;
	uint64_t resv[2];
};

#define ZRX_UAPI_AREA_DMABUF 1u

struct zrx_uapi_area_reg {
	uint64_t addr;
	uint64_t len;
	uint64_t rq_area_token;
	uint32_t flags;
	uint32_t dmabuf_fd;
	uint64_t resv2[2];
};

struct zrx_uapi_region_desc {
	uint64_t user_addr;
	uint64_t size;
	uint32_t flags;
	uint32_t id;
	uint64_t mmap_offset;
	uint64_t resv[4];
};

#define ZRX_UAPI_REG_IMPORT 1u
#define ZRX_UAPI_REG_NODEV  2u /* 7.1 */

struct zrx_uapi_ifq_reg {
	uint32_t if_idx;
	uint32_t if_rxq;
	uint32_t rq_entries;
	uint32_t flags;
	uint64_t area_ptr;
	uint64_t region_ptr;
	struct zrx_uapi_offsets offsets;
	uint32_t zcrx_id;
	uint32_t rx_buf_len; /* 7.0; reserved and zero before */
	uint64_t event_desc; /* 7.2; likewise */
	uint64_t resv[2];
};

#define ZRX_UAPI_EVENT_ALLOC_FAIL 0u
#define ZRX_UAPI_EVENT_COPY       1u
#define ZRX_UAPI_EVENT_FLAG_STATS 1u

struct zrx_uapi_zcrx_stats {
	uint64_t copy_count;
	uint64_t copy_bytes;
};

struct zrx_uapi_event_desc {
	uint64_t user_data;
	uint32_t type_mask;
	uint32_t flags;
	uint64_t stats_offset;
	uint64_t resv2[9];
};

#define ZRX_UAPI_CTRL_FLUSH_RQ  0u
#define ZRX_UAPI_CTRL_EXPORT    1u
#define ZRX_UAPI_CTRL_ARM_EVENT 2u
#define ZRX_UAPI_CTRL_ADD_AREA  3u /* 7.3 */

struct zrx_uapi_ctrl {
	uint32_t zcrx_id;
	uint32_t op;
	uint64_t resv[2];
	union {
		uint64_t flush_resv[6];
		struct {
			uint32_t zcrx_fd; /* comes back: a descriptor of the ifq, to be imported */
			uint32_t resv[11];
		} export;
		struct {
			uint32_t event_type;
			uint32_t resv[11];
		} arm_event;
		struct {
			uint64_t area_ptr; /* zrx_uapi_area_reg; its token comes back */
			uint64_t resv[5];
		} add_area;
	} u;
};

/* IORING_REGISTER_QUERY, 6.18. */
#define ZRX_UAPI_QUERY_OPCODES    0u
#define ZRX_UAPI_QUERY_ZCRX       1u
#define ZRX_UAPI_QUERY_ZCRX_EVENT 3u

struct zrx_uapi_query_hdr {
	uint64_t next_entry;
	uint64_t query_data;
	uint32_t query_op;
	uint32_t size;
	int32_t result;
	uint32_t resv[3];
};

struct zrx_uapi_query_opcode {
	uint32_t nr_request_opcodes;
	uint32_t nr_register_opcodes;
	uint64_t feature_flags;
	uint64_t ring_setup_flags;
	uint64_t enter_flags;
	uint64_t sqe_flags;
	uint32_t nr_query_opcodes;
	uint32_t pad;
};

#define ZRX_UAPI_FEATURE_RX_PAGE_SIZE 1u
#define ZRX_UAPI_FEATURE_EVENT        2u

struct zrx_uapi_query_zcrx {
	uint64_t register_flags;
	uint64_t area_flags;
	uint32_t nr_ctrl_opcodes;
	uint32_t features;
	uint32_t rq_hdr_size;
	uint32_t rq_hdr_alignment;
	uint64_t resv2;
};

struct zrx_uapi_query_zcrx_event {
	uint32_t event_flags;
	uint32_t stats_size;
	uint32_t stats_off_alignment;
	uint32_t resv1;
	uint64_t resv2[4];
};

_Static_assert(sizeof(struct zrx_uapi_buf_reg) == 40, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_getevents_arg) == 24, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_rqe) == 16, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_zcrx_cqe) == 16, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_offsets) == 32, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_area_reg) == 48, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_region_desc) == 64, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_ifq_reg) == 96, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_event_desc) == 96, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_ctrl) == 72, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_query_hdr) == 40, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_query_zcrx) == 40, "uAPI");
_Static_assert(sizeof(struct zrx_uapi_query_zcrx_event) == 48, "uAPI");

#endif
