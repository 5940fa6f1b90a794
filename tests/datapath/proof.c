/* SPDX-License-Identifier: MIT */
/* zrx_nic_prove: what it says of streams of which we know what became. */
#include "model.h"
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define BYTES      (24u << 20)
#define QUEUE      1u
#define LOOK_NS    20000000
#define SILENCE_NS (3 * SECOND_NS)
#define TINY_AREA  (128u << 10)

/* Lets the sender go once the proof's receiver is ready for what it sends. */
struct starter {
	struct flow *flow;
	struct nic_state before;
	int steered;
};

static void *start_when_ready(void *argument)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct starter *starter = argument;
	struct nic_state now;

	do {
		nanosleep(&pause, NULL);
		nic_look(&now);
	} while (now.bound_queues == starter->before.bound_queues ||
		 (starter->steered && now.rules.count == starter->before.rules.count));
	flow_go(starter->flow);
	return NULL;
}

static const struct zrx_check *find(const struct zrx_nic_proof *proof, const char *name)
{
	for (uint32_t i = 0; i < proof->check_count; i++) {
		if (!strcmp(proof->checks[i].name, name))
			return &proof->checks[i];
	}
	return NULL;
}

static struct zrx_nic_proof prove(uint32_t steer)
{
	struct zrx_options options = rx_options();
	static struct zrx_check checks[ZRX_PROOF_CHECKS]; /* of one proof at a time */
	struct zrx_nic_proof proof = {
		.size = sizeof(proof), .check_capacity = ZRX_PROOF_CHECKS, .checks = checks};
	struct zrx_error error = ZRX_ERROR_INIT;
	struct listener listener;
	struct starter starter;
	struct flow flow;
	pthread_t thread;
	int result;

	options.flags = ZRX_QUEUE;
	options.queue = QUEUE;
	options.steer = steer;
	listener_open(&listener, AF_INET6);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	starter = (struct starter){.flow = &flow, .steered = steer == ZRX_STEER_CONNECTION};
	nic_look(&starter.before);
	thread_start(&thread, start_when_ready, &starter);
	result = zrx_nic_prove(&options, flow.fd, 0, INT64_MAX, &proof, &error);
	CHECK(!result, "%d: %s (%s)", result, error.message, error.hint);
	pthread_join(thread, NULL);
	if (find(&proof, "stall")) { /* before 6.19 the kernel cannot copy for ever */
		CHECK(steer == ZRX_STEER_NONE && proof.bytes, "the stream stopped");
		flow_abandon(&flow);
	} else {
		CHECK(proof.bytes == BYTES, "%" PRIu64 " bytes of %u", proof.bytes, BYTES);
		flow_close(&flow);
	}
	nic_compare(&starter.before);
	CHECK(proof.queue == QUEUE && proof.mtu && proof.buffer_bytes >= 2048,
	      "queue %u, MTU %u, chunks of %u", proof.queue, proof.mtu, proof.buffer_bytes);
	return proof;
}

static const struct zrx_check *check_of(const struct zrx_nic_proof *proof, const char *name)
{
	const struct zrx_check *check = find(proof, name);

	CHECK(check, "the proof has no check \"%s\"", name);
	return check;
}

static void expect(const struct zrx_nic_proof *proof, const char *name, uint32_t state)
{
	const struct zrx_check *check = check_of(proof, name);

	CHECK(check->state == state, "%s is %u, not %u: %s", name, check->state, state,
	      check->detail);
}

static int counts_copies(const struct zrx_nic_proof *proof)
{
	return proof->copied_bytes != ZRX_UNKNOWN;
}

void proof_of_zero_copy(void)
{
	struct zrx_nic_proof proof = prove(ZRX_STEER_CONNECTION);

	CHECK(proof.verdict == ZRX_PROOF_ZERO_COPY, "verdict %u: %s; %s", proof.verdict,
	      check_of(&proof, "copied")->detail, check_of(&proof, "linear")->detail);
	CHECK(!counts_copies(&proof) || !proof.copied_bytes, "%" PRIu64 " bytes were copied",
	      proof.copied_bytes);
	expect(&proof, "steering", ZRX_CHECK_OK);
	expect(&proof, "tcp-data-split", ZRX_CHECK_OK);
	expect(&proof, "linear", ZRX_CHECK_OK);
	CHECK(check_of(&proof, "queue")->state != ZRX_CHECK_MISSING, "%s",
	      check_of(&proof, "queue")->detail);
}

/* RSS leads away from the queue, and no rule leads there. */
void proof_of_copies(void)
{
	struct zrx_nic_proof proof = prove(ZRX_STEER_NONE);

	CHECK(proof.verdict == ZRX_PROOF_COPIED, "verdict %u", proof.verdict);
	expect(&proof, "steering", ZRX_CHECK_MISSING);
	if (counts_copies(&proof))
		expect(&proof, "copied", ZRX_CHECK_MISSING);
}

/* A peer that sends, and nothing of it is received: *error tells why. */
static void prove_nothing(struct zrx_options options, int some_bytes, const char *words,
			  const char *hint)
{
	struct zrx_nic_proof proof = {.size = sizeof(proof)};
	struct zrx_error error = ZRX_ERROR_INIT;
	struct listener listener;
	struct starter starter;
	struct flow flow;
	pthread_t thread;
	int result;

	options.flags |= ZRX_QUEUE;
	options.queue = QUEUE;
	options.steer = ZRX_STEER_CONNECTION;
	listener_open(&listener, AF_INET6);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	starter = (struct starter){.flow = &flow, .steered = 1};
	nic_look(&starter.before);
	thread_start(&thread, start_when_ready, &starter);
	result = zrx_nic_prove(&options, flow.fd, 0, SILENCE_NS, &proof, &error);
	pthread_join(thread, NULL);
	flow_abandon(&flow);
	nic_compare(&starter.before);
	if (!result && some_bytes) { /* the ring was not yet full of the area */
		CHECK(proof.bytes && proof.bytes < BYTES, "%" PRIu64 " bytes", proof.bytes);
		return;
	}
	CHECK(result == -ETIMEDOUT, "%d: %s; %" PRIu64 " bytes", result, error.message,
	      proof.bytes);
	CHECK(strstr(error.message, words), "\"%s\" lacks \"%s\"", error.message, words);
	CHECK(strstr(error.hint, hint), "\"%s\" lacks \"%s\"", error.hint, hint);
}

/*
 * Payload beside the header. bnxt_en passes such packets on: the kernel copies it uncounted, but it
 * cannot pass for zero-copy. gve drops them.
 */
void proof_of_unsplit(void)
{
	struct zrx_nic_proof proof;

	model_ask("\"do\": \"unsplit\", \"port\": 1, \"queue\": %u, \"count\": %u", QUEUE, BYTES);
	if (nic_is("gve")) {
		prove_nothing(rx_options(), 0, "did not split", "plain TCP");
		model_ask("\"do\": \"unsplit\", \"port\": 1, \"queue\": %u, \"count\": 0", QUEUE);
		return;
	}
	proof = prove(ZRX_STEER_CONNECTION);
	model_ask("\"do\": \"unsplit\", \"port\": 1, \"queue\": %u, \"count\": 0", QUEUE);
	CHECK(proof.verdict != ZRX_PROOF_ZERO_COPY,
	      "zero-copy, it says: %" PRIu64 " bytes were copied; %s", proof.copied_bytes,
	      check_of(&proof, "linear")->detail);
	expect(&proof, "steering", ZRX_CHECK_OK);
}

/* The driver wants more chunks for its ring than the area has. */
void proof_of_starvation(void)
{
	struct zrx_options options = rx_options();
	uint32_t entries = nic_set_rx_ring(nic_is("gve") ? 2048 : 1024);

	options.area_bytes = TINY_AREA;
	options.flags |= ZRX_SMALL_AREA;
	prove_nothing(options, 1, "finds no chunk", "area_bytes");
	nic_set_rx_ring(entries);
}

void proof_of_silence(void)
{
	struct zrx_options options = rx_options();
	struct zrx_nic_proof proof = {.size = sizeof(proof)};
	struct zrx_error error = ZRX_ERROR_INIT;
	struct nic_state before;
	struct listener listener;
	struct flow flow;
	int result;

	nic_look(&before);
	listener_open(&listener, AF_INET6);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	result = zrx_nic_prove(&options, flow.fd, 0, SECOND_NS / 10, &proof, &error);
	CHECK(result == -ETIMEDOUT, "%d: %s", result, error.message);
	CHECK(error.hint[0], "no hint");
	flow_abandon(&flow);
	nic_compare(&before);
}
