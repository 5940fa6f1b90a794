/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "check.h"
#include "error.h"
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

static int judge_counted(uint64_t count)
{
	return count && count != ZRX_UNKNOWN;
}

/* Of one interface. */
#define SHORTAGE_HINT "a larger area (area_bytes), or a smaller NIC ring: ethtool -G %s rx N"
#define UNSPLIT_HINT                                                                           \
	"see that the NIC splits this traffic: plain TCP, no tunnel, no VLAN that the driver " \
	"leaves in the packet"

/* The flow came last by another queue than the one that it was to be led to. */
static void judge_elsewhere(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;
	const char *interface = judge->state->interface;
	struct zrx_check *check = zrx_check_add(
		&judge->list, ZRX_CHECK_MISSING, "steering",
		"the last packet that was taken came by NAPI %u; queue %u has NAPI %u",
		proof->socket_napi_id, proof->queue, proof->queue_napi_id);

	if (judge_counted(judge->state->unsplit)) {
		check->state = ZRX_CHECK_UNKNOWN;
		zrx_check_hint(check, "see \"unsplit\": packets that reach queue %u are dropped",
			       proof->queue);
	} else if (judge_counted(proof->alloc_failures) || judge_counted(judge->state->starved)) {
		check->state = ZRX_CHECK_UNKNOWN;
		zrx_check_hint(check, "packets reach queue %u and are dropped there: ethtool -S %s",
			       proof->queue, interface);
	} else if (judge->state->steer == ZRX_STEER_NONE) {
		zrx_check_hint(check,
			       "nothing was asked to lead it (ZRX_STEER_NONE): steer by "
			       "connection or port, or set a rule: ethtool -N %s",
			       interface);
	} else {
		zrx_check_hint(check,
			       "look for a rule that comes first: ethtool -n %s; RSS contexts: "
			       "ethtool -x %s context N",
			       interface, interface);
	}
}

static void judge_steering(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;
	const char *interface = judge->state->interface;

	if (judge_missed_queue(proof))
		judge_elsewhere(judge);
	else if (!proof->socket_napi_id)
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "steering",
					     "the last packet came through no NIC queue"),
			       "send from another machine, or network namespace, over %s",
			       interface);
	else if (!proof->queue_napi_id)
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_UNKNOWN, "steering",
				      "the driver does not tell which NAPI instance queue %u has",
				      proof->queue),
			"compare the queue's packets: ethtool -S %s", interface);
	else
		zrx_check_add(&judge->list, ZRX_CHECK_OK, "steering",
			      "the flow arrives on queue %u (NAPI %u)", proof->queue,
			      proof->queue_napi_id);
}

/* This call opens the receiver when the connection is there already: no steering is earlier. */
static void judge_early(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;

	if (proof->early_bytes)
		zrx_check_hint(
			zrx_check_add(&judge->list, ZRX_CHECK_WARN, "early",
				      "%" PRIu64
				      " bytes came before the flow was led to the queue: "
				      "they were copied",
				      proof->early_bytes),
			judge->state->steer == ZRX_STEER_PORT
				? "here: have the peer send later. A program that opens its "
				  "receiver before it listens has none"
				: "here: have the peer send later. In a program: steer by "
				  "listening port (ZRX_STEER_PORT), and open before listening");
}

static void judge_queue(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;
	uint64_t due = proof->bytes - proof->bytes / MOST_PART;

	if (proof->queue_bytes == ZRX_UNKNOWN) {
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_UNKNOWN, "queue",
					     "the driver does not count by queue"),
			       "look at ethtool -S %s", judge->state->interface);
		return;
	}
	/* Early bytes came by another; packets on their way at either end make up the part. */
	due -= proof->early_bytes < due ? proof->early_bytes : due;
	if (proof->queue_bytes >= due) {
		zrx_check_add(&judge->list, ZRX_CHECK_OK, "queue",
			      "it received %" PRIu64 " bytes in %" PRIu64 " packets",
			      proof->queue_bytes, proof->queue_packets);
		return;
	}
	zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "queue",
				     "it received %" PRIu64 " bytes, the stream had %" PRIu64
				     ": the rest came by others",
				     proof->queue_bytes, proof->bytes),
		       judge->state->steer == ZRX_STEER_NONE
			       ? "nothing was asked to lead it there: see what does: ethtool -n %s"
			       : "look for rules that lead it elsewhere: ethtool -n %s",
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

static void judge_unsplit(struct judge *judge)
{
	if (!judge_counted(judge->state->unsplit))
		return;
	zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "unsplit",
				     "the NIC did not split %" PRIu64
				     " packets of queue %u: they are copied, or dropped where the "
				     "kernel cannot read them",
				     judge->state->unsplit, judge->proof->queue),
		       UNSPLIT_HINT);
}

/* Where the bytes that were copied came from, as far as something tells. */
static void judge_copies_hint(struct judge *judge, struct zrx_check *check)
{
	const struct zrx_nic_proof *proof = judge->proof;

	for (uint32_t i = 0; i < proof->check_count; i++)
		if (&proof->checks[i] != check && proof->checks[i].state == ZRX_CHECK_MISSING) {
			zrx_check_hint(check, "see the check \"%s\"", proof->checks[i].name);
			return;
		}
	if (proof->early_bytes &&
	    proof->copied_bytes <= proof->early_bytes + proof->bytes / FEW_PART)
		zrx_check_hint(check, "they are those that came early: a longer sample, or a peer "
				      "that sends later, has fewer");
	else
		zrx_check_hint(check, "queue and settings are as they should be: packets that the "
				      "NIC did not split, or that came as the rule was set; a "
				      "longer sample tells which");
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
		judge_copies_hint(judge, check);
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
		struct zrx_check *check = zrx_check_add(
			&judge->list, ZRX_CHECK_WARN, "linear",
			"the driver is only known to have taken %" PRIu64
			" chunks, the stream filled %" PRIu64 ": packets %s",
			proof->nic_chunks, proof->chunks,
			judge_missed_queue(proof) ? "missed the queue"
						  : "came unsplit, or before the rule was set");

		if (judge_missed_queue(proof))
			zrx_check_hint(check, "see the check \"steering\"");
		else
			zrx_check_hint(check, UNSPLIT_HINT);
	}
}

static void judge_stall(struct judge *judge)
{
	const struct zrx_nic_state *state = judge->state;

	if (state->stall != ZRX_STALL_COPIES)
		return;
	zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_MISSING, "stall",
				     "it stopped after %" PRIu64 " bytes: %s", judge->proof->bytes,
				     state->flushes
					     ? "the kernel has to copy, and the NIC holds all "
					       "chunks of the area"
					     : "this kernel cannot go on copying once the area is "
					       "used up"),
		       state->flushes ? SHORTAGE_HINT
				      : "steer the flow to the queue of %s; boot Linux 6.19 or "
					"newer, which can",
		       state->interface);
}

static void judge_sizes(struct judge *judge)
{
	const struct zrx_nic_proof *proof = judge->proof;

	if (judge_counted(proof->alloc_failures))
		zrx_check_hint(zrx_check_add(&judge->list, ZRX_CHECK_WARN, "area",
					     "the driver found no chunk %" PRIu64 " times",
					     proof->alloc_failures),
			       SHORTAGE_HINT, judge->state->interface);
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
	judge_early(&judge);
	judge_queue(&judge);
	judge_split(&judge);
	judge_unsplit(&judge);
	judge_copies(&judge);
	judge_linear(&judge);
	judge_stall(&judge);
	judge_sizes(&judge);
	proof->verdict = judge_verdict(proof);
}

/* ---- not a byte ---- */

static int silence_of_shortage(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
			       struct zrx_error *error)
{
	char hint[160];

	snprintf(hint, sizeof(hint), SHORTAGE_HINT, state->interface);
	return zrx_error_set(error, -ETIMEDOUT, ZRX_STAGE_RECEIVE, hint,
			     "not a byte came: packets reach queue %u, and the driver finds no "
			     "chunk for them (%" PRIu64 " times); its ring has %u entries, the "
			     "area %" PRIu64 " bytes",
			     proof->queue, proof->alloc_failures, state->ring_entries,
			     state->area_bytes);
}

/* The driver's count is of drops for whatever reason, and the kernel has none of its own. */
static int silence_of_either(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
			     struct zrx_error *error)
{
	char hint[256];

	snprintf(hint, sizeof(hint), SHORTAGE_HINT "; if that does not help, " UNSPLIT_HINT,
		 state->interface);
	return zrx_error_set(error, -ETIMEDOUT, ZRX_STAGE_RECEIVE, hint,
			     "not a byte came: the driver dropped %" PRIu64
			     " packets of queue %u: it finds no chunk for them (ring of %u "
			     "entries, area of %" PRIu64 " bytes), or the NIC did not split them",
			     state->starved, proof->queue, state->ring_entries, state->area_bytes);
}

static int silence_of_drops(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
			    struct zrx_error *error)
{
	return zrx_error_set(error, -ETIMEDOUT, ZRX_STAGE_RECEIVE, UNSPLIT_HINT,
			     "not a byte came: the driver dropped %" PRIu64
			     " packets of queue %u, though it had chunks: as if the NIC did not "
			     "split them, so that the kernel cannot read their headers",
			     state->starved, proof->queue);
}

static int silence_of_copies(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
			     struct zrx_error *error)
{
	char hint[160];

	snprintf(hint, sizeof(hint),
		 state->flushes
			 ? "steer the flow to queue %u; or a larger area, or a smaller NIC ring"
			 : "steer the flow to queue %u; or boot Linux 6.19 or newer",
		 proof->queue);
	return zrx_error_set(error, -ETIMEDOUT, ZRX_STAGE_RECEIVE, hint,
			     "not a byte came: %" PRIu64
			     " bytes wait in the socket, which the kernel has to copy, and there "
			     "is no chunk to copy them into",
			     state->pending);
}

int zrx_nic_silence(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
		    struct zrx_error *error)
{
	if (judge_counted(state->unsplit))
		return zrx_error_set(error, -ETIMEDOUT, ZRX_STAGE_RECEIVE, UNSPLIT_HINT,
				     "not a byte came: the NIC did not split %" PRIu64
				     " packets of queue %u, and the kernel cannot read them",
				     state->unsplit, proof->queue);
	if (state->stall == ZRX_STALL_COPIES)
		return silence_of_copies(proof, state, error);
	if (judge_counted(proof->alloc_failures))
		return silence_of_shortage(proof, state, error);
	if (judge_counted(state->starved))
		return proof->alloc_failures == ZRX_UNKNOWN ? silence_of_either(proof, state, error)
							    : silence_of_drops(proof, state, error);
	return zrx_error_set(error, -ETIMEDOUT, ZRX_STAGE_RECEIVE,
			     "have the peer send, and check that its route leads here",
			     "not a byte came");
}
