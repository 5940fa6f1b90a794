/* SPDX-License-Identifier: MIT */
/*
 * What an engine must do: get the bytes of armed streams into the area and say where they are.
 * Everything else (streams, parking, events, buffers) is the receiver's, the same for all engines.
 */
#ifndef ZRX_ENGINE_H
#define ZRX_ENGINE_H

#include <stdint.h>

#include "zcrx.h"

struct zrx_area;
struct zrx_receiver;
struct zrx_run;
struct zrx_stream;
struct zrx_sink;

struct zrx_engine {
	uint32_t id; /* ZRX_ENGINE_* */
	uint32_t zero_copy;

	/*
	 * Any thread. Get area, ring and queue, fill receiver->info. On failure everything it took
	 * is given back, and error filled.
	 */
	int (*open)(struct zrx_receiver *receiver, struct zrx_error *error);

	/* All others: the owner's thread, but for close. */

	/*
	 * A socket is added (NULL: nothing to do): lead its flow here. On failure receiver->last is
	 * filled.
	 */
	int (*adopt)(struct zrx_receiver *receiver, struct zrx_stream *stream);

	/* Its last event is out (NULL: nothing to do): what adopt did is no longer needed. */
	void (*leave)(struct zrx_receiver *receiver, struct zrx_stream *stream);

	/* The first receive: bind the ring to this thread. */
	int (*start)(struct zrx_receiver *receiver);

	/*
	 * Ask the kernel for the bytes of a stream. From then on the engine reports, by rows of
	 * events and once by zrx_stream_final. -EAGAIN: no room for the request, call wait first.
	 */
	int (*arm)(struct zrx_receiver *receiver, struct zrx_stream *stream);

	/*
	 * Ask for the end of an armed stream; zrx_stream_final follows, perhaps at once. -EAGAIN as
	 * above.
	 */
	int (*cancel)(struct zrx_receiver *receiver, struct zrx_stream *stream);

	/*
	 * Once: tell zrx_intake_ready of this listener when its descriptor is readable. -EAGAIN as
	 * above.
	 */
	int (*watch)(struct zrx_receiver *receiver, int fd, uint32_t listener);

	/*
	 * End a wait of the next receives, and make the descriptor readable, at this time
	 * (zrx_sys_now_ns) at the latest. Not before the first watch. Returns 0 if there is no room
	 * for that until the next wait: it is asked again.
	 */
	int (*remind)(struct zrx_receiver *receiver, uint64_t at_ns);

	/*
	 * How many streams like this parked one could get a buffer now, as far as can be told. Of
	 * the stream only matters whether it has a limit.
	 */
	uint32_t (*available)(struct zrx_receiver *receiver, const struct zrx_stream *stream);

	/*
	 * Turn what is completed into events, as far as the sink has room, without asking the
	 * kernel. Returns 0 or a negative errno (out of memory: nothing was lost).
	 */
	int (*harvest)(struct zrx_receiver *receiver, struct zrx_sink *sink);

	/*
	 * Submit requests and wait until something completes. timeout_ns as in
	 * zrx_receiver_receive. Returns 0, -ETIME, -EINTR, or what makes the ring unusable.
	 */
	int (*wait)(struct zrx_receiver *receiver, int64_t timeout_ns);

	/*
	 * The area has memory for so many bytes, which is more than before: use them. Returns 0, or
	 * a negative errno, and then does not.
	 */
	int (*extend)(struct zrx_receiver *receiver, uint64_t bytes);

	/*
	 * Released by the owner, the usual case: chunks from the front of the run on that are this
	 * area's, each whole a view's (zrx_hold_take_whole with this owner). They are idle then,
	 * and where the engine takes chunks from. Returns how many there were. take_one: of one
	 * buffer; 0 if it is not such a one.
	 */
	uint32_t (*take_back)(struct zrx_area *area, struct zrx_run *run, uint32_t owner);
	int (*take_one)(struct zrx_area *area, const struct zrx_buffer *buffer, uint32_t owner);

	/*
	 * Before sleeping or returning: anything that must be done once others may have released.
	 */
	void (*collect)(struct zrx_receiver *receiver);

	/*
	 * Whether the next wait has something to do that no completion announces (NULL: never). The
	 * descriptor is then made readable, so that an event loop receives again before it sleeps.
	 */
	int (*needs_wait)(struct zrx_receiver *receiver);

	/*
	 * Cancel every request and see its end: after it no request writes into the area. Returns
	 * 0; 1 where the end of the ring could still overwrite buffers that are out, so that it has
	 * to wait for them; or a negative errno.
	 */
	int (*stop)(struct zrx_receiver *receiver);

	/*
	 * Any thread (NULL: nothing to do): the receiver is closed, its ring stays for buffers that
	 * are out. Lead nothing more to it.
	 */
	void (*retire)(struct zrx_receiver *receiver);

	/*
	 * Any thread, after stop or where nothing can be out: let go of ring, queue and NIC.
	 * Returns 0, or -EBUSY if the NIC may still write into the area.
	 */
	int (*close)(struct zrx_receiver *receiver);

	/* Any thread: the counters that only the engine knows. */
	void (*stats)(const struct zrx_receiver *receiver, struct zrx_stats *stats);
};

extern const struct zrx_engine zrx_engine_zcrx;
extern const struct zrx_engine zrx_engine_zcrx_nodev;
extern const struct zrx_engine zrx_engine_multishot;
extern const struct zrx_engine zrx_engine_recv;

/*
 * Open the engine that the options ask for, or the best there is; receiver->refused tells
 * why each better one is not used.
 */
int zrx_engine_select(struct zrx_receiver *receiver, struct zrx_error *error);

#endif
