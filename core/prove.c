/* SPDX-License-Identifier: MIT */
/* Receive a stream through a queue, between two looks at what the kernel counts. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check.h"
#include "error.h"
#include "nic/traffic.h"
#include "nic/verdict.h"
#include "options.h"

#define PROVE_BATCH 256
/*
 * Buffers go back many at a time, so that the driver's pool refills its cache whole and counts
 * nearly all that it takes; and few enough that it never runs dry.
 */
#define PROVE_HOLD      1024u
#define PROVE_HOLD_PART 8u /* of the area's chunks */
#define PROVE_LOOK_NS   100000000
#define PROVE_LOOKS     25u
#define PROVE_SLICE_NS  500000000 /* without an event: look whether the stream can go on */

#ifndef SO_INCOMING_NAPI_ID
#define SO_INCOMING_NAPI_ID 56
#endif

struct prove {
	struct zrx_receiver *receiver;
	struct zrx_info info;
	struct zrx_nic_report report;
	struct zrx_nic_proof proof;
	struct zrx_check checks[ZRX_PROOF_CHECKS];
	struct zrx_nic_traffic before;
	struct zrx_nic_traffic after;
	uint64_t pending; /* bytes in the socket at the end */
	uint32_t steer;
	uint32_t stall; /* ZRX_STALL_*, at the end */
	int fd;
	int over;
	int stalled; /* the kernel can neither copy nor have what it copies into back */
	int failed;  /* the stream's error */
	uint32_t held;
	uint32_t hold_most;
	struct zrx_buffer hold[PROVE_HOLD + PROVE_BATCH];
};

static int prove_open(struct prove *prove, const struct zrx_options *options,
		      struct zrx_error *error)
{
	struct zrx_options checked;
	int result = options ? zrx_copy_in(&checked, sizeof(checked), options) : -EINVAL;
	uint64_t most;

	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_OPTIONS,
				     "start from ZRX_OPTIONS_INIT, and name an interface",
				     "unusable options");
	checked.engine = ZRX_ENGINE_ZCRX;
	prove->steer = checked.steer;
	result = zrx_receiver_open(&prove->receiver, &checked, error);
	if (result)
		return result;
	zrx_receiver_info(prove->receiver, &prove->info);
	most = prove->info.area_bytes / prove->info.buffer_bytes / PROVE_HOLD_PART;
	prove->hold_most = most < PROVE_HOLD ? (uint32_t)most : PROVE_HOLD;
	return 0;
}

static int prove_add(struct prove *prove, uint64_t limit_bytes, struct zrx_error *error)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	int early = 0, result;

	options.limit_bytes = limit_bytes;
	result = zrx_receiver_add(prove->receiver, prove->fd, &options, NULL);
	if (result) {
		zrx_receiver_error(prove->receiver, error);
		return result;
	}
	if (!ioctl(prove->fd, FIONREAD, &early) && early > 0)
		prove->proof.early_bytes = (uint64_t)early;
	return 0;
}

static void prove_release(struct prove *prove)
{
	zrx_buffer_release(prove->hold, prove->held);
	prove->held = 0;
}

static void prove_take(struct prove *prove, const struct zrx_event *event)
{
	if (event->kind != ZRX_EVENT_DATA) {
		prove->over = 1;
		prove->failed = event->error;
		return;
	}
	prove->proof.bytes += event->buffer.length;
	prove->proof.buffers++;
	prove->proof.chunks += event->buffer.offset % prove->info.buffer_bytes == 0;
	prove->hold[prove->held++] = event->buffer;
}

static int64_t prove_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * Before Linux 6.19 nobody but the driver takes buffers back, and it does so only for packets of
 * its queue: a stream that has to be copied, all of it, stops when the area is used up.
 */
static int prove_has_stalled(const struct prove *prove)
{
	struct zrx_stats stats = ZRX_STATS_INIT;

	zrx_receiver_stats(prove->receiver, &stats);
	return prove->proof.bytes && !prove->held && stats.stall == ZRX_STALL_COPIES;
}

/* Returns 0 when the stream or the time is over, or a signal came; or what the receive failed with.
 */
static int prove_receive(struct prove *prove, int64_t timeout_ns)
{
	struct zrx_event events[PROVE_BATCH];
	int64_t deadline;

	if (timeout_ns > INT64_MAX / 2) /* for ever; and the sum must not wrap */
		timeout_ns = -1;
	deadline = prove_clock_ns() + timeout_ns;

	while (!prove->over && !prove->stalled) {
		int64_t left = timeout_ns < 0 ? PROVE_SLICE_NS : deadline - prove_clock_ns();
		int count;

		if (left <= 0)
			return 0;
		if (left > PROVE_SLICE_NS)
			left = PROVE_SLICE_NS;
		count = zrx_receiver_receive(prove->receiver, events, PROVE_BATCH, left);
		if (count < 0)
			return count == -EINTR && prove->proof.bytes ? 0 : count;
		for (int i = 0; i < count; i++)
			prove_take(prove, &events[i]);
		prove->stalled = !count && prove_has_stalled(prove);
		if (prove->held > prove->hold_most || !count)
			prove_release(prove);
	}
	return 0;
}

static uint64_t prove_difference(uint64_t before, uint64_t after)
{
	if (before == ZRX_UNKNOWN || after == ZRX_UNKNOWN || after < before)
		return ZRX_UNKNOWN;
	return after - before;
}

/*
 * Cards write their counters to memory now and then (bnxt: once a second): look again until the
 * queue's bytes are all there, or will not come.
 */
static void prove_look(struct prove *prove)
{
	struct zrx_nic_traffic *after = &prove->after;
	const struct timespec pause = {.tv_nsec = PROVE_LOOK_NS};

	for (uint32_t looks = 0; looks < PROVE_LOOKS; looks++) {
		zrx_nic_traffic_read(after, prove->report.ifindex, prove->info.queue,
				     prove->report.napi_id);
		if (prove_difference(prove->before.bytes, after->bytes) >= prove->proof.bytes)
			return; /* or the driver does not tell */
		nanosleep(&pause, NULL);
	}
}

/* While it is still bound: what was counted goes with the queue. */
static void prove_count(struct prove *prove)
{
	struct zrx_nic_proof *proof = &prove->proof;
	const struct zrx_nic_traffic *after = &prove->after;
	struct zrx_stats stats = ZRX_STATS_INIT;
	int pending = 0;
	struct ifreq request = {0};
	uint32_t napi_id = 0;
	socklen_t length = sizeof(napi_id);

	prove_look(prove);
	zrx_receiver_stats(prove->receiver, &stats);
	proof->copied_bytes = stats.copied_bytes;
	proof->copied_buffers = stats.copied_buffers;
	proof->alloc_failures = stats.alloc_failures;
	prove->stall = prove->stalled ? ZRX_STALL_COPIES : stats.stall;
	if (!ioctl(prove->fd, FIONREAD, &pending) && pending > 0)
		prove->pending = (uint64_t)pending;
	proof->nic_chunks = prove_difference(prove->before.chunks, after->chunks);
	proof->queue_bytes = prove_difference(prove->before.bytes, after->bytes);
	proof->queue_packets = prove_difference(prove->before.packets, after->packets);
	proof->queue = prove->info.queue;
	proof->queue_napi_id = prove->report.napi_id;
	proof->buffer_bytes = prove->info.buffer_bytes;
	if (!getsockopt(prove->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &length))
		proof->socket_napi_id = napi_id;
	memcpy(request.ifr_name, prove->info.interface, sizeof(request.ifr_name));
	if (!ioctl(prove->fd, SIOCGIFMTU, &request))
		proof->mtu = (uint32_t)request.ifr_mtu;
}

static struct zrx_nic_state prove_state(const struct prove *prove)
{
	return (struct zrx_nic_state){
		.interface = prove->info.interface,
		.split = prove->report.split,
		.hds_thresh = prove->report.hds_thresh,
		.steer = prove->steer,
		.stall = prove->stall,
		.flushes = !!(prove->info.features & ZRX_FEATURE_FLUSH),
		.ring_entries = prove->report.ring_entries,
		.area_bytes = prove->info.area_bytes,
		.pending = prove->pending,
		.unsplit = prove_difference(prove->before.unsplit, prove->after.unsplit),
		.starved = prove_difference(prove->before.starved, prove->after.starved),
	};
}

static int prove_ended(const struct prove *prove, int result, struct zrx_error *error)
{
	if (result == -EINTR)
		return zrx_error_set(error, result, ZRX_STAGE_RECEIVE, "call again",
				     "interrupted before a byte came");
	if (result) {
		zrx_receiver_error(prove->receiver, error);
		return result;
	}
	if (prove->failed == -EFAULT)
		return zrx_error_set(
			error, -EFAULT, ZRX_STAGE_NIC,
			"remove the rule or RSS entry that leads it there: ethtool -n, "
			"ethtool -x",
			"the flow arrives on the queue of another receiver of %s",
			prove->info.interface);
	if (prove->failed)
		return zrx_error_set(error, prove->failed, ZRX_STAGE_RECEIVE, NULL,
				     "the stream failed: %s", strerror(-prove->failed));
	if (!prove->proof.bytes) {
		struct zrx_nic_state state = prove_state(prove);

		return zrx_nic_silence(&prove->proof, &state, error);
	}
	return 0;
}

static int prove_run(struct prove *prove, const struct zrx_options *options, uint64_t limit_bytes,
		     int64_t timeout_ns, struct zrx_error *error)
{
	struct zrx_nic_state state;
	int result = prove_open(prove, options, error), closed;

	if (result)
		return result;
	result = zrx_nic_inspect(prove->info.interface, prove->info.queue, &prove->report, error);
	if (!result) {
		zrx_nic_traffic_read(&prove->before, prove->report.ifindex, prove->info.queue,
				     prove->report.napi_id);
		result = prove_add(prove, limit_bytes, error);
	}
	if (!result) {
		result = prove_receive(prove, timeout_ns);
		prove_count(prove);
		result = prove_ended(prove, result, error);
	}
	prove_release(prove);
	closed = zrx_receiver_close(prove->receiver);
	if (!result && closed < 0)
		result = zrx_error_set(error, closed, ZRX_STAGE_QUEUE, "zcrx nic restore",
				       "%s: queue %u is still bound after its ring was closed",
				       prove->info.interface, prove->info.queue);
	if (result)
		return result;
	state = prove_state(prove);
	zrx_nic_verdict(&prove->proof, &state);
	return 0;
}

int zrx_nic_prove(const struct zrx_options *options, int fd, uint64_t limit_bytes,
		  int64_t timeout_ns, struct zrx_nic_proof *proof, struct zrx_error *error)
{
	struct prove *prove;
	int result;

	zrx_error_clear(error);
	if (!proof || proof->size < offsetof(struct zrx_nic_proof, verdict))
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS,
				     "set size to sizeof(struct zrx_nic_proof)",
				     "proof is NULL, or its size is not set");
	prove = calloc(1, sizeof(*prove));
	if (!prove)
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_OPTIONS, NULL, "out of memory");
	prove->fd = fd;
	prove->info.size = sizeof(prove->info);
	prove->report.size = sizeof(prove->report);
	prove->proof.size = sizeof(prove->proof);
	prove->proof.check_capacity = ZRX_PROOF_CHECKS;
	prove->proof.checks = prove->checks;
	result = prove_run(prove, options, limit_bytes, timeout_ns, error);
	if (!result)
		result = zrx_check_copy_out(proof, &prove->proof, sizeof(prove->proof));
	free(prove);
	return result;
}
