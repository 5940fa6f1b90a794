/* SPDX-License-Identifier: MIT */
/* What the counts of a stream are taken to mean. */
#include <errno.h>

#include "check.h"
#include "nic/verdict.h"

#define BYTES  (64ull << 20)
#define CHUNKS 16384u

static const struct zrx_nic_state prepared = {
	.interface = "eth7",
	.split = ZRX_NIC_SPLIT_ON,
	.steer = ZRX_STEER_CONNECTION,
	.flushes = 1,
	.ring_entries = 512,
	.area_bytes = 64 << 20,
	.unsplit = ZRX_UNKNOWN,
	.starved = ZRX_UNKNOWN,
};

/* As it should be. Of one proof at a time. */
static struct zrx_nic_proof good(void)
{
	static struct zrx_check checks[ZRX_PROOF_CHECKS];

	return (struct zrx_nic_proof){
		.size = sizeof(struct zrx_nic_proof),
		.check_capacity = ZRX_PROOF_CHECKS,
		.checks = checks,
		.bytes = BYTES,
		.buffers = CHUNKS,
		.chunks = CHUNKS,
		.nic_chunks = CHUNKS / 64 * 63,
		.queue_bytes = BYTES + 100000,
		.queue_packets = CHUNKS,
		.queue = 3,
		.queue_napi_id = 515,
		.socket_napi_id = 515,
		.mtu = 4200,
		.buffer_bytes = 4096,
	};
}

static const struct zrx_check *find(const struct zrx_nic_proof *proof, const char *name)
{
	static const struct zrx_check none = {.state = UINT32_MAX};

	for (uint32_t i = 0; i < proof->check_count; i++) {
		if (!strcmp(proof->checks[i].name, name))
			return &proof->checks[i];
	}
	return &none;
}

/* The verdict, and the one check (NULL: none) that is not ok. */
static void expect(struct zrx_nic_proof proof, const struct zrx_nic_state *state, uint32_t verdict,
		   const char *bad)
{
	zrx_nic_verdict(&proof, state);
	CHECK(proof.verdict == verdict, "%u, not %u (%s)", proof.verdict, verdict, bad ? bad : "");
	CHECK(proof.check_count <= ZRX_PROOF_CHECKS, "%u checks", proof.check_count);
	for (uint32_t i = 0; i < proof.check_count; i++) {
		const struct zrx_check *check = &proof.checks[i];
		int is_bad = bad && !strcmp(check->name, bad);

		CHECK((check->state != ZRX_CHECK_OK) == is_bad, "%s: %s", check->name,
		      check->detail);
		CHECK(!check->hint[0] == (check->state == ZRX_CHECK_OK), "%s: hint %s", check->name,
		      check->hint);
	}
	if (bad)
		CHECK(find(&proof, bad)->state != UINT32_MAX, "no check %s", bad);
}

static void test_counted(void)
{
	struct zrx_nic_proof proof = good();

	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, NULL);
	proof.copied_bytes = BYTES / 1000;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, NULL);
	proof.copied_bytes = BYTES / 1000 + 1;
	expect(proof, &prepared, ZRX_PROOF_PARTLY, "copied");
	proof.copied_bytes = BYTES;
	expect(proof, &prepared, ZRX_PROOF_COPIED, "copied");
}

/* What the kernel's count of copies misses: payload beside the header. */
static void test_linear(void)
{
	struct zrx_nic_proof proof = good();

	proof.nic_chunks = CHUNKS / 2;
	expect(proof, &prepared, ZRX_PROOF_UNDECIDED, "linear");
	proof.nic_chunks = ZRX_UNKNOWN;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "linear");
}

static void test_uncounted(void)
{
	struct zrx_nic_proof proof = good();

	proof.copied_bytes = proof.copied_buffers = ZRX_UNKNOWN;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "copied");
	zrx_nic_verdict(&proof, &prepared);
	CHECK_HAS(find(&proof, "copied")->hint, "7.2");
	proof.nic_chunks = 0;
	zrx_nic_verdict(&proof, &prepared);
	CHECK(proof.verdict == ZRX_PROOF_UNDECIDED, "%u", proof.verdict);
	proof.socket_napi_id = 512;
	zrx_nic_verdict(&proof, &prepared);
	CHECK(proof.verdict == ZRX_PROOF_COPIED, "%u", proof.verdict);
}

static void test_reasons(void)
{
	struct zrx_nic_state off = prepared, late = prepared, stalled = prepared;
	struct zrx_nic_proof proof = good();

	off.split = ZRX_NIC_SPLIT_OFF;
	late.hds_thresh = 256;
	stalled.stall = ZRX_STALL_COPIES;
	expect(proof, &off, ZRX_PROOF_ZERO_COPY, "tcp-data-split");
	expect(proof, &late, ZRX_PROOF_ZERO_COPY, "tcp-data-split");
	expect(proof, &stalled, ZRX_PROOF_ZERO_COPY, "stall");
	proof.mtu = 1500;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "mtu");
	proof = good();
	proof.alloc_failures = 7;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "area");
	proof = good();
	proof.early_bytes = 5000;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "early");
	proof = good();
	proof.queue_bytes = BYTES / 2;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "queue");
	proof.queue_bytes = ZRX_UNKNOWN;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "queue");
}

static void test_steering(void)
{
	struct zrx_nic_proof proof = good();

	proof.socket_napi_id = 512;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "steering");
	zrx_nic_verdict(&proof, &prepared);
	CHECK_HAS(find(&proof, "steering")->detail, "NAPI 512");
	CHECK_HAS(find(&proof, "steering")->hint, "ethtool -n eth7");
	proof.socket_napi_id = 0;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "steering");
	proof = good();
	proof.queue_napi_id = 0;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "steering");
}

static void hint(struct zrx_nic_proof proof, const struct zrx_nic_state *state, const char *name,
		 const char *has, const char *lacks)
{
	const struct zrx_check *check;

	zrx_nic_verdict(&proof, state);
	check = find(&proof, name);
	CHECK(check->state != UINT32_MAX && check->state != ZRX_CHECK_OK, "%s: %s", name,
	      check->detail);
	CHECK_HAS(check->hint, has);
	CHECK(!strstr(check->hint, lacks), "\"%s\" has \"%s\"", check->hint, lacks);
}

/* Early bytes alone, 2 in 1000: the hint is about them. */
static void test_early(void)
{
	struct zrx_nic_state state = prepared;
	struct zrx_nic_proof proof = good();

	proof.early_bytes = proof.copied_bytes = BYTES / 500;
	hint(proof, &state, "copied", "came early", "not ok");
	hint(proof, &state, "early", "ZRX_STEER_PORT", "\"early\"");
	state.steer = ZRX_STEER_PORT; /* the caller has it */
	hint(proof, &state, "early", "have the peer send later", "ZRX_STEER_PORT");

	/* They came by another queue, so they are not missing from this one. */
	proof = good();
	proof.early_bytes = BYTES / 2;
	proof.queue_bytes = BYTES / 2;
	expect(proof, &prepared, ZRX_PROOF_ZERO_COPY, "early");
}

/* Each cause is named where something tells of it, and no other is. */
static void test_causes(void)
{
	struct zrx_nic_state state = prepared;
	struct zrx_nic_proof proof = good();

	/* Something else is named in the list: it is pointed at, and never the check itself. */
	proof.copied_bytes = BYTES;
	proof.socket_napi_id = 512;
	hint(proof, &state, "copied", "\"steering\"", "\"copied\"");
	proof.socket_napi_id = 515;
	hint(proof, &state, "copied", "longer sample", "see");

	/* A queue that was missed: by what, depends on what was asked for. */
	proof.socket_napi_id = 512;
	hint(proof, &state, "steering", "comes first", "ZRX_STEER_NONE");
	state.steer = ZRX_STEER_NONE;
	hint(proof, &state, "steering", "ZRX_STEER_NONE", "comes first");
	state = prepared;
	state.unsplit = 40;
	hint(proof, &state, "steering", "\"unsplit\"", "comes first");
	hint(proof, &state, "unsplit", "plain TCP", "comes first");
	state.unsplit = 0;
	hint(proof, &state, "steering", "comes first", "unsplit");
	state.starved = 12;
	hint(proof, &state, "steering", "dropped there", "comes first");

	/* What cannot go on: before 6.19 the kernel; since, the NIC's ring is in the way. */
	state = prepared;
	state.stall = ZRX_STALL_COPIES;
	hint(good(), &state, "stall", "ethtool -G eth7 rx", "6.19");
	state.flushes = 0;
	hint(good(), &state, "stall", "6.19", "ethtool -G");
	state.stall = ZRX_STALL_BUFFERS; /* the call's own to release: no cause of anything */
	expect(good(), &state, ZRX_PROOF_ZERO_COPY, NULL);
}

static void silence(const struct zrx_nic_proof *proof, const struct zrx_nic_state *state,
		    const char *message, const char *has)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(zrx_nic_silence(proof, state, &error) == -ETIMEDOUT, "%d", error.code);
	CHECK_HAS(error.message, "not a byte came");
	CHECK_HAS(error.message, message);
	CHECK_HAS(error.hint, has);
	CHECK(strstr(has, "route") || !strstr(error.hint, "route"), "%s", error.hint);
}

/* Not a byte came: a route is only blamed where nothing tells of packets. */
static void test_silence(void)
{
	struct zrx_nic_state state = prepared;
	struct zrx_nic_proof proof = good();

	silence(&proof, &state, "", "route");
	proof.alloc_failures = 7;
	silence(&proof, &state, "finds no chunk for them (7 times)", "ethtool -G eth7 rx");
	proof.alloc_failures = ZRX_UNKNOWN; /* before 7.2 */
	silence(&proof, &state, "", "route");
	state.starved = 9;
	silence(&proof, &state, "dropped 9 packets of queue 3: it finds no chunk", "area_bytes");
	silence(&proof, &state, "ring of 512 entries", "ethtool -G eth7 rx");
	silence(&proof, &state, "or the NIC did not split them", "plain TCP");
	proof.alloc_failures = 0; /* chunks were there */
	silence(&proof, &state, "dropped 9 packets of queue 3, though it had chunks", "plain TCP");
	state.unsplit = 3;
	silence(&proof, &state, "did not split 3 packets of queue 3", "plain TCP");
	state = prepared;
	state.stall = ZRX_STALL_COPIES;
	state.pending = 4000;
	silence(&proof, &state, "4000 bytes wait in the socket", "smaller NIC ring");
	state.flushes = 0;
	silence(&proof, &state, "4000 bytes wait in the socket", "6.19");
}

/* Of a proof, without a NIC: what a caller gets wrong. */
static void test_refused(void)
{
	struct zrx_nic_proof proof = {.size = sizeof(proof)};
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(zrx_nic_prove(&options, 0, 0, 0, NULL, &error) == -EINVAL, "%s", error.message);
	CHECK(zrx_nic_prove(NULL, 0, 0, 0, &proof, &error) == -EINVAL, "%s", error.message);
	CHECK(zrx_nic_prove(&options, 0, 0, 0, &proof, &error) < 0, "no interface");
	CHECK(error.message[0] && error.hint[0], "%s", error.message);
	options.interface = "nonesuch0";
	CHECK(zrx_nic_prove(&options, 0, 0, 0, &proof, &error) < 0, "no such interface");
	CHECK(error.message[0] && error.hint[0], "%s", error.message);
	proof.size = 0;
	CHECK(zrx_nic_prove(&options, 0, 0, 0, &proof, &error) == -EINVAL, "%s", error.message);
}

void test_verdict(void)
{
	test_counted();
	test_linear();
	test_uncounted();
	test_reasons();
	test_steering();
	test_early();
	test_causes();
	test_silence();
	test_refused();
}
