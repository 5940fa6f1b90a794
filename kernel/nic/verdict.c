/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "check.h"
#include "nic/verdict.h"

#define FEW_PART                                                                                \
	1000u         /* one in so many may be copied: what was under way when the rule was set \
		       */
#define MOST_PART 10u /* all but one in so many */
/*
 * Of the driver's chunks the pool does not count one in 64, or more when its cache was filled with
 * fewer: so many that were not counted still say nothing.
 */
#define UNCOUNTED_PART 10u
#define HEADERS_BYTES  52u /* IPv4 and TCP with timestamps */

struct judge {
	struct zrx_check_list list;
	struct zrx_nic_proof *proof;
	const struct zrx_nic_state *state;
};

static int judge_missed_queue(const struct zrx_nic_proof *proof)
{
	return proof->socket_napi_id && proof->queue_napi_id &&
	       proof->socket_napi_id != proof->queue_napi_id;
}

static void judge_steering(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;
	const char *interface = judge->state->interface;

	if (judge_missed_queue(proof)) {
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "steering",
				      "the flow arrives on NAPI %u; queue %u has NAPI %u",
				      proof->socket_napi_id, proof->queue, proof->queue_napi_id),
			"look for a rule that comes first: ethtool -n %s; RSS contexts: ethtool "
			"-x %s context N",
			interface, interface);
	} else if (!proof->socket_napi_id) {
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "steering",
					     "the last packet came through no NIC queue"),
			       "send from another machine, or network namespace, over %s",
			       interface);
	} else if (!proof->queue_napi_id) {
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_UNKNOWN, "steering",
				      "the driver does not tell which NAPI instance queue %u has",
				      proof->queue),
			"compare the queue's packets: ethtool -S %s", interface);
	} else {
		zrx_check_add(&judge->list, ZRX_CHECK_OK, "steering",
			      "the flow arrives on queue %u (NAPI %u)", proof->queue,
			      proof->queue_napi_id);
	}
	if (proof->early_bytes)
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_WARN, "early",
					     "%" PRIu64
					     " bytes came before the flow was led to the queue: "
					     "they were copied",
					     proof->early_bytes),
			       "steer by listening port (ZRX_STEER_PORT) before accepting");
}

static void judge_queue(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;

	if (proof->queue_bytes == ZRX_UNKNOWN) {
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_UNKNOWN, "queue",
					     "the driver does not count by queue"),
			       "look at ethtool -S %s", judge->state->interface);
		return;
	}
	/* Packets that were on their way at either end of the counting may make up the part. */
	if (proof->queue_bytes >= proof->bytes - proof->bytes / MOST_PART) {
		zrx_check_add(&judge->list, ZRX_CHECK_OK, "queue",
			      "it received %" PRIu64 " bytes in %" PRIu64 " packets",
			      proof->queue_bytes, proof->queue_packets);
		return;
	}
	zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "queue",
				     "it received %" PRIu64 " bytes, the stream had %" PRIu64
				     ": the rest came by others",
				     proof->queue_bytes, proof->bytes),
		       "look for rules that lead it elsewhere: ethtool -n %s",
		       judge->state->interface);
}

static void judge_split(struct judge *judge)
{
	const struct zrx_nic_state *state = judge->state;

	if (state->split == ZRX_NIC_SPLIT_ON && !state->hds_thresh)
		zrx_check_add(&judge->list, ZRX_CHECK_OK, "tcp-data-split", "on, threshold 0");
	else if (state->split == ZRX_NIC_SPLIT_ON)
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_WARN, "tcp-data-split",
					     "packets below %u bytes are not split",
					     state->hds_thresh),
			       "ethtool -G %s hds-thresh 0", state->interface);
	else
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "tcp-data-split",
				      state->split == ZRX_NIC_SPLIT_OFF ? "off" : "not told"),
			"ethtool -G %s tcp-data-split on", state->interface);
}

static void judge_copies(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;
	struct zrx_check *check;

	if (proof->copied_bytes == ZRX_UNKNOWN) {
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_UNKNOWN, "copied",
					     "this kernel does not count copies"),
			       "boot Linux 7.2 or newer");
		return;
	}
	check = zrx_check_add(&judge->list,
			      proof->copied_bytes > proof->bytes / FEW_PART ? ZRX_CHECK_MISSING
									    : ZRX_CHECK_OK,
			      "copied",
			      "%" PRIu64 " of %" PRIu64 " bytes in %" PRIu64
			      " pieces (payload in a packet's linear part is not counted)",
			      proof->copied_bytes, proof->bytes, proof->copied_buffers);
	if (check->state != ZRX_CHECK_OK)
		zrx_check_hint(check, "see to the checks that are not ok");
}

/* Chunks that the stream began, and that the driver is not known to have taken. */
static uint64_t judge_unexplained(const struct zrx_nic_proof *proof)
{
	return proof->chunks > proof->nic_chunks ? proof->chunks - proof->nic_chunks : 0;
}

static int judge_explained(const struct zrx_nic_proof *proof)
{
	return judge_unexplained(proof) <= proof->chunks / UNCOUNTED_PART;
}

static void judge_linear(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;

	if (proof->nic_chunks == ZRX_UNKNOWN) {
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_UNKNOWN, "linear",
					     "payload in linear parts cannot be told: no page pool "
					     "statistics"),
			       "boot a kernel with CONFIG_PAGE_POOL_STATS=y");
	} else if (judge_explained(proof)) {
		zrx_check_add(&judge->list, ZRX_CHECK_OK, "linear",
			      "the driver took at least %" PRIu64
			      " chunks, the stream filled %" PRIu64,
			      proof->nic_chunks, proof->chunks);
	} else {
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_WARN, "linear",
				      "the driver is only known to have taken %" PRIu64
				      " chunks, the stream filled %" PRIu64
				      ": packets came unsplit, or missed the queue",
				      proof->nic_chunks, proof->chunks),
			"see that the NIC splits this traffic: plain TCP, no tunnel, no VLAN "
			"that the driver leaves in the packet");
	}
}

static void judge_sizes(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;

	if (judge->state->stalled)
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "stall",
					     "it stopped after %" PRIu64
					     " bytes: this kernel cannot go on "
					     "copying once the area is used up",
					     proof->bytes),
			       "steer the flow to the queue; boot Linux 6.19 or newer, which can");
	if (proof->alloc_failures && proof->alloc_failures != ZRX_UNKNOWN)
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_WARN, "area",
				      "the driver found no chunk %" PRIu64 " times",
				      proof->alloc_failures),
			"a larger area (area_bytes), or a smaller NIC ring: ethtool -G %s rx N",
			judge->state->interface);
	if (proof->mtu > HEADERS_BYTES && proof->mtu - HEADERS_BYTES < proof->buffer_bytes / 2)
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_WARN, "mtu",
					     "a packet fills at most %u of a chunk's %u bytes",
					     proof->mtu - HEADERS_BYTES, proof->buffer_bytes),
			       "where the network can: ip link set dev %s mtu 9000, on both ends",
			       judge->state->interface);
}

static uint32_t judge_verdict(const struct zrx_nic_proof *proof)
{
	uint64_t copied = proof->copied_bytes;
	int linear_told = proof->nic_chunks != ZRX_UNKNOWN;

	if (copied == ZRX_UNKNOWN) {
		if (linear_told && judge_explained(proof) && !judge_missed_queue(proof))
			return ZRX_PROOF_ZERO_COPY;
		return judge_missed_queue(proof) ? ZRX_PROOF_COPIED : ZRX_PROOF_UNDECIDED;
	}
	if (copied >= proof->bytes - proof->bytes / MOST_PART)
		return ZRX_PROOF_COPIED;
	if (copied > proof->bytes / FEW_PART)
		return ZRX_PROOF_PARTLY;
	return linear_told && !judge_explained(proof) ? ZRX_PROOF_UNDECIDED : ZRX_PROOF_ZERO_COPY;
}

void zrx_nic_verdict(struct zrx_nic_proof *proof, const struct zrx_nic_state *state)
{
	struct judge judge = {{proof->checks, &proof->check_count}, proof, state};

	proof->check_count = 0;
	judge_steering(&judge);
	judge_queue(&judge);
	judge_split(&judge);
	judge_copies(&judge);
	judge_linear(&judge);
	judge_sizes(&judge);
	proof->verdict = judge_verdict(proof);
}
