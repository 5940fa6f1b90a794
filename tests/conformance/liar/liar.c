/* SPDX-License-Identifier: MIT */
/*
 * A library that breaks the contract: linked before libzcrx into the C executor, whose calls it
 * takes (--wrap). ZRX_LIE says what is wrong, once in each receiver: test-driver has the list. The
 * driver must find each.
 */
#include <zcrx.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int __real_zrx_receiver_open(struct zrx_receiver **receiver, const struct zrx_options *options,
			     struct zrx_error *error);
int __real_zrx_receiver_close(struct zrx_receiver *receiver);
int __real_zrx_receiver_add(struct zrx_receiver *receiver, int fd,
			    const struct zrx_stream_options *options, uint64_t *stream);
int __real_zrx_receiver_receive(struct zrx_receiver *receiver, struct zrx_event *events,
				uint32_t capacity, int64_t timeout_ns);
int __real_zrx_receiver_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats);
int __real_zrx_buffer_release(const struct zrx_buffer *buffers, uint32_t count);
int __real_zrx_receiver_pause(struct zrx_receiver *receiver, uint64_t stream);
int __real_zrx_receiver_resume(struct zrx_receiver *receiver, uint64_t stream);
int __real_zrx_stream_stats(const struct zrx_receiver *receiver, uint64_t stream,
			    struct zrx_stream_stats *stats);
int __real_zrx_group_stats(struct zrx_group *group, struct zrx_group_stats *stats);
int __wrap_zrx_group_stats(struct zrx_group *group, struct zrx_group_stats *stats);
int __wrap_zrx_receiver_open(struct zrx_receiver **receiver, const struct zrx_options *options,
			     struct zrx_error *error);
int __wrap_zrx_receiver_close(struct zrx_receiver *receiver);
int __wrap_zrx_receiver_add(struct zrx_receiver *receiver, int fd,
			    const struct zrx_stream_options *options, uint64_t *stream);
int __wrap_zrx_receiver_receive(struct zrx_receiver *receiver, struct zrx_event *events,
				uint32_t capacity, int64_t timeout_ns);
int __wrap_zrx_receiver_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats);
int __wrap_zrx_buffer_release(const struct zrx_buffer *buffers, uint32_t count);
int __wrap_zrx_receiver_pause(struct zrx_receiver *receiver, uint64_t stream);
int __wrap_zrx_receiver_resume(struct zrx_receiver *receiver, uint64_t stream);
int __wrap_zrx_stream_stats(const struct zrx_receiver *receiver, uint64_t stream,
			    struct zrx_stream_stats *stats);

static atomic_int told;          /* the lie, in this receiver */
static struct zrx_buffer kept;   /* the first that was handed out, to be written over later */
static struct zrx_event delayed; /* an event that is still to come; kind 0: none */
static int resumed;              /* the next data is the first after a resume */

static int lies(const char *what)
{
	const char *lie = getenv("ZRX_LIE");

	return lie && !strcmp(lie, what);
}

/* Whether this lie is to be told now: once. */
static int now(const char *what)
{
	return lies(what) && !atomic_exchange(&told, 1);
}

int __wrap_zrx_receiver_open(struct zrx_receiver **receiver, const struct zrx_options *options,
			     struct zrx_error *error)
{
	struct zrx_options other = *options;
	int result;

	atomic_store(&told, 0);
	delayed.kind = 0;
	kept.area = NULL;
	resumed = 0;
	if (lies("window"))
		other.window_bytes = 0;
	if (lies("refusal"))
		other.window_bytes = other.area_max_bytes = 0;
	if (lies("engine"))
		other.engine =
			options->engine == ZRX_ENGINE_RECV ? ZRX_ENGINE_MULTISHOT : ZRX_ENGINE_RECV;
	result = __real_zrx_receiver_open(receiver, &other, error);
	if (lies("message"))
		strcpy(error->message, "no");
	if (lies("message"))
		strcpy(error->hint, "no");
	return result;
}

static void *sleep_on(void *argument)
{
	for (;;)
		pause();
	return argument;
}

int __wrap_zrx_receiver_close(struct zrx_receiver *receiver)
{
	pthread_t thread;

	if (now("leak-descriptor"))
		(void)!dup(STDERR_FILENO);
	if (now("leak-mapping"))
		(void)!mmap(NULL, 64u << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (now("leak-thread"))
		pthread_create(&thread, NULL, sleep_on, NULL);
	if (now("leak-receiver"))
		return 0;
	if (now("crash"))
		abort();
	if (now("defer"))
		return (void)__real_zrx_receiver_close(receiver), ZRX_CLOSE_DEFERRED;
	return __real_zrx_receiver_close(receiver);
}

int __wrap_zrx_receiver_add(struct zrx_receiver *receiver, int fd,
			    const struct zrx_stream_options *options, uint64_t *stream)
{
	struct zrx_stream_options other = *options;
	struct zrx_stats stats = ZRX_STATS_INIT;
	int result;

	if (lies("window") || lies("refusal"))
		other.window_bytes = 0;
	if (other.limit_bytes && now("limit"))
		other.limit_bytes++;
	if (now("tag"))
		other.tag += 1000;
	result = __real_zrx_receiver_add(receiver, fd, &other, stream);
	__real_zrx_receiver_stats(receiver, &stats);
	if (lies("starve") && stats.outstanding)
		__real_zrx_receiver_pause(receiver, *stream);
	return result;
}

/* Puts an event behind the others. */
static int append(struct zrx_event *events, int count, uint32_t capacity, struct zrx_event event)
{
	if (count < 0 || (uint32_t)count == capacity) {
		delayed = event;
		return count;
	}
	events[count] = event;
	return count + 1;
}

static void spoil_data(struct zrx_event *event)
{
	static unsigned char other[1 << 20];

	if (lies("overwrite") && !kept.area)
		kept = event->buffer;
	if (now("drop-byte"))
		event->buffer.length--;
	if (resumed && now("resume-loses"))
		event->buffer.length--;
	if (now("empty"))
		event->buffer.length = 0;
	if (now("handle"))
		event->stream ^= 1;
	if (now("dirty"))
		event->buffer.reserved = 1;
	if (now("wrong-byte")) {
		memcpy(other, event->buffer.data, event->buffer.length);
		other[event->buffer.length - 1] ^= 1;
		event->buffer.data = other;
	}
}

static void spoil_added(struct zrx_event *event)
{
	if (now("added-tag"))
		event->tag++;
	if (now("added-flags"))
		event->flags ^= ZRX_ADDED_ACCEPTED;
	if (now("added-handle"))
		event->stream ^= 1ull << 40;
	if (now("added-lost"))
		*event = (struct zrx_event){.kind = ZRX_EVENT_ERROR, .error = -ENOBUFS};
}

static int spoil_end(struct zrx_event *events, int count, uint32_t capacity, int at)
{
	struct zrx_event *event = &events[at];

	if (now("end-kind"))
		event->flags ^= ZRX_END_LIMIT;
	if (now("end-as-error")) {
		event->kind = ZRX_EVENT_ERROR;
		event->error = -EPIPE;
	}
	if (now("end-twice"))
		return append(events, count, capacity, *event);
	if (now("no-end")) {
		memmove(event, event + 1, (size_t)(count - at - 1) * sizeof(*event));
		return count - 1;
	}
	return count;
}

/* The first data becomes an end: what follows is lost. */
static void end_early(struct zrx_event *event)
{
	__real_zrx_buffer_release(&event->buffer, 1);
	event->kind = ZRX_EVENT_END;
	memset(&event->buffer, 0, sizeof(event->buffer));
}

int __wrap_zrx_receiver_receive(struct zrx_receiver *receiver, struct zrx_event *events,
				uint32_t capacity, int64_t timeout_ns)
{
	int count;

	if (delayed.kind) {
		events[0] = delayed;
		delayed.kind = 0;
		return 1;
	}
	if (kept.area && now("overwrite"))
		*(unsigned char *)kept.data ^= 1;
	count = __real_zrx_receiver_receive(receiver, events, capacity,
					    lies("no-wait") && timeout_ns > 0 ? 0 : timeout_ns);
	for (int i = 0; i < count; i++) {
		if (events[i].kind == ZRX_EVENT_ADDED) {
			spoil_added(&events[i]);
			if (now("added-twice"))
				return append(events, count, capacity, events[i]);
			continue;
		}
		if (events[i].kind != ZRX_EVENT_DATA) {
			count = spoil_end(events, count, capacity, i);
			break;
		}
		spoil_data(&events[i]);
		if (lies("no-resume"))
			__real_zrx_receiver_pause(receiver, events[i].stream);
		if (now("end-early"))
			end_early(&events[i]);
		if (now("data-twice")) {
			count = append(events, count, capacity, events[i]);
			break;
		}
	}
	return count == 0 && now("error") ? -EIO : count;
}

int __wrap_zrx_receiver_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats)
{
	int result = __real_zrx_receiver_stats(receiver, stats);

	stats->bytes += lies("stats-bytes");
	stats->buffers += lies("stats-buffers");
	stats->parks = lies("stats-parks") ? 0 : stats->parks;
	stats->paused += lies("stats-paused");
	stats->pauses = lies("stats-pauses") ? 0 : stats->pauses;
	stats->held_bytes += lies("stats-held");
	return result;
}

int __wrap_zrx_stream_stats(const struct zrx_receiver *receiver, uint64_t stream,
			    struct zrx_stream_stats *stats)
{
	int result = __real_zrx_stream_stats(receiver, stream, stats);

	stats->bytes += lies("stream-bytes");
	stats->held_bytes = lies("stream-held") ? 0 : stats->held_bytes;
	stats->window_bytes += lies("stream-window");
	stats->at_window = lies("stream-at-window") ? 0 : stats->at_window;
	stats->paused = lies("stream-paused") ? 0 : stats->paused;
	return result;
}

int __wrap_zrx_group_stats(struct zrx_group *group, struct zrx_group_stats *stats)
{
	int result = __real_zrx_group_stats(group, stats);

	stats->refused += lies("group-refused");
	stats->waiting += lies("group-waiting");
	stats->accepted += lies("group-accepted");
	stats->sum->bytes += lies("group-bytes");
	return result;
}

int __wrap_zrx_receiver_pause(struct zrx_receiver *receiver, uint64_t stream)
{
	int again = lies("pause-ignored") || lies("pause-ends") ? atomic_exchange(&told, 1) : 0;
	int result;

	if (again)
		return -EALREADY;
	if (lies("pause-ignored"))
		return 0;
	if (lies("pause-ends"))
		return zrx_receiver_remove(receiver, stream);
	result = __real_zrx_receiver_pause(receiver, stream);
	if ((lies("pause-again") && result == -EALREADY) ||
	    (lies("pause-ended") && result == -ENOENT))
		return 0;
	return result;
}

int __wrap_zrx_receiver_resume(struct zrx_receiver *receiver, uint64_t stream)
{
	int result;

	if (lies("resume-ignored"))
		return atomic_exchange(&told, 1) ? -EALREADY : 0;
	result = __real_zrx_receiver_resume(receiver, stream);
	resumed = 1;
	if ((lies("resume-again") && result == -EALREADY) ||
	    (lies("resume-ended") && result == -ENOENT))
		return 0;
	return result;
}

int __wrap_zrx_buffer_release(const struct zrx_buffer *buffers, uint32_t count)
{
	int result;

	if (count && now("skip-release"))
		return 0;
	if (count && now("release-fails"))
		return -EINVAL;
	result = __real_zrx_buffer_release(buffers, count);
	return lies("release-again") && result == -EALREADY ? 0 : result;
}
