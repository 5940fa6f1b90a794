/* SPDX-License-Identifier: MIT */
/*
 * zcrx - receive TCP into buffers that are views, not copies.
 *
 * One receiver is one io_uring (or epoll) instance, one area of memory and one
 * refill ring. Sockets added to it become streams; receiving hands out events;
 * an event of kind data carries a buffer: a view of bytes inside the area that
 * stays valid and unchanged until it is released, whatever happens to the
 * socket, the stream or the receiver.
 *
 * Conventions
 *   Returns     0 or a count on success, a negative errno on failure.
 *   Errors      Calls that can fail for many reasons fill a struct zrx_error
 *               (zrx_receiver_open) or keep one (zrx_receiver_error): stage,
 *               message, the kernel's own text if any, and a hint that names the
 *               command or the change that mends it.
 *   Sizes       Structs that the caller provides begin with their own size. The
 *               caller sets it to sizeof; use the ..._INIT macros. Input bytes
 *               beyond what this library knows must be zero (else -E2BIG);
 *               output structs are filled up to the caller's size, no further, and
 *               have no input but size, checks and check_capacity. A field is only
 *               ever appended: no struct contains an array whose length may grow.
 *   Threads     A receiver belongs to the first thread that calls
 *               zrx_receiver_receive on it. add, remove, pause, resume, receive,
 *               zrx_stream_stats and close are that thread's. zrx_buffer_release, zrx_event_release,
 *               zrx_receiver_wake, zrx_receiver_fd, zrx_receiver_stats and
 *               zrx_receiver_info may be called from any thread. The receiver's
 *               have to return before close is called, which frees it; the two
 *               releases may run at any time, beside it and after it.
 *   Processes   A forked child may read the buffers it inherited and may call
 *               release, which then does nothing; it must use nothing else.
 *   Output      The library never prints, aborts or exits.
 *
 * Source of the kernel behaviour named here: Documentation/networking/iou-zcrx.rst
 * and io_uring/zcrx.c of the Linux kernel, 6.15 to 7.3.
 */
#ifndef ZCRX_H
#define ZCRX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZRX_VERSION_MAJOR 0
#define ZRX_VERSION_MINOR 1
#define ZRX_VERSION_PATCH 0

#if defined(__GNUC__)
#define ZRX_API __attribute__((visibility("default")))
#else
#define ZRX_API
#endif

/* Version of the library in use: major.minor.patch. Static memory. Any thread. Since 0.1. */
ZRX_API const char *zrx_version(void);

/* ---- Engines ------------------------------------------------------------------------- */

/*
 * How bytes get into the area.
 *
 * ZCRX        A netdev receive queue bound to the area: the NIC writes payload into
 *             it, nothing copies. Needs Linux 6.15, CAP_NET_ADMIN in the initial user
 *             namespace, a driver with queue management and header/data split.
 * ZCRX_NODEV  The kernel's zcrx without a device: it copies each byte once, into the
 *             area. Needs Linux 7.1 and CAP_NET_ADMIN. For tests; never chosen by AUTO.
 * MULTISHOT   io_uring multishot receive into provided buffers over the area. One copy.
 *             Needs Linux 6.0 and permission to use io_uring.
 * RECV        epoll and recv() into the area. One copy. Any Linux.
 * AUTO        ZCRX if an interface is named and everything it needs is there, else
 *             MULTISHOT, else RECV; zrx_receiver_info tells which, zrx_receiver_refusal why no better one.
 */
#define ZRX_ENGINE_AUTO       0u
#define ZRX_ENGINE_ZCRX       1u
#define ZRX_ENGINE_ZCRX_NODEV 2u
#define ZRX_ENGINE_MULTISHOT  3u
#define ZRX_ENGINE_RECV       4u
#define ZRX_ENGINE_COUNT      5u /* that this header knows; a newer library may have more */

/* Name of an engine: "auto", "zcrx", "zcrx-nodev", "multishot", "recv"; NULL if out of range. Any thread. Since 0.1. */
ZRX_API const char *zrx_engine_name(uint32_t engine);

/* Engine of a name. Returns 0, or -EINVAL if no engine has this name. Any thread. Since 0.1. */
ZRX_API int zrx_engine_by_name(const char *name, uint32_t *engine);

/* ---- Errors -------------------------------------------------------------------------- */

/* What the library was about when it failed. */
#define ZRX_STAGE_NONE      0u
#define ZRX_STAGE_OPTIONS   1u /* the caller's options contradict each other or are out of range */
#define ZRX_STAGE_AREA      2u /* getting or pinning the area's memory */
#define ZRX_STAGE_RING      3u /* creating the io_uring or epoll instance */
#define ZRX_STAGE_NIC       4u /* interface, header/data split, RSS, flow rules */
#define ZRX_STAGE_QUEUE     5u /* binding the receive queue */
#define ZRX_STAGE_SOCKET    6u /* the socket that was to be added */
#define ZRX_STAGE_STREAM    7u /* the stream handle */
#define ZRX_STAGE_THREAD    8u /* called on a thread that does not own the receiver */
#define ZRX_STAGE_RECEIVE   9u /* waiting for events */
#define ZRX_STAGE_COUNT     10u

/* Name of a stage: "options", "area", ...; "none" if out of range. Any thread. Since 0.1. */
ZRX_API const char *zrx_stage_name(uint32_t stage);

/*
 * Why a call failed. All texts are NUL-terminated; empty where there is nothing to say.
 * A caller passes it with size set (ZRX_ERROR_INIT); on success it is left with code 0.
 */
struct zrx_error {
	uint32_t size;
	int32_t code;          /* negative errno, as returned; 0: no error */
	uint32_t stage;        /* what the library was about: ZRX_STAGE_* */
	uint32_t reserved;     /* zero */
	char message[240];     /* what was wrong, and where */
	char kernel_text[128]; /* the kernel's own explanation, if it gave one */
	char hint[256];        /* what to do about it: a command or a change */
};
/* Compound literals are not C++; a zeroed struct with its size set is all that is needed. */
#define ZRX_ERROR_INIT {sizeof(struct zrx_error), 0, 0, 0, {0}, {0}, {0}}

/* ---- Options ------------------------------------------------------------------------- */

/* zrx_options.flags */
#define ZRX_REQUIRE_ZERO_COPY  (1u << 0) /* refuse every engine that copies */
#define ZRX_QUEUE              (1u << 1) /* the queue field counts; without it a free queue is chosen */
#define ZRX_REFILL_RING_KERNEL (1u << 2) /* refill ring in memory that the kernel allocates */
#define ZRX_SMALL_AREA         (1u << 3) /* open on a queue although area_bytes is below its standing demand
					    (zrx_nic_demand): for tests, and for who knows better */
#define ZRX_PROCESSOR          (1u << 4) /* the processor field counts: pin the owner */
#define ZRX_OPTION_FLAGS                                                                           \
	(ZRX_REQUIRE_ZERO_COPY | ZRX_QUEUE | ZRX_REFILL_RING_KERNEL | ZRX_SMALL_AREA |             \
	 ZRX_PROCESSOR)

/* zrx_options.area_kind and zrx_info.area_kind */
#define ZRX_AREA_AUTO    0u /* explicit huge pages, else transparent ones, else pages */
#define ZRX_AREA_HUGETLB 1u /* explicit huge pages or an error that says what is in the way: of 2 MiB, else of
			       the smallest larger size that divides area_bytes; taken at open */
#define ZRX_AREA_THP     2u /* anonymous memory advised to be huge */
#define ZRX_AREA_PAGES   3u /* anonymous memory in pages of the system's size */
#define ZRX_AREA_CALLER  4u /* area_memory, provided by the caller */
#define ZRX_AREA_DMABUF  5u /* dmabuf_fd; engine zcrx only (Linux 6.16) */

/* zrx_options.nic_mode: who prepares the NIC (engine zcrx) */
#define ZRX_NIC_SETUP    0u /* the library: set up at open, restored at close */
#define ZRX_NIC_PREPARED 1u /* an administrator did: touch nothing, only check */

/*
 * zrx_options.steer: which flows are led to the queue (engine zcrx with ZRX_NIC_SETUP)
 *
 * Receivers of one interface with the same steer_port, in one process or in several of one user, share the port: the
 * NIC spreads its connections over their queues by hash. (An RSS context; where the driver has none, the second open fails
 * with -EOPNOTSUPP, and the first is not disturbed.) A connection can be read only by the receiver at whose queue it
 * arrives: compare SO_INCOMING_NAPI_ID of the accepted socket with napi_id of zrx_nic_inspect; at another receiver
 * zrx_receiver_add refuses it (-EXDEV). Open all receivers before listening: one that joins takes over an equal part of
 * the flows, those in progress too, which end with -EFAULT at the receiver that had them; nothing wrong or out of order is
 * delivered before that. One that leaves moves only its own.
 */
#define ZRX_STEER_CONNECTION 0u /* one rule for each socket, when it is added */
#define ZRX_STEER_PORT       1u /* rules for steer_port, at open; shared by receivers that name the same one */
#define ZRX_STEER_NONE       2u /* the caller steers */

/*
 * How to open a receiver. Zero in any field but size means the default. Every size is in bytes,
 * every count in entries.
 */
struct zrx_options {
	uint32_t size;
	uint32_t engine;           /* ZRX_ENGINE_* */
	uint32_t flags;            /* ZRX_REQUIRE_ZERO_COPY, ZRX_QUEUE, ... */
	uint32_t queue;            /* receive queue of the interface; only with ZRX_QUEUE */
	const char *interface;     /* netdev name, for engine zcrx; NULL: none */
	uint64_t area_bytes;       /* size of the area at open; a multiple of the page size. Default: 64 MiB;
				      on a NIC queue what it holds standing, and room for windows
				      (zrx_nic_demand) */
	uint32_t buffer_bytes;     /* largest buffer: a power of two. Default: the page size on zcrx
				      (rx_buf_len; larger needs Linux 7.0 and a driver that can, and
				      falls back to a page if not), 64 KiB where the kernel copies */
	uint32_t ring_entries;     /* completions the ring can hold; 8 to 32768. Default: 4096, or twice the
				      descriptors of a NIC queue, if those are more */
	uint32_t refill_entries;   /* refill ring; default: one for each chunk of the area, at most
				      32768; rounded up to a power of two */
	uint32_t area_kind;        /* ZRX_AREA_* */
	void *area_memory;         /* ZRX_AREA_CALLER: page-aligned, area_bytes long; the library uses
				      it until the last buffer is released */
	void (*area_free)(void *memory, uint64_t bytes, void *context);
				   /* ZRX_AREA_CALLER: called once, when nothing uses the memory any
				      more, on whichever thread let go last; NULL: not called. Not called
				      when open fails, nor if the kernel does not let go of the memory
				      (zrx_receiver_close, -EBUSY) */
	void *area_context;        /* passed to area_free */
	int32_t dmabuf_fd;         /* ZRX_AREA_DMABUF: duplicated, the caller keeps its own */
	uint32_t nic_mode;         /* ZRX_NIC_* */
	uint32_t steer;            /* ZRX_STEER_* */
	uint32_t steer_port;       /* ZRX_STEER_PORT: local TCP port, host byte order */
	uint64_t window_bytes;     /* window of streams that name none of their own
				      (zrx_stream_options); 0: automatic */
	uint64_t area_max_bytes;   /* how far the area may grow when a receiver runs out of it: a multiple of
				      buffer_bytes and of the page size, at least area_bytes; 0: not at all.
				      Address space is reserved for it at open, memory is not. On zcrx and
				      zcrx-nodev it needs Linux 7.3 (ZRX_FEATURE_ADD_AREA): before it they are
				      refused if they are named, and opened by ZRX_ENGINE_AUTO without growth
				      (zrx_info.area_max_bytes). ZRX_AREA_HUGETLB grows by explicit huge pages
				      as far as there are some, ZRX_AREA_AUTO takes none then. Not with
				      ZRX_AREA_CALLER or ZRX_AREA_DMABUF */
	uint32_t busy_poll_us;     /* a receive that would sleep polls the NIC for so long first, microseconds, at most
				      1000000; 0: it does not. Engines with a ring, Linux 6.9 (IORING_REGISTER_NAPI);
				      zrx_info.busy_poll_us tells whether it does */
	uint32_t processor;        /* with ZRX_PROCESSOR: the first receive pins its thread, which becomes the owner,
				      to this processor */
	uint64_t reserved;         /* zero */
};
#define ZRX_OPTIONS_INIT                                                                           \
	{sizeof(struct zrx_options), 0, 0, 0, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, 0, 0, 0,   \
	 0, 0, 0, 0, 0}

/*
 * How to add a socket. Zero in any field but size means the default.
 *
 * Window: how many bytes of the area a stream's buffers may hold, counted in whole chunks; from one chunk
 * (zrx_info.buffer_bytes) to the area. A stream at its window pauses: nothing more is asked of the kernel for it, what
 * comes stays in the socket, and TCP slows the peer down. It goes on by itself when enough is released. Engine recv never
 * passes it; multishot by what lay in its ring of buffers; the zcrx engines, whose requests are limited in bytes, where
 * fewer bytes come in a chunk than before. The automatic window, of streams for which nobody names one, is twice what is
 * free in the area beyond five eighths of it, at any time (a fourth, where there is one stream), and two chunks at least:
 * so as many consumers as a fourth of the chunks may stall, one after the other, and what is free does not run out. A
 * stream that has given back many times as much as it holds may have more, out of the upper half of what is left.
 */
struct zrx_stream_options {
	uint32_t size;
	uint32_t flags;       /* zero */
	uint64_t limit_bytes; /* end the stream after exactly so many bytes and leave the rest in the
				 socket; 0: no limit */
	uint64_t tag;         /* the caller's own, repeated in every event of the stream */
	uint64_t window_bytes; /* the most memory that its buffers may hold; 0: the receiver's window_bytes */
};
#define ZRX_STREAM_OPTIONS_INIT {sizeof(struct zrx_stream_options), 0, 0, 0, 0}

/* ---- Events and buffers -------------------------------------------------------------- */

struct zrx_receiver;
struct zrx_area; /* what a buffer belongs to; outlives its receiver */

/*
 * A view of received bytes. The caller may copy the struct; it is released once, by any copy.
 *
 * data is NULL where the memory has no CPU view: in an area of kind ZRX_AREA_DMABUF whose exporter
 * cannot be mapped (device memory, as a rule). All calls of this library work on such buffers, none
 * reads them; offset and length say where in the dma-buf the bytes are, for the device that has
 * it. Who needs to read the bytes checks data, of the first buffer already, and takes NULL for an
 * error, never for the end of the stream: a copy has to be made by the device (or by a mapping of the
 * caller's own, if the exporter offers one in another way), or the area has to be of another kind. Where
 * data is not NULL for a dma-buf, it is a read-only mapping; memory that is not coherent needs
 * DMA_BUF_IOCTL_SYNC around each read.
 */
struct zrx_buffer {
	const void *data;
	uint64_t offset;       /* from the start of the area */
	struct zrx_area *area; /* whose buffer it is; NULL in events that carry none */
	uint32_t slot;         /* for release */
	uint32_t generation;   /* for release */
	uint32_t length;       /* bytes; at least 1 */
	uint32_t reserved;     /* zero */
};

#define ZRX_EVENT_DATA  1u /* buffer holds the next bytes of the stream */
#define ZRX_EVENT_END   2u /* the stream is over, flags say how; no event of it follows */
#define ZRX_EVENT_ERROR 3u /* the stream is over: error has the negative errno; none follows */
#define ZRX_EVENT_ADDED 4u /* a group has added a socket here: it is a stream now, error has its descriptor */

/* zrx_event.flags of ZRX_EVENT_END; zero: the peer closed its side */
#define ZRX_END_LIMIT   1u /* limit_bytes were delivered; the socket may hold more */
#define ZRX_END_REMOVED 2u /* zrx_receiver_remove */

/*
 * zrx_event.flags of ZRX_EVENT_ADDED, and of ZRX_EVENT_ERROR where stream is 0: nothing was added then, and the tag says
 * what was to be.
 */
#define ZRX_ADDED_ACCEPTED 1u /* it came by zrx_group_listen. ADDED: the descriptor is the caller's, to be closed. ERROR: it
				 is closed already */
#define ZRX_ADDED_COPIED   2u /* ADDED: it arrives at a queue that is no receiver's of the group, and is served by copies. If the
				 NIC leads it to the queue of another receiver later, when the parts of a port are shared out
				 anew, it ends with -EFAULT */
#define ZRX_ADDED_LISTENER 4u /* ERROR: it is the listening socket itself that failed, and is no longer listened on */

/* What receiving hands out. 64 bytes in every release: the stride of an array is ABI. */
struct zrx_event {
	uint16_t kind;   /* ZRX_EVENT_* */
	uint16_t flags;  /* ZRX_END_*, ZRX_ADDED_* */
	int32_t error;   /* ZRX_EVENT_ERROR: negative errno (-ECONNRESET, ...); ZRX_EVENT_ADDED: the descriptor; else 0 */
	uint64_t stream; /* handle, as zrx_receiver_add gave it */
	uint64_t tag;    /* zrx_stream_options.tag */
	struct zrx_buffer buffer;
};

/* ---- Receiver ------------------------------------------------------------------------ */

/*
 * Open a receiver.
 *
 * receiver  where the handle goes; untouched on failure
 * options   may be NULL: all defaults
 * error     may be NULL; else filled on failure (ZRX_ERROR_INIT)
 *
 * Returns 0 or a negative errno; error->hint names what to do. The most common:
 *   -EPERM       io_uring is disabled (sysctl kernel.io_uring_disabled, or a seccomp profile), or
 *                CAP_NET_ADMIN is missing for engine zcrx: run with it, or take engine multishot
 *   -ENOSYS      this kernel has no io_uring: take engine recv
 *   -EOPNOTSUPP  kernel or driver cannot do what the named engine needs; also every engine that
 *                copies when ZRX_REQUIRE_ZERO_COPY is set
 *   -ENOMEM      the area cannot be had or pinned: raise RLIMIT_MEMLOCK or vm.nr_hugepages
 *   -ENODEV      no interface of this name
 *   -ERANGE      no such queue
 *   -ENOBUFS     area_bytes is below what the queue takes standing; the message has the arithmetic, the hint the number
 *                that would do (zrx_nic_demand)
 *   -EEXIST, -EBUSY  the queue is bound already; the message says by whom if that can be found. (Or, stage
 *                queue, it was bound and the kernel does not let go of it after a failure: area_memory must then
 *                stay mapped and unused. The message says so.)
 *   -EINVAL, -E2BIG  options: the message names the field
 * On failure nothing is left behind: no fd, mapping, NIC setting or rule.
 *
 * Does not bind the receiver to the calling thread. May block for as long as the NIC takes to be set
 * up. Any thread. Since 0.1.
 */
ZRX_API int zrx_receiver_open(struct zrx_receiver **receiver, const struct zrx_options *options,
			      struct zrx_error *error);

#define ZRX_CLOSE_DEFERRED 1

/*
 * Close a receiver. The handle is gone in any case. Buffers that are out stay valid and unchanged; the
 * area is freed with the last of them. Events not yet received are lost; sockets stay open and are the
 * caller's. NULL does nothing. No call may run on the handle at the same time, or later.
 *
 * Returns 0, or
 *   ZRX_CLOSE_DEFERRED  buffers are out, and the end of the ring could overwrite them: it is kept, and the
 *              NIC queue with it, until the last of them is released. So it is
 *              - on engine zcrx where the kernel is not known to stop the queue before it takes the chunks
 *                back that are out (Linux 7.2 is; zrx_info.features without ZRX_FEATURE_EVENTS is not). Every
 *                request is cancelled and the sockets are let go; flow rules are removed and a shared
 *                steer_port is left to the others, at close;
 *              - when called on another thread than the owner, or after the owner has exited: the kernel lets
 *                only the owner cancel its requests, so the reference to each added socket is kept, too.
 *              Until then the queue counts as bound and claimed: other receivers choose another, and
 *              zrx_nic_undo gives -EBUSY. The caller need do nothing but release.
 *   -EBUSY     the ring is closed, but the kernel has not let go of the queue within 10 s, so that the NIC may
 *              still write into the area: its memory is leaked, never unmapped and never given to area_free;
 *              the caller's own must stay mapped and unused until the process ends. `zcrx nic restore` puts
 *              the NIC back later. Nobody can be told of that by a release that closes a deferred receiver:
 *              area_free is then not called.
 *
 * Blocks until the kernel has let go of each request (microseconds) and, on engine zcrx, of the queue, and the
 * NIC is as it was: as a rule milliseconds, as long as the driver takes, at most some 10 s. After
 * ZRX_CLOSE_DEFERRED it is the last release that blocks so, on whichever thread it runs; without CAP_NET_ADMIN
 * there, what it cannot put back is left to `zcrx nic restore` or to the next receiver. Since 0.1.
 */
ZRX_API int zrx_receiver_close(struct zrx_receiver *receiver);

/*
 * Add a connected TCP socket.
 *
 * fd       stays the caller's, who may close it at any time: the receiver holds its own reference to the
 *          socket until the stream ends, so a close() alone sends no FIN before that; use shutdown().
 *          While it is added, read the socket by no other means. Writing is free.
 * options  may be NULL
 * stream   the handle; never reused for another stream of this receiver
 *
 * Returns 0, or
 *   -EBADF, -ENOTSOCK   not an open socket
 *   -EPROTONOSUPPORT    not plain TCP (UDP, MPTCP, Unix, or TLS in the kernel): use another way to read it
 *   -ENOTCONN           not connected: connect or accept first
 *   -EEXIST             already added to this receiver: remove it, or wait for its end event
 *   -ENOBUFS            (engine zcrx, steered by port) what its receive queue may hold does not fit into the area beside
 *                       the other streams': the message has the arithmetic, and the area_bytes that would do
 *   -EXDEV              (engine zcrx) its bytes arrive at another receiver's queue, and only that one can
 *                       read them: add it there, by SO_INCOMING_NAPI_ID (see ZRX_STEER_PORT)
 *   -EPERM              wrong thread (stage thread)
 *   -EMFILE, -ENFILE    out of file descriptors (each stream takes one): raise ulimit -n
 *   -ENOMEM, -EINVAL, -E2BIG
 * or, on engine zcrx steered by connection, what setting a flow rule for it gives, stage nic:
 *   -ENOSPC             the NIC's table of flow rules is full, and stays so until a stream ends: add the socket
 *                       then, receive from it in another way, or steer by port
 *   -EEXIST             somebody else's rule has this connection
 *   -EBUSY, ...         as zrx_receiver_error tells
 * After a failure nothing is changed. zrx_receiver_error tells more.
 *
 * On engine zcrx what lies unread in the socket holds chunks of the area, too. The socket therefore gets a receive buffer
 * of fixed size, a share of what the area has for that (zrx_stream_stats.receive_buffer), which goes back when the
 * stream ends, and grows when others have. It limits the stream to as many bytes in a round-trip time: for a long way
 * set SO_RCVBUF before; that is kept if at most half of what is left is enough. Steered by connection, a socket that
 * finds no share is added all the same: its flow is not led to the queue, and its bytes are copied (copied_bytes).
 * Areas too small for any share, and ZRX_SMALL_AREA once there is none left, leave the socket's buffer alone.
 *
 * Owner's thread (or any one thread before the first receive). Does
 * not wait for the peer; on engine zcrx it may wait for the driver, which sets a rule or lists its queues. Since 0.1.
 */
ZRX_API int zrx_receiver_add(struct zrx_receiver *receiver, int fd,
			     const struct zrx_stream_options *options, uint64_t *stream);

/*
 * Remove a stream. Bytes that the kernel has already delivered still come as data, then one end event
 * with ZRX_END_REMOVED (or the end or error that came first); after it the kernel holds no reference to the
 * socket. Bytes that are still in the socket stay there.
 *
 * Returns 0, -ENOENT if the stream has ended or never was (harmless), or -EPERM on the wrong thread.
 * Owner's thread. Does not block. Since 0.1.
 */
ZRX_API int zrx_receiver_remove(struct zrx_receiver *receiver, uint64_t stream);

/*
 * Pause a stream by hand: nothing more is asked of the kernel for it until zrx_receiver_resume. Its handle, its
 * descriptor and its flow rule stay, there is no event, and what comes stays in the socket; so does the peer's end, or its
 * error, which is told after the resume. Bytes that the kernel has already delivered still come as data.
 *
 * Returns 0; -ENOENT if the stream has ended or never was; -EALREADY if it is paused by hand already (nothing is changed;
 * a stream that rests at its window is not: that is no pause by hand); or -EPERM on the wrong thread. Owner's thread.
 * Does not block. Since 0.1.
 */
ZRX_API int zrx_receiver_pause(struct zrx_receiver *receiver, uint64_t stream);

/*
 * Let a stream go on that was paused by hand: at once, or, if it is at its window, when enough is released.
 *
 * Returns 0; -ENOENT if the stream has ended or never was; -EALREADY if it is not paused by hand; or -EPERM on the wrong
 * thread. Owner's thread. Does not block. Since 0.1.
 */
ZRX_API int zrx_receiver_resume(struct zrx_receiver *receiver, uint64_t stream);

/*
 * Receive events.
 *
 * events      array of capacity entries; the first `count` are written whole
 * capacity    1 to 65536; 64 to 256 is a good batch
 * timeout_ns  0: do not wait; negative: wait for ever (and so it is above INT64_MAX / 2); else at most so long
 *
 * Returns the count of events; 0 when the time is over or zrx_receiver_wake was called; or
 *   -EINTR   there were no events and a signal came (or the kernel ended the wait for reasons of its own,
 *            such as tearing down a ring this thread closed before): handle it, call again; nothing is lost
 *   -EPERM   another thread owns this receiver (stage thread)
 *   -EINVAL  capacity 0, too large, or events NULL
 *   -ENOMEM  for what streams or buffers are kept in: free memory, call again; nothing is lost
 *   other    the ring itself failed, see zrx_receiver_error: close the receiver
 *
 * Every data event's buffer is the caller's until it is released. A stream whose buffers hold its window pauses
 * (zrx_stream_options.window_bytes), and goes on once enough of them are released, even during this call; the others are
 * not concerned. Where the area is used up all the same, streams park by themselves and resume likewise.
 *
 * Blocks for at most timeout_ns while there is no event. Beyond that: while the kernel runs what has completed, which
 * is work and no wait; when a stream ends whose socket nobody else holds and that lingers (SO_LINGER), for as long as it
 * does; and with engine zcrx, when a stream ends whose flow rule has to be removed, for the driver.
 *
 * The first call binds the receiver to its thread, for ever: no other thread takes over, not even after the owner has
 * exited. Since 0.1.
 */
ZRX_API int zrx_receiver_receive(struct zrx_receiver *receiver, struct zrx_event *events,
				 uint32_t capacity, int64_t timeout_ns);

/*
 * A descriptor that polls readable (POLLIN) when receive has something to do; for event loops: on
 * readable, call receive with timeout 0 until it returns less than capacity. Do not read or close it.
 * Call receive once before polling it: that starts the streams. Any thread. Never fails. Since 0.1.
 */
ZRX_API int zrx_receiver_fd(const struct zrx_receiver *receiver);

/*
 * Make a receive that sleeps, or else the next one, return at once (with 0 if there is no event).
 * Several wakes may merge into one. Returns 0. Any thread; async-signal-safe. Does not block: it writes to an eventfd. Since
 * 0.1.
 */
ZRX_API int zrx_receiver_wake(struct zrx_receiver *receiver);

/*
 * What the last failed add, remove or receive on this receiver was about; on a thread that is not the owner: that
 * it is not. error->size must be set. Returns 0, or -EINVAL. Does not block. Since 0.1.
 */
ZRX_API int zrx_receiver_error(const struct zrx_receiver *receiver, struct zrx_error *error);

/*
 * Release buffers: give their bytes back to the kernel. Any order, any thread, no system call in the
 * common case, no allocation; never waits for the receiving thread. The memory must not be read afterwards.
 * Only the last release after a deferred close blocks: it closes the ring, and waits for the NIC
 * (zrx_receiver_close).
 *
 * Returns 0 when all were released, or the first error; the others are released nevertheless:
 *   -EALREADY  released before (a bug of the caller; nothing was changed)
 *   -EINVAL    not a buffer of this library
 * Detection of a second release holds while the receiver or any other of its buffers lives.
 * In a forked child it does nothing and returns 0. Does not block, unless it is the last release after close, which
 * frees what close left (see there). Since 0.1.
 */
ZRX_API int zrx_buffer_release(const struct zrx_buffer *buffers, uint32_t count);

/*
 * Release the buffers of a whole batch of events; events without one are passed over. Returns and threads as for
 * zrx_buffer_release. Since 0.1.
 */
ZRX_API int zrx_event_release(const struct zrx_event *events, uint32_t count);

/* ---- Information --------------------------------------------------------------------- */

/* zrx_stats.stall */
#define ZRX_STALL_NONE    0u /* nothing stands still */
#define ZRX_STALL_BUFFERS 1u /* every chunk is out: release buffers, or open with a larger area */
#define ZRX_STALL_COPIES  2u /* the kernel must copy (an unsplit or unsteered flow) and the NIC holds all free
				chunks: steer the flow, enable header/data split, or enlarge the area */

#define ZRX_UNKNOWN UINT64_MAX /* the kernel does not tell */

/* Counters since open, unless said otherwise. Bytes and counts. */
struct zrx_stats {
	uint32_t size;
	uint32_t stall;              /* why streams make no progress, now: ZRX_STALL_* */
	uint64_t bytes;              /* bytes delivered */
	uint64_t buffers;            /* buffers delivered */
	uint64_t released;           /* buffers given back */
	uint64_t outstanding;        /* buffers out, now */
	uint64_t streams;            /* streams added and not ended, now */
	uint64_t parked;             /* streams waiting for buffers, now */
	uint64_t parks;              /* times a stream had to wait for buffers */
	uint64_t rearms_ring_full;   /* requests started again: the completion ring was full (ENOSPC, overflow) */
	uint64_t rearms_no_buffer;   /* requests started again: the kernel had no buffer (ENOBUFS, ENOMEM) */
	uint64_t rearms_silent;      /* requests started again: they may have stopped without saying so */
	uint64_t rearms_interrupted; /* requests started again: EINTR, ECANCELED, or ended early for no stated reason */
	uint64_t backlog;            /* released buffers waiting for room in the refill ring, now */
	uint64_t backlog_high;       /* the most that ever waited so */
	uint64_t flushes;            /* times the refill ring was drained on request (ZCRX_CTRL_FLUSH_RQ) */
	uint64_t copied_bytes;       /* bytes copied by the kernel into the area; on zcrx what its counters show (7.2+,
					fragments only, not bytes of packet heads); else ZRX_UNKNOWN */
	uint64_t copied_buffers;     /* buffers that it copied into; else ZRX_UNKNOWN */
	uint64_t alloc_failures;     /* times the driver found no chunk (7.2+); else ZRX_UNKNOWN */
	uint64_t waits;              /* receives that asked the kernel (system calls) */
	uint64_t wakes;              /* receives that were woken */
	uint64_t paused;             /* streams that rest, at their window or by hand, now */
	uint64_t pauses;             /* times a stream came to rest at its window */
	uint64_t held_bytes;         /* memory that buffers out hold, in whole chunks, as the owner last saw it; a
					chunk that several streams hold counts for each */
	uint64_t area_bytes;         /* size of the area, now */
};
#define ZRX_STATS_INIT                                                                                                \
	{sizeof(struct zrx_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/*
 * Read the counters, one after the other. Returns 0, or -EINVAL if size is not set. Any thread. Does not block: no lock,
 * no system call. Since 0.1.
 */
ZRX_API int zrx_receiver_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats);

/* One stream. Bytes and counts. */
struct zrx_stream_stats {
	uint32_t size;
	uint32_t at_window;      /* 1: it rests because its buffers hold its window: release some */
	uint32_t paused;         /* 1: it rests because of zrx_receiver_pause */
	uint32_t reserved;       /* zero */
	uint64_t bytes;          /* bytes delivered */
	uint64_t held_bytes;     /* memory that its buffers hold, now, in whole chunks */
	uint64_t window_bytes;   /* how much it may hold, now */
	uint64_t receive_buffer; /* receive buffer that its socket was given, as getsockopt(SO_RCVBUF) tells it, so that
				    what lies in it cannot take the area; 0: it was left alone (all engines but
				    zcrx), or is served by copies (zrx_receiver_add) */
};
#define ZRX_STREAM_STATS_INIT {sizeof(struct zrx_stream_stats), 0, 0, 0, 0, 0, 0, 0}

/*
 * Read the figures of one stream. Returns 0, -ENOENT if it has ended or never was, -EINVAL if size is not set, or -EPERM
 * on the wrong thread. Owner's thread. Does not block. Since 0.1.
 */
ZRX_API int zrx_stream_stats(const struct zrx_receiver *receiver, uint64_t stream,
			     struct zrx_stream_stats *stats);

/* zrx_info.features */
#define ZRX_FEATURE_FLUSH         (1u << 0) /* the refill ring drained on request (ZCRX_CTRL_FLUSH_RQ), 6.19 */
#define ZRX_FEATURE_EVENTS        (1u << 1) /* zcrx events and statistics, 7.2 */
#define ZRX_FEATURE_RX_BUF_LEN    (1u << 2) /* buffers above a page, 7.0 */
#define ZRX_FEATURE_NODEV         (1u << 3) /* zcrx without a device (ZCRX_REG_NODEV), 7.1 */
#define ZRX_FEATURE_DMABUF        (1u << 4) /* dma-buf areas, 6.16 */
#define ZRX_FEATURE_INCREMENTAL   (1u << 5) /* provided buffers consumed bit by bit, 6.12 */
#define ZRX_FEATURE_DEFER_TASKRUN (1u << 6) /* completions made on the owner's thread, 6.1 */
#define ZRX_FEATURE_ADD_AREA      (1u << 7) /* zcrx areas that grow (ZCRX_CTRL_ADD_AREA), 7.3 */
#define ZRX_FEATURE_BUSY_POLL     (1u << 8) /* polling the NIC before sleep (IORING_REGISTER_NAPI), 6.9 */
#define ZRX_FEATURE_SHARED_QUEUE  (1u << 9) /* a queue that several rings share (ZCRX_CTRL_EXPORT, ZCRX_REG_IMPORT), 6.19 */

/* What was opened. */
struct zrx_info {
	uint32_t size;
	uint32_t engine;         /* the engine in use, never AUTO: ZRX_ENGINE_* */
	uint32_t zero_copy;      /* 1: payload of steered and split traffic is not copied */
	uint32_t features;       /* what of the kernel is in use: ZRX_FEATURE_* */
	char interface[16];      /* name of the interface, if there is one */
	uint32_t queue;          /* receive queue of the interface; 0 without one */
	uint32_t area_kind;      /* what the area is made of, never AUTO: ZRX_AREA_* */
	uint64_t area_bytes;     /* size of the area, at open */
	uint32_t buffer_bytes;   /* largest buffer; also the chunk that the kernel manages */
	uint32_t ring_entries;   /* entries of the completion ring; 0 for engine recv */
	uint32_t refill_entries; /* entries of the refill or provided-buffer ring; 0 for engine recv */
	uint32_t reserved;       /* zero */
	uint64_t area_max_bytes; /* how far it may grow; area_bytes where it does not, or cannot */
	uint64_t demand_bytes;   /* of it, what the queue and its page pool hold standing (zrx_nic_demand); 0 without
				    a queue */
	uint64_t window_bytes;   /* window of streams that name none; 0: automatic */
	const void *area_base;   /* where the area lies: buffer.data - buffer.offset; NULL without a CPU view */
	int32_t numa_node;       /* NUMA node on which the area's memory is preferred: the NIC's; -1: none */
	int32_t processor;       /* to which the owner is pinned, or will be; -1: to none */
	uint32_t busy_poll_us;   /* how long a receive polls the NIC before it sleeps; 0: it does not, or this kernel or
				    engine cannot */
	uint32_t reserved2;      /* zero */
};
#define ZRX_INFO_INIT                                                                              \
	{sizeof(struct zrx_info), 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0}

/* Tell what was opened. Returns 0, or -EINVAL if size is not set. Any thread. Does not block, as above. Since 0.1. */
ZRX_API int zrx_receiver_info(const struct zrx_receiver *receiver, struct zrx_info *info);

/*
 * Tell why an engine that is better than the one in use is not used. refusal->size must be set.
 *
 * Returns 1 with refusal filled: it was refused; 0 with refusal cleared: it is the one in use, no better one, or was
 * not asked for; -EINVAL: no such engine, or size is not set. Any thread. Since 0.1.
 */
ZRX_API int zrx_receiver_refusal(const struct zrx_receiver *receiver, uint32_t engine,
				 struct zrx_error *refusal);

/* ---- Groups -------------------------------------------------------------------------- */

/*
 * A group is several receivers, each with a thread of its own, that share the connections of a server: one for each of
 * several NIC queues, or several on an engine that copies. Each socket goes to the receiver at whose queue it arrives,
 * else to the one with the fewest streams; its thread learns of it by ZRX_EVENT_ADDED.
 *
 *     open the group; zrx_group_listen
 *     in each thread: receiver = zrx_group_receiver(group, i); zrx_receiver_receive(receiver, ...) as ever;
 *                     zrx_receiver_close(receiver)
 *     zrx_group_close
 */
struct zrx_group;

/* zrx_group_options.flags */
#define ZRX_GROUP_PIN       (1u << 0) /* pin each owner to a processor of its own, of the NIC's NUMA node where there is one,
					 that does not serve the interrupt of its queue (of any of the group's, where there
					 are enough) */
#define ZRX_GROUP_PIN_QUEUE (1u << 1) /* pin each owner to the processor that serves the interrupt of its queue, as it is at
					 open; as ZRX_GROUP_PIN where that is not told. The affinity of interrupts is read,
					 never written */
#define ZRX_GROUP_SHARED_QUEUE (1u << 2) /* engines zcrx and zcrx-nodev: all receivers take from one queue and one area (Linux
					    6.19, ZRX_FEATURE_SHARED_QUEUE), for NICs with fewer queues than threads. Engines
					    that copy have nothing to share: there it does nothing */
#define ZRX_GROUP_FLAGS     (ZRX_GROUP_PIN | ZRX_GROUP_PIN_QUEUE | ZRX_GROUP_SHARED_QUEUE)

#define ZRX_GROUP_RECEIVERS 256u /* of a group, at most */
#define ZRX_GROUP_LISTENERS 16u  /* listening sockets of a group, at most */

/* How to open a group. Zero in any field but size means the default. */
struct zrx_group_options {
	uint32_t size;
	uint32_t flags;        /* ZRX_GROUP_* */
	uint32_t count;        /* receivers; default: as many as processors that this process may use, at most 16, and on a
				  NIC as many of them as there are free queues */
	uint32_t inbox_entries; /* sockets that may wait for the thread of a receiver, each; rounded up to a power of two from 2
				   to 65536. Default: 1024 */
	const struct zrx_options *receiver; /* how to open each of them; NULL: all defaults */
	uint64_t reserved[2];  /* zero */
};
#define ZRX_GROUP_OPTIONS_INIT {sizeof(struct zrx_group_options), 0, 0, 0, NULL, {0, 0}}

/*
 * Open a group.
 *
 * group    where the handle goes; untouched on failure
 * options  may be NULL: all defaults
 * error    may be NULL; else filled on failure
 *
 * Each receiver has an area, a ring and, on engine zcrx, a queue of its own: area_bytes and the like count for each. With
 * ZRX_ENGINE_AUTO the first decides which engine all have. With ZRX_QUEUE they take the queues from that one on. With
 * ZRX_STEER_PORT the NIC spreads the connections to steer_port over the queues by an RSS context; where the driver has none, they
 * are led to them one by one, as with ZRX_STEER_CONNECTION. area_memory and dmabuf_fd are refused (-EINVAL): no two receivers
 * can have the same. In a group a queue never refuses a socket for want of a share of its area (zrx_receiver_add): with
 * ZRX_STEER_PORT its receive buffer is fixed at 64 KiB then, with ZRX_STEER_CONNECTION it is served by copies.
 *
 * With ZRX_GROUP_SHARED_QUEUE there is one area, one refill ring and one queue: area_bytes is that of all receivers, of which
 * each may use an equal part (windows, receive buffers); area_max_bytes is refused (-EINVAL), and so is ZRX_GROUP_PIN_QUEUE.
 * Connections go to the receiver with the fewest streams. The NIC is put back when the last receiver is closed. Receivers may
 * be closed in any order; buffers that are out then still return to the queue. What the kernel counts of the queue (copied_bytes,
 * copied_buffers, alloc_failures) is in the stats of the first receiver alone.
 *
 * Returns 0, or what zrx_receiver_open returns for the first receiver that cannot be opened, which the message names. -EBUSY:
 * there are fewer free queues than count (one is left for other traffic). On failure nothing is left behind. May block for as long as the NIC
 * takes to be set up. Any thread. Since 0.1.
 */
ZRX_API int zrx_group_open(struct zrx_group **group, const struct zrx_group_options *options,
			   struct zrx_error *error);

/*
 * Close a group: stop listening, and close each receiver that its owner has not closed, as zrx_receiver_close does on this
 * thread. No call may run on the group or a receiver of it at the same time, or later; releases may. Sockets that were
 * handed over and not yet added are let go: those that were accepted are closed. NULL does nothing.
 *
 * Returns 0, ZRX_CLOSE_DEFERRED or -EBUSY: the worst of what closing the receivers gave. Blocks as that does. Since 0.1.
 */
ZRX_API int zrx_group_close(struct zrx_group *group);

/* How many receivers the group was opened with. Any thread. Does not block. Since 0.1. */
ZRX_API uint32_t zrx_group_count(const struct zrx_group *group);

/*
 * A receiver of the group, from 0 on: for the thread that is to receive from it; NULL if there is none of this number, or it
 * is closed. It works as any other. Its owner may close it at any time (zrx_receiver_close): it leaves the group then, what
 * waits in its inbox goes to the others, as far as theirs have room (the rest is let go, zrx_group_stats.refused), and on a
 * NIC so do the connections that begin later. The last one that is closed
 * stops the listening. Any thread, as long as nobody closes that receiver meanwhile. Does not block. Since 0.1.
 */
ZRX_API struct zrx_receiver *zrx_group_receiver(const struct zrx_group *group, uint32_t index);

/*
 * Add a connected TCP socket to the receiver at whose queue it arrives, or to the one that has the fewest streams. That
 * receiver's next receive adds it, and says so by ZRX_EVENT_ADDED with the stream's handle, the tag, and fd; or by
 * ZRX_EVENT_ERROR with the tag and stream 0, if zrx_receiver_add gives an error there. Its other events follow.
 *
 * fd       stays the caller's, who may close it at any time, as for zrx_receiver_add
 * options  may be NULL
 * error    may be NULL; else filled on failure
 *
 * Returns 0: it is handed over; or
 *   -EBADF, -ENOTSOCK, -EPROTONOSUPPORT, -ENOTCONN, -EINVAL, -E2BIG, -EMFILE, -ENFILE   as zrx_receiver_add
 *   -ENOBUFS   the receiver at whose queue it arrives, or each of them, has inbox_entries sockets waiting: its
 *              thread does not receive
 *   -ESHUTDOWN every receiver of the group is closed
 * After a failure nothing is changed. Any thread. Does not block; a system call wakes the receiver's thread, if it
 * sleeps. Since 0.1.
 */
ZRX_API int zrx_group_add(struct zrx_group *group, int fd, const struct zrx_stream_options *options,
			  struct zrx_error *error);

/*
 * Accept the connections of a listening TCP socket, and add each as zrx_group_add does. The receivers' threads do so while they
 * receive, whichever is idle; a thread that is busy keeps one connection waiting at most, and not longer than
 * until the next one comes. Each comes by ZRX_EVENT_ADDED with
 * ZRX_ADDED_ACCEPTED and a descriptor that is the caller's to close, after its last event as well as before; or, if it cannot be
 * added, by ZRX_EVENT_ERROR, and is closed. Where descriptors or memory are short, or an inbox is full, connections wait in the
 * socket's backlog and are accepted later (zrx_group_stats.accept_retries). A listening socket that fails ends with one
 * ZRX_EVENT_ERROR with ZRX_ADDED_LISTENER, at one receiver.
 *
 * listen_fd  stays the caller's, who may close it at any time; it is listened on until the group, or its last receiver, is closed. Its file
 *            is set non-blocking, and put back then
 * options    for each of its streams, and the tag of all of their events; may be NULL
 * error      may be NULL; else filled on failure
 *
 * Returns 0; -EBADF, -ENOTSOCK; -EPROTONOSUPPORT (not TCP); -EINVAL (it does not listen, or options are wrong); -E2BIG; -ENOSPC
 * (ZRX_GROUP_LISTENERS of them are there already); -EMFILE, -ENFILE; -ESHUTDOWN (every receiver is closed). Any thread. Does not
 * block. Since 0.1.
 */
ZRX_API int zrx_group_listen(struct zrx_group *group, int listen_fd,
			     const struct zrx_stream_options *options, struct zrx_error *error);

/* What a group did, since it was opened, unless said otherwise. */
struct zrx_group_stats {
	uint32_t size;
	uint32_t receiver_capacity;  /* in: entries of receivers */
	struct zrx_stats *receivers; /* in: array for the figures of each receiver, the size set in the first: the stride; those
					of closed ones are zero. NULL: none are wanted */
	struct zrx_stats *sum;       /* in: where their sums go, those of closed ones included, its size set; NULL: not wanted */
	uint32_t receiver_count;     /* receivers that are open; the first receiver_capacity of all are written */
	uint32_t waiting;            /* sockets in inboxes, now */
	uint64_t accepted;           /* connections accepted */
	uint64_t added;              /* sockets added to receivers */
	uint64_t handed_over;        /* sockets that went through an inbox: added on another thread than the one that brought
					them */
	uint64_t copied;             /* sockets added that arrive at a queue that is no receiver's, and are served by copies */
	uint64_t refused;            /* sockets that could not be added */
	uint64_t inbox_full;         /* times a socket found an inbox full: a thread does not receive */
	uint64_t accept_retries;     /* times accepting had to wait: no descriptors, no memory, or no room in an inbox */
};
#define ZRX_GROUP_STATS_INIT                                                                       \
	{sizeof(struct zrx_group_stats), 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/*
 * Read the counters of a group and of its receivers, one after the other. In a sum, stall is the first receiver's that has
 * one, backlog_high the highest of all, and what one receiver does not tell is ZRX_UNKNOWN. Returns 0, or -EINVAL if a size is
 * not set. Any thread. May wait for a thread that opens or closes a receiver. Since 0.1.
 */
ZRX_API int zrx_group_stats(struct zrx_group *group, struct zrx_group_stats *stats);

/* ---- Probe --------------------------------------------------------------------------- */

#define ZRX_CHECK_OK      0u /* as it should be */
#define ZRX_CHECK_MISSING 1u /* zero-copy cannot work without it */
#define ZRX_CHECK_WARN    2u /* works, but worse than it could */
#define ZRX_CHECK_UNKNOWN 3u /* cannot be told from here */

/* One precondition. 512 bytes in every release: the stride of an array is ABI. */
struct zrx_check {
	uint32_t state;    /* how it stands: ZRX_CHECK_* */
	uint32_t reserved; /* zero */
	char name[40];     /* short and stable: "kernel", "cap_net_admin", "io_uring", "memlock", ... */
	char detail[208];  /* what is, in words */
	char hint[256];    /* the command that mends it; empty if state is OK */
};

#define ZRX_PROBE_CHECKS 16 /* room for the checks of this release */

/* What this kernel lets this process do. */
struct zrx_capabilities {
	uint32_t size;
	uint32_t check_capacity;  /* in: entries of checks */
	struct zrx_check *checks; /* in: array for the checks; NULL: none are wanted */
	uint32_t check_count;     /* how many there are; the first check_capacity are written */
	uint32_t engines;         /* engines that can be opened here (zcrx: given a capable interface): bits
				     (1 << ZRX_ENGINE_x) */
	uint32_t features;        /* what the kernel has: ZRX_FEATURE_* */
	uint32_t page_bytes;      /* size of a page */
	uint32_t kernel_version;  /* version of the kernel, for display, not for decisions: major << 16 | minor << 8 |
				     patch */
	uint32_t reserved;        /* zero */
};

/*
 * Find out what this kernel, with this process' rights and limits, can do: by asking it
 * (IORING_REGISTER_QUERY; trial before 6.18), never by its version. Changes nothing. Returns 0, or -EINVAL
 * if size is not set. Any thread. Takes a few system calls; may block shortly. Since 0.1.
 */
ZRX_API int zrx_probe(struct zrx_capabilities *capabilities);

/*
 * Tell why an engine cannot be opened here. It asks the kernel anew, as zrx_probe does. refusal->size must be set.
 *
 * Returns 1 with refusal filled; 0 with refusal cleared: it can be opened; -EINVAL: no such engine, or size is not
 * set. Any thread. May block shortly. Since 0.1.
 */
ZRX_API int zrx_probe_refusal(uint32_t engine, struct zrx_error *refusal);

/* ---- NIC ----------------------------------------------------------------------------- */

/*
 * What engine zcrx needs of an interface: traffic of others led away from the queue (RSS), header/data split
 * on, its threshold 0, flow rules possible. zrx_receiver_open sees to all of it by itself
 * (ZRX_NIC_SETUP) and puts everything back at close. The calls below are for looking (inspect, plan), for
 * setting up ahead of time, for programs that run with fewer rights (apply, undo), and for what a killed
 * process left (restore). Every change is in a journal in /run/zcrx before it is made.
 */

/* zrx_nic_report.split */
#define ZRX_NIC_SPLIT_UNKNOWN 0u /* the driver does not tell, or has no split */
#define ZRX_NIC_SPLIT_OFF     1u /* headers and payload stay together */
#define ZRX_NIC_SPLIT_ON      2u /* they are put apart */

/* zrx_nic_report.bound: who feeds the queue with memory */
#define ZRX_NIC_BOUND_IO_URING (1u << 0) /* a zcrx area */
#define ZRX_NIC_BOUND_DMABUF   (1u << 1) /* device memory */
#define ZRX_NIC_BOUND_XSK      (1u << 2) /* an AF_XDP socket */
#define ZRX_NIC_BOUND_LEASE    (1u << 3) /* lent to another interface */

#define ZRX_NIC_FREE_QUEUE UINT32_MAX /* in place of a queue's number: one that is free */
#define ZRX_NIC_CHECKS     12 /* room for the checks of this release */

/* One interface and one of its receive queues, now. */
struct zrx_nic_report {
	uint32_t size;
	uint32_t check_capacity;  /* in: entries of checks */
	struct zrx_check *checks; /* in: array for the checks; NULL: none are wanted */
	uint32_t check_count;     /* how many there are; the first check_capacity are written */
	uint32_t ifindex;         /* index of the interface */
	uint32_t queue;           /* the queue looked at; ZRX_NIC_FREE_QUEUE if there is no free one */
	uint32_t queue_count;     /* receive queues; 0: not told, while the interface is down */
	char driver[32];          /* name of the driver */
	char firmware[32];        /* version of the firmware */
	uint32_t ring_entries;    /* entries of each receive queue; 0: not told */
	uint32_t split;           /* header/data split: ZRX_NIC_SPLIT_* */
	uint32_t hds_thresh;      /* packets smaller than so many bytes are not split */
	uint32_t ntuple;          /* 1: flow rules are on */
	uint32_t rules;           /* flow rules that there are */
	uint32_t rss_entries;     /* entries of the RSS table; 0: there is none */
	uint32_t rss_to_queue;    /* those of them that lead to the queue */
	uint32_t bound;           /* who feeds the queue with memory: ZRX_NIC_BOUND_* */
	uint32_t napi_id;         /* NAPI id of the queue, as SO_INCOMING_NAPI_ID tells it; 0: not told */
	uint32_t irq;             /* interrupt of the queue; 0: not told */
	int32_t irq_processor;    /* a processor that serves the interrupt; -1: not told */
	int32_t numa_node;        /* NUMA node of the NIC; -1: none, or not told */
};

/*
 * Look at an interface and a queue of it. Changes nothing; needs no rights.
 *
 * Returns 0, -ENODEV if there is no such interface, -EINVAL if report->size is not set, or what reading gave. A
 * setting that is missing is no error but a check. Any thread. Does not block. Since 0.1.
 */
ZRX_API int zrx_nic_inspect(const char *interface, uint32_t queue, struct zrx_nic_report *report,
			    struct zrx_error *error);

/* What a queue takes of an area before a program has a byte of it, and how much an area should have. */
struct zrx_nic_demand {
	uint32_t size;
	uint32_t queue;           /* the queue looked at */
	uint32_t ring_entries;    /* descriptors of the queue */
	uint32_t chunk_bytes;     /* what the area is cut into there: buffer_bytes, or a page */
	uint32_t mtu;             /* MTU of the interface, bytes; 0: not told */
	uint32_t hw_gro;          /* 1: the NIC merges packets; 0: it does not, or it is not told */
	uint64_t descriptor_bytes; /* held by descriptors that wait for packets */
	uint64_t pool_bytes;      /* held by the page pool beside those: its cache and what it refills by */
	uint64_t demand_bytes;    /* the sum: what is standing. Below it nothing flows, or it starves */
	uint64_t area_bytes;      /* the default size of an area there: the demand, and room for windows */
	char arithmetic[160];     /* how it comes about, in words */
};

/*
 * Tell what a queue takes standing, from the settings of driver and rings, and which size of area it asks for. interface,
 * flags, queue and buffer_bytes of the options count. Changes nothing; needs no rights. zrx_receiver_open does the same, and
 * refuses (-ENOBUFS) an area_bytes below the demand, unless ZRX_SMALL_AREA is set.
 *
 * Returns 0, -ENODEV if there is no such interface, -ERANGE if it has no such queue, -EINVAL if demand->size is
 * not set, or what reading gave. Any thread. Does not block. Source, per driver: kernel/nic/demand.c. Since 0.1.
 */
ZRX_API int zrx_nic_demand(const struct zrx_options *options, struct zrx_nic_demand *demand,
			   struct zrx_error *error);

#define ZRX_NIC_STEPS 8 /* room for the steps of this release */

/* One change of a plan. 256 bytes in every release: the stride of an array is ABI. */
struct zrx_nic_step {
	char setting[40];  /* "rss", "tcp-data-split", "hds-thresh", "ntuple", "rss-context" or "rule" */
	char command[216]; /* the equivalent ethtool line */
};

/*
 * Tell what zrx_receiver_open or zrx_nic_apply would change with these options (interface, flags, queue,
 * steer and steer_port count), in order. Changes nothing; needs no rights.
 *
 * steps     array of capacity entries; may be NULL if capacity is 0
 * capacity  ZRX_NIC_STEPS is enough
 * queue     which queue would be taken
 *
 * Returns how many steps there are, of which the first capacity are written, or the error that those calls would give.
 * Any thread. May wait some seconds for a queue that is just being let go. Since 0.1.
 */
ZRX_API int zrx_nic_plan(const struct zrx_options *options, struct zrx_nic_step *steps,
			 uint32_t capacity, uint32_t *queue, struct zrx_error *error);

/*
 * Set a queue up for receivers that come later, in this or any process, with ZRX_NIC_PREPARED and this queue. It
 * stays so until zrx_nic_undo. With ZRX_STEER_PORT the rules for steer_port are set as well.
 *
 * queue  which queue it is; may be NULL
 *
 * Returns 0 or a negative errno; on failure nothing has changed. The most common: -EPERM and -EACCES (needs
 * CAP_NET_ADMIN and a writable /run), -EBUSY (no queue is free), -EOPNOTSUPP (the driver cannot split), -EEXIST
 * (the queue is taken), -EUCLEAN (a damaged journal: the hint says what to do). Any thread. Blocks for as
 * long as the driver takes, which may be seconds. Since 0.1.
 */
ZRX_API int zrx_nic_apply(const struct zrx_options *options, uint32_t *queue,
			  struct zrx_error *error);

/*
 * Undo zrx_nic_apply for one queue (ZRX_NIC_FREE_QUEUE: for all queues) of an interface. Settings that another
 * receiver or set-up still needs go back when the last of them ends; what somebody else has changed since
 * stays as it is.
 *
 * Returns how many set-ups were undone (0: there was none), or -EBUSY while a receiver is bound to the queue:
 * close it first, and release its buffers where that was deferred (a queue that is just being let go is waited
 * for). Any thread. Blocks, as above. Since 0.1.
 */
ZRX_API int zrx_nic_undo(const char *interface, uint32_t queue, struct zrx_error *error);

/*
 * Undo what processes that died have left, from their journals. interface NULL: on all interfaces. The next
 * zrx_receiver_open on the interface does the same.
 *
 * Returns how many set-ups were undone, or a negative errno; error then tells which, and the rest was done
 * nevertheless. Any thread. Blocks, as above. Since 0.1.
 */
ZRX_API int zrx_nic_restore(const char *interface, struct zrx_error *error);

/* zrx_nic_proof.verdict */
#define ZRX_PROOF_UNDECIDED 0u /* nothing that this kernel counts decides it; the checks say what is missing */
#define ZRX_PROOF_ZERO_COPY 1u /* at most one byte in a thousand was copied */
#define ZRX_PROOF_PARTLY    2u /* some were */
#define ZRX_PROOF_COPIED    3u /* nine in ten, or more */

#define ZRX_PROOF_CHECKS 10 /* room for the checks of this release */

/* What became of one stream that was received through a queue, by counts of that time alone. */
struct zrx_nic_proof {
	uint32_t size;
	uint32_t check_capacity;  /* in: entries of checks */
	struct zrx_check *checks; /* in: array for the checks, which are the reasons; NULL: none are wanted */
	uint32_t check_count;     /* how many there are; the first check_capacity are written */
	uint32_t verdict;         /* what it comes to: ZRX_PROOF_* */
	uint64_t bytes;           /* bytes received */
	uint64_t buffers;         /* buffers received */
	uint64_t copied_bytes;    /* payload that lay in memory other than the area, as the kernel counts it (7.2+);
				     payload in the linear part of a packet is not in it; else ZRX_UNKNOWN */
	uint64_t copied_buffers;  /* buffers that it was copied into; else ZRX_UNKNOWN */
	uint64_t chunks;          /* chunks of the area that the stream's buffers began */
	uint64_t nic_chunks;      /* chunks that the driver took from the area, at least: so many of them were
				     the NIC's to write, linear part or not; ZRX_UNKNOWN without CONFIG_PAGE_POOL_STATS */
	uint64_t queue_bytes;     /* bytes that the queue received, headers included; else ZRX_UNKNOWN */
	uint64_t queue_packets;   /* packets that the queue received, before the driver merges any; else ZRX_UNKNOWN */
	uint64_t early_bytes;     /* bytes that lay in the socket before its flow was led to the queue */
	uint64_t alloc_failures;  /* times the driver found no chunk (7.2+); else ZRX_UNKNOWN */
	uint32_t queue;           /* receive queue of the interface */
	uint32_t queue_napi_id;   /* NAPI id of the queue; 0: not told */
	uint32_t socket_napi_id;  /* NAPI id on which the socket's last packet came; 0: not told, or a peer on this machine */
	uint32_t mtu;             /* MTU of the interface, bytes; 0: not told */
	uint32_t buffer_bytes;    /* size of a chunk */
	uint32_t reserved;        /* zero */
};

/*
 * Prove zero-copy: receive a real stream through the queue, drop it, and tell how much of it was copied and why.
 *
 * options      as for zrx_receiver_open; an interface must be named, and engine zcrx is used whatever they say
 * fd           a connected TCP socket whose peer, on another machine, sends; stays the caller's. What is
 *              received from it is lost
 * limit_bytes  stop after so many; 0: at the end of the stream. Some hundred MiB are a good sample
 * timeout_ns   stop when it is over; negative: never
 *
 * Returns 0 with the proof filled; or what zrx_receiver_open and zrx_receiver_add return; -ETIMEDOUT if not a byte came
 * (error says why, where a counter tells);
 * -EFAULT (or -EXDEV) if the flow is led to the queue of another receiver; -EINTR if a signal came before a byte; -EINVAL if
 * proof->size is not set. A signal that comes later ends the sample, and so does a stream that can neither go on by
 * zero-copy nor by copies (a check "stall" then says so). The NIC is afterwards as it was. Any thread. Blocks. Source of the counts: Documentation/netlink/specs/netdev.yaml
 * (qstats-get, page-pool-stats-get) and zcrx_stats of io_uring/zcrx.c. Since 0.1.
 */
ZRX_API int zrx_nic_prove(const struct zrx_options *options, int fd, uint64_t limit_bytes,
			  int64_t timeout_ns, struct zrx_nic_proof *proof, struct zrx_error *error);

/* ---- Layout, checked wherever this header is compiled ---------------------------------- */

#ifdef __cplusplus
#define ZRX_ASSERT(condition, text) static_assert(condition, text)
#else
#define ZRX_ASSERT(condition, text) _Static_assert(condition, text)
#endif
ZRX_ASSERT(sizeof(void *) == 8, "zcrx needs a 64-bit system");
ZRX_ASSERT(sizeof(struct zrx_buffer) == 40, "ABI");
ZRX_ASSERT(sizeof(struct zrx_event) == 64, "ABI");
ZRX_ASSERT(offsetof(struct zrx_event, buffer) == 24, "ABI");
ZRX_ASSERT(sizeof(struct zrx_error) == 640, "ABI");
ZRX_ASSERT(offsetof(struct zrx_options, interface) == 16, "ABI");
ZRX_ASSERT(offsetof(struct zrx_options, area_memory) == 48, "ABI");
ZRX_ASSERT(offsetof(struct zrx_options, window_bytes) == 88, "ABI");
ZRX_ASSERT(offsetof(struct zrx_options, busy_poll_us) == 104, "ABI");
ZRX_ASSERT(sizeof(struct zrx_options) == 120, "ABI");
ZRX_ASSERT(offsetof(struct zrx_stream_options, window_bytes) == 24, "ABI");
ZRX_ASSERT(offsetof(struct zrx_stats, wakes) == 152, "ABI");
ZRX_ASSERT(offsetof(struct zrx_stats, area_bytes) == 184, "ABI");
ZRX_ASSERT(offsetof(struct zrx_stream_stats, receive_buffer) == 40, "ABI");
ZRX_ASSERT(offsetof(struct zrx_info, refill_entries) == 56, "ABI");
ZRX_ASSERT(offsetof(struct zrx_info, area_base) == 88, "ABI");
ZRX_ASSERT(offsetof(struct zrx_info, busy_poll_us) == 104, "ABI");
ZRX_ASSERT(offsetof(struct zrx_group_options, receiver) == 16, "ABI");
ZRX_ASSERT(offsetof(struct zrx_group_stats, accepted) == 32, "ABI");
ZRX_ASSERT(offsetof(struct zrx_nic_demand, arithmetic) == 56, "ABI");
ZRX_ASSERT(sizeof(struct zrx_check) == 512, "ABI");
ZRX_ASSERT(offsetof(struct zrx_capabilities, check_count) == 16, "ABI");
ZRX_ASSERT(offsetof(struct zrx_capabilities, kernel_version) == 32, "ABI");
ZRX_ASSERT(offsetof(struct zrx_nic_report, check_count) == 16, "ABI");
ZRX_ASSERT(offsetof(struct zrx_nic_report, napi_id) == 128, "ABI");
ZRX_ASSERT(sizeof(struct zrx_nic_step) == 256, "ABI");
ZRX_ASSERT(offsetof(struct zrx_nic_proof, check_count) == 16, "ABI");
ZRX_ASSERT(offsetof(struct zrx_nic_proof, buffer_bytes) == 120, "ABI");
#undef ZRX_ASSERT

#ifdef __cplusplus
}
#endif

#endif /* ZCRX_H */
