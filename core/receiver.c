/* SPDX-License-Identifier: MIT */
/* Open, close and receive. */
#include <errno.h>

#include "error.h"
#include "fork.h"
#include "group.h"
#include "intake.h"
#include "options.h"
#include "refill.h"
#include "row.h"
#include "stream_life.h"
#include "sys.h"

#define MAX_CAPACITY     65536u
#define REFUSED_RETRY_NS 10000000
/* Half of what the kernel's clock can say: it adds the timeout to the time, and must not wrap. */
#define FOREVER_NS (INT64_MAX / 2)

static int fail(struct zrx_receiver *receiver, int code, uint32_t stage, const char *hint,
		const char *message)
{
	return zrx_error_set(&receiver->last, code, stage, hint, "%s", message);
}

/* ---- open and close ---- */

int zrx_receiver_open(struct zrx_receiver **out, const struct zrx_options *options,
		      struct zrx_error *error)
{
	return zrx_receiver_open_sharing(out, options, (struct zrx_sharing){.parts = 1}, error);
}

int zrx_receiver_open_sharing(struct zrx_receiver **out, const struct zrx_options *options,
			      struct zrx_sharing sharing, struct zrx_error *error)
{
	struct zrx_receiver *receiver;
	int result;

	zrx_error_clear(error);
	if (!out)
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, NULL, "receiver is NULL");
	receiver = zrx_sys_alloc(sizeof(*receiver));
	if (!receiver)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_OPTIONS, NULL, "out of memory");
	receiver->sharing = sharing;
	receiver->last.size = sizeof(receiver->last);
	receiver->info.size = sizeof(receiver->info);
	result = zrx_options_check(&receiver->options, options, error);
	if (!result)
		result = zrx_engine_select(receiver, error);
	if (result) {
		zrx_sys_free(receiver);
		return result;
	}
	zrx_info_describe(receiver);
	zrx_store(&receiver->counters.area_bytes, receiver->area->bytes);
	zrx_fork_hold();
	receiver->area->receiver = receiver;
	zrx_fork_allow();
	result = zrx_window_check(receiver->options.window_bytes, receiver->windows.chunk_bytes,
				  receiver->area->max_bytes, error);
	if (result) {
		receiver->area->free = NULL; /* nobody has seen it: the caller's memory stays his */
		zrx_receiver_close(receiver);
		return result;
	}
	*out = receiver;
	return 0;
}

static void receiver_close_stream(void *context, struct zrx_stream *stream)
{
	(void)context;
	zrx_fork_close_stream(stream);
}

/* The references to the sockets of streams that have not ended. */
static void receiver_drop_streams(struct zrx_receiver *receiver)
{
	zrx_streams_each(&receiver->streams, receiver_close_stream, NULL);
	zrx_fork_hold();
	zrx_streams_destroy(&receiver->streams);
	zrx_fork_allow();
}

int zrx_receiver_destroy(struct zrx_receiver *receiver)
{
	int result = receiver->engine->close(receiver);

	if (result)
		zrx_area_lose(receiver->area);
	receiver_drop_streams(receiver);
	zrx_chunks_close(&receiver->chunks);
	zrx_fork_hold();
	receiver->area->receiver = NULL;
	zrx_fork_allow();
	zrx_sys_free(receiver);
	return result;
}

int zrx_receiver_close(struct zrx_receiver *receiver)
{
	struct zrx_area *area;
	int stopped, result;

	if (!receiver)
		return 0;
	area = receiver->area;
	if (area->forked) /* the parent's */
		return 0;
	if (receiver->inbox)
		zrx_group_leave(receiver);
	/* The kernel lets only the thread that enabled the ring cancel its requests. */
	stopped = zrx_check_thread(receiver);
	if (!stopped)
		stopped = receiver->engine->stop(receiver);
	/*
	 * Release: a thread that sees it closed does not touch the ring; others hold the refill
	 * lock.
	 */
	atomic_store_explicit(&area->closed, 1, memory_order_release);
	atomic_store_explicit(&area->waiting, 0, memory_order_seq_cst);
	if (area->refill)
		zrx_refill_close(area);
	if (!stopped || atomic_load_explicit(&area->references, memory_order_acquire) == 1) {
		result = zrx_receiver_destroy(receiver);
		zrx_area_put(area, 1);
		return result;
	}
	/*
	 * A dying ring gives chunks that are out back, to requests that still run or to the NIC: it
	 * has to live until none is.
	 */
	if (receiver->engine->retire)
		receiver->engine->retire(receiver);
	if (stopped > 0)
		receiver_drop_streams(receiver);
	area->deferred = receiver;
	zrx_area_put(area, 1);
	return ZRX_CLOSE_DEFERRED;
}

/* ---- events that the receiver itself makes ---- */

static void emit_done(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	while (receiver->done.first && sink->count < sink->capacity) {
		struct zrx_stream *stream = receiver->done.first;

		sink->events[sink->count++] = (struct zrx_event){
			.kind = stream->error ? ZRX_EVENT_ERROR : ZRX_EVENT_END,
			.flags = stream->end_flags,
			.error = stream->error,
			.stream = zrx_stream_handle(stream),
			.tag = stream->tag,
		};
		if (receiver->engine->leave)
			receiver->engine->leave(receiver, stream);
		/* The request is over, so this was the last reference that the receiver held. */
		zrx_fork_close_stream(stream);
		zrx_stream_drop(receiver, stream);
		zrx_streams_counted(receiver, -1);
	}
}

/* ---- streams that wait for buffers, and requests that wait to be made ---- */

void zrx_parked_changed(struct zrx_receiver *receiver)
{
	uint32_t parked = receiver->parked[0].count + receiver->parked[1].count;

	atomic_store_explicit(&receiver->counters.parked, parked, memory_order_relaxed);
	if (!parked)
		atomic_store_explicit(&receiver->counters.stall, ZRX_STALL_NONE,
				      memory_order_relaxed);
}

/* Whether a parked stream could get a buffer, besides so many that are about to. */
static int may_resume(struct zrx_receiver *receiver, const struct zrx_stream_list *parked,
		      uint32_t resumed)
{
	return parked->first && receiver->engine->available(receiver, parked->first) > resumed;
}

/* Any of them; there may be more buffers than there were. */
static int can_resume(struct zrx_receiver *receiver)
{
	if (!zrx_any_parked(receiver))
		return 0;
	return may_resume(receiver, &receiver->parked[0], 0) ||
	       may_resume(receiver, &receiver->parked[1], 0) || zrx_grow(receiver);
}

/* Let as many parked streams try again as there may be buffers for; the longest waiting first. */
static void resume(struct zrx_receiver *receiver)
{
	uint32_t resumed = 0;

	if (!can_resume(receiver))
		return;
	for (uint32_t i = 0; i < 2; i++) {
		struct zrx_stream_list *parked =
			&receiver->parked[(receiver->resume_first + i) % 2];

		while (may_resume(receiver, parked, resumed)) {
			zrx_window_go_on(receiver, parked->first);
			resumed++;
		}
	}
	if (!resumed)
		return;
	receiver->resume_first ^= 1;
	zrx_parked_changed(receiver);
}

/*
 * Returns 1 if the kernel had no memory, or no room among its watches, for a request: those wait,
 * and there is no use in asking again at once.
 */
static int make_requests(struct zrx_receiver *receiver)
{
	while (receiver->cancels.first) {
		struct zrx_stream *stream = receiver->cancels.first;

		zrx_list_remove(stream);
		if (receiver->engine->cancel(receiver, stream) == -EAGAIN) {
			zrx_list_append(&receiver->cancels, stream);
			return 0;
		}
	}
	while (receiver->queued.first) {
		struct zrx_stream *stream = receiver->queued.first;
		int result;

		zrx_list_remove(stream);
		if (zrx_window_full(&receiver->windows, stream)) {
			zrx_window_go_on(receiver, stream);
			continue;
		}
		stream->state = ZRX_STREAM_ARMED;
		result = receiver->engine->arm(receiver, stream);
		if (result == -EAGAIN || result == -ENOMEM || result == -ENOSPC) {
			stream->state = ZRX_STREAM_QUEUED;
			zrx_list_append(&receiver->queued, stream);
			return result != -EAGAIN;
		}
		if (result)
			zrx_stream_fail(receiver, stream, result);
	}
	return receiver->inbox ? zrx_intake_watch(receiver) : 0;
}

static int has_requests(const struct zrx_receiver *receiver)
{
	return receiver->queued.first || receiver->cancels.first ||
	       (receiver->inbox && zrx_intake_unwatched(receiver));
}

/* What other threads have put on one of the area's lists, if anything. */
static void settle_list(struct zrx_receiver *receiver, _Atomic uint32_t *list)
{
	struct zrx_chain chain = {0};

	if (!atomic_load_explicit(list, memory_order_seq_cst))
		return;
	/* Acquire pairs with the release in zrx_chain_push. */
	chain.head = atomic_exchange_explicit(list, 0, memory_order_acquire);
	zrx_windows_settle(receiver, chain);
}

/* Buffers that were released, back to where the engine takes them from. */
static void collect(struct zrx_receiver *receiver)
{
	struct zrx_area *area = receiver->area;

	if (area->refill) {
		if (zrx_refill_to_do(area))
			zrx_refill_drain(area);
		settle_list(receiver, &area->settled);
	} else {
		settle_list(receiver, &area->returned);
	}
	receiver->engine->collect(receiver);
}

/* ---- receive ---- */

static int pin_owner(struct zrx_receiver *receiver)
{
	uint32_t processor = receiver->options.processor;
	int result = receiver->options.flags & ZRX_PROCESSOR ? zrx_sys_pin(processor) : 0;

	if (!result)
		return 0;
	atomic_store_explicit(&receiver->area->owner, 0, memory_order_relaxed);
	return zrx_error_set(&receiver->last, result, ZRX_STAGE_THREAD,
			     "open it without ZRX_PROCESSOR, or for another processor (taskset -p)",
			     "this thread cannot be pinned to processor %u", processor);
}

/* There was none. Of threads that receive first at the same time, one becomes it. */
static int bind_owner(struct zrx_receiver *receiver)
{
	struct zrx_area *area = receiver->area;
	uint64_t nobody = 0;
	int result;

	/* Relaxed: a thread that finds itself here wrote all that it reads. */
	if (!atomic_compare_exchange_strong_explicit(&area->owner, &nobody, zrx_thread_number(),
						     memory_order_relaxed, memory_order_relaxed))
		return -EPERM;
	result = pin_owner(receiver);
	if (result)
		return result;
	result = receiver->engine->start(receiver);
	if (!result)
		return 0;
	atomic_store_explicit(&area->owner, 0, memory_order_relaxed);
	return fail(receiver, result, ZRX_STAGE_RING, NULL, "cannot enable the ring");
}

static int gather(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	if (receiver->done.first)
		emit_done(receiver, sink);
	if (receiver->inbox)
		zrx_intake(receiver, sink);
	sink->error = receiver->engine->harvest(receiver, sink);
	if (receiver->done.first)
		emit_done(receiver, sink);
	return sink->error;
}

/* Streams wait for what others release. */
static int awaits_return(const struct zrx_receiver *receiver)
{
	return zrx_any_parked(receiver) || receiver->windows.at_window.first;
}

/*
 * Say what to be woken for, then look once more whether it has happened meanwhile. Pairs with
 * wake_waiter: one of the two sees the other.
 */
static int may_sleep(struct zrx_receiver *receiver)
{
	struct zrx_refill *refill = receiver->area->refill;
	uint32_t want =
		awaits_return(receiver) ? ZRX_WAIT_RETURN | ZRX_WAIT_BACKLOG : ZRX_WAIT_BACKLOG;

	if (receiver->inbox)
		want |= ZRX_WAIT_INBOX;
	atomic_store_explicit(&receiver->area->waiting, want, memory_order_seq_cst);
	if (receiver->inbox && zrx_intake_due(receiver))
		return 0;
	if (!awaits_return(receiver) && !(refill && zrx_refill_to_do(receiver->area)))
		return 1;
	collect(receiver);
	zrx_windows_look(receiver);
	return !has_requests(receiver) && !can_resume(receiver);
}

/* An event loop that waits for the descriptor has more to receive. */
static void nudge_poller(struct zrx_area *area)
{
	/* Without a poll_fd the epoll instance itself is polled, and watches wake_fd. */
	zrx_sys_eventfd_signal(area->poll_fd < 0 ? area->wake_fd : area->poll_fd);
}

/*
 * Whether an event loop polls an eventfd that the ring signals: then new completions make it
 * readable only after the kernel was entered again. (Engine recv: the epoll instance itself is
 * polled, and is readable whenever a socket is.)
 */
static int ring_signals_poller(const struct zrx_area *area)
{
	return area->poll_fd >= 0 && atomic_load_explicit(&area->polled, memory_order_relaxed);
}

/* Whether there is more to do at once, which no later completion would announce. */
static int unfinished(struct zrx_receiver *receiver, const struct zrx_sink *sink, int result)
{
	/* Without memory what was not harvested waits, beside events of the receiver's own too. */
	return result < 0 || sink->error || sink->count == sink->capacity || !may_sleep(receiver) ||
	       receiver->done.first || has_requests(receiver) || receiver->unsettled ||
	       (receiver->inbox && zrx_intake_needs_reminder(receiver)) ||
	       (receiver->engine->needs_wait && receiver->engine->needs_wait(receiver));
}

/*
 * Events, an error, or nothing left to do but return to the caller: account for it, and see to it
 * that the descriptor polls readable if there is more to do.
 */
static int hand_over(struct zrx_receiver *receiver, const struct zrx_sink *sink, int result)
{
	struct zrx_area *area = receiver->area;

	if (sink->buffers) {
		/* Relaxed: no other thread has these buffers yet. */
		atomic_fetch_add_explicit(&area->references, sink->buffers, memory_order_relaxed);
		zrx_count(&receiver->counters.buffers, sink->buffers);
		zrx_count(&receiver->counters.bytes, sink->bytes);
		zrx_store(&receiver->counters.held_bytes, receiver->windows.held_bytes);
	}
	if (atomic_load_explicit(&area->polled, memory_order_relaxed) &&
	    unfinished(receiver, sink, result))
		nudge_poller(area);
	return result < 0 ? result : (int)sink->count;
}

static int woken(struct zrx_receiver *receiver)
{
	struct zrx_area *area = receiver->area;

	if (!atomic_load_explicit(&area->wake_asked, memory_order_relaxed))
		return 0;
	atomic_store_explicit(&area->wake_asked, 0, memory_order_seq_cst);
	zrx_count(&receiver->counters.wakes, 1);
	return 1;
}

/* One turn of asking the kernel. Returns 1 to go on, 0 to return what there is, or an error. */
static int turn(struct zrx_receiver *receiver, struct zrx_sink *sink, int64_t timeout_ns)
{
	int result, waited, refused;

	receiver->growth.wanted = 0;
	if (zrx_any_parked(receiver))
		resume(receiver);
	refused = make_requests(receiver);
	if (receiver->done.first || (has_requests(receiver) && !refused) ||
	    (timeout_ns && !may_sleep(receiver)))
		timeout_ns = 0;
	else if (refused && (timeout_ns < 0 || timeout_ns > REFUSED_RETRY_NS))
		timeout_ns = REFUSED_RETRY_NS;
	timeout_ns = zrx_growth_patience(receiver, timeout_ns);
	if (receiver->inbox)
		timeout_ns = zrx_intake_patience(receiver, timeout_ns);
	zrx_count(&receiver->counters.waits, 1);
	waited = receiver->engine->wait(receiver, timeout_ns);
	atomic_store_explicit(&receiver->area->waiting, 0, memory_order_relaxed);
	if (waited && waited != -ETIME && waited != -EINTR)
		return fail(receiver, waited, ZRX_STAGE_RECEIVE,
			    "close the receiver and open another", "the ring failed");
	collect(receiver);
	result = gather(receiver, sink);
	if (sink->count)
		return 0;
	if (result)
		return fail(receiver, result, ZRX_STAGE_RECEIVE,
			    "release buffers, then receive again",
			    "more views of shared chunks are out than can be told apart; nothing "
			    "is lost");
	if (woken(receiver))
		return 0;
	return waited == -EINTR ? -EINTR : 1;
}

int zrx_receiver_receive(struct zrx_receiver *receiver, struct zrx_event *events, uint32_t capacity,
			 int64_t timeout_ns)
{
	struct zrx_sink sink = {.events = events, .capacity = capacity};
	uint64_t deadline = 0;
	int result, owned;

	if (!receiver)
		return -EINVAL;
	owned = zrx_area_owned(receiver->area);
	if (!owned && zrx_area_has_owner(receiver->area))
		return -EPERM;
	if (!events || !capacity || capacity > MAX_CAPACITY)
		return fail(receiver, -EINVAL, ZRX_STAGE_RECEIVE, "capacity is 1 to 65536",
			    "no room for events");
	if (receiver->area->forked)
		return -EPERM; /* the parent's: its rings are not even mapped here */
	result = owned ? 0 : bind_owner(receiver);
	if (result)
		return result;
	/* Before looking, so that what comes later makes it readable again. */
	if (ring_signals_poller(receiver->area))
		zrx_sys_eventfd_drain(receiver->area->poll_fd);
	collect(receiver);
	zrx_windows_look(receiver);
	/*
	 * What is completed already costs no system call; unless streams wait for one, or an event
	 * loop waits for the descriptor, which announces new work only after the last was run.
	 */
	if (!has_requests(receiver) && !zrx_any_parked(receiver) &&
	    !ring_signals_poller(receiver->area)) {
		gather(receiver, &sink);
		if (sink.count)
			return hand_over(receiver, &sink, 0);
	}
	if (woken(receiver))
		timeout_ns = 0;
	if (timeout_ns > FOREVER_NS)
		timeout_ns = -1;
	if (timeout_ns > 0)
		deadline = zrx_sys_now_ns() + (uint64_t)timeout_ns;
	for (;;) {
		uint64_t now;

		result = turn(receiver, &sink, timeout_ns);
		if (result < 0 || !result || !timeout_ns)
			return hand_over(receiver, &sink, result);
		zrx_windows_look(receiver);
		if (timeout_ns < 0)
			continue;
		now = zrx_sys_now_ns();
		if (now >= deadline)
			return hand_over(receiver, &sink, 0);
		timeout_ns = (int64_t)(deadline - now);
	}
}
