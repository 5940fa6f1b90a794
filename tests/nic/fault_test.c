/* SPDX-License-Identifier: MIT */
/*
 * Every call to the NIC fails once, in every way, at every place of the transaction: afterwards the
 * NIC is as it was, at once or (where undoing is what failed) after the next sweep.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/claim/claim.h"
#include "scratch.h"

static const struct zrx_options port_options = {
	.size = sizeof(port_options), .steer = ZRX_STEER_PORT, .steer_port = 5000};

/* A life gives what taking and steering gave; *dropped what dropping gave. */
typedef int (*life)(struct fake_nic *fake, int *dropped);

static int begin(struct fake_nic *fake, struct zrx_claim *claim)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result = zrx_claim_take(claim, &fake->base, scratch_name(), &port_options, 0, &error);

	if (result)
		CHECK(error.code == result && error.message[0], "call %d: no reason given",
		      fake->fail_call);
	return result;
}

static int live_alone(struct fake_nic *fake, int *dropped)
{
	struct zrx_claim claim;
	int result = begin(fake, &claim);

	*dropped = 0;
	if (result)
		return result;
	result = zrx_claim_steer_port(&claim, 5000, NULL);
	*dropped = zrx_claim_drop(&claim, NULL);
	return result;
}

/* How many rules lead to this queue and to no other. */
static int rules_to(const struct fake_nic *fake, uint32_t queue)
{
	int count = 0;

	for (int i = 0; i < FAKE_RULES; i++)
		count += fake->state.rule_used[i] && !(fake->state.rules[i].flow_type & FLOW_RSS) &&
			 fake->state.rules[i].ring_cookie == queue;
	return count;
}

/* A second claim shares the port of the first. If it is refused, the first is steered as before. */
static int live_shared(struct fake_nic *fake, int *dropped)
{
	struct zrx_claim first, second;
	int result = begin(fake, &first), second_dropped = 0, taken;

	*dropped = 0;
	if (result)
		return result;
	result = zrx_claim_steer_port(&first, 5000, NULL);
	taken = result ? result : begin(fake, &second);
	if (!taken) {
		result = zrx_claim_steer_port(&second, 5000, NULL);
		if (result)
			CHECK(rules_to(fake, first.queue) == 2, "call %d: %d rules to the first",
			      fake->fail_call, rules_to(fake, first.queue));
		second_dropped = zrx_claim_drop(&second, NULL);
	}
	*dropped = zrx_claim_drop(&first, NULL);
	*dropped = *dropped ? *dropped : second_dropped;
	return result ? result : taken;
}

static void check_restored(struct fake_nic *fake, int directory, const struct fake_state *before,
			   const char *what)
{
	uint32_t alive;

	fake->fail_call = 0;
	CHECK(zrx_claim_sweep(&fake->base, directory, zrx_journal_net_space(), &alive, NULL) >= 0,
	      "%s: sweep", what);
	CHECK(!alive, "%s: %u alive", what, alive);
	CHECK(!fake->crashes, "%s: asked for a rule that is not listed", what);
	CHECK(!fake_differs(before, &fake->state), "%s: not as before", what);
	CHECK(!scratch_journals(), "%s: %d journals left", what, scratch_journals());
}

/* Returns whether the call with this number was made at all. */
static int fail_at(life live, int call, int how, uint32_t split_default)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), result, dropped, made;
	struct fake_state before;
	char what[64];

	fake->split_default = split_default;
	fake->no_disable = split_default == ZRX_SPLIT_ON;
	before = fake->state;
	fake->fail_call = call;
	fake->fail_how = how;
	snprintf(what, sizeof(what), "call %d failed in way %d", call, how);
	result = live(fake, &dropped);
	made = fake->calls >= call;
	/* One that failed as a whole has left nothing for later. */
	if (result && !dropped)
		CHECK(!fake_differs(&before, &fake->state), "%s: %d, yet not undone", what, result);
	/* A driver that only claims to take "auto" is told what it read as before: that must do. */
	if (how == FAKE_LIE && fake->state.split == split_default)
		fake->state.split = before.split;
	check_restored(fake, directory, &before, what);
	scratch_close(directory);
	fake_free(fake);
	return made;
}

/* The process dies at the call; the next one sweeps. Returns whether the call was made at all. */
static int die_at(life live, int call, int how)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), dropped, made;
	struct fake_state before = fake->state;
	char what[64];
	pid_t child;

	fake->fail_call = call;
	fake->fail_how = how;
	child = fork();
	if (!child) {
		live(fake, &dropped);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	made = fake->calls >= call;
	snprintf(what, sizeof(what), "died at call %d in way %d", call, how);
	check_restored(fake, directory, &before, what);
	scratch_close(directory);
	fake_free(fake);
	return made;
}

/* One who shares a living claim's port dies at the call: a sweep leads the flows to the living. */
static int die_beside(int call, int how)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), made;
	struct fake_state before = fake->state;
	struct zrx_claim claim, other;
	char what[64];
	uint32_t alive;
	pid_t child;

	CHECK(!begin(fake, &claim) && !zrx_claim_steer_port(&claim, 5000, NULL), "the living");
	fake->calls = 0;
	fake->fail_call = call;
	fake->fail_how = how;
	child = fork();
	if (!child) {
		if (!begin(fake, &other) && !zrx_claim_steer_port(&other, 5000, NULL))
			zrx_claim_drop(&other, NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	made = fake->calls >= call;
	fake->fail_call = 0;
	snprintf(what, sizeof(what), "died beside at call %d in way %d", call, how);
	CHECK(zrx_claim_sweep(&fake->base, directory, zrx_journal_net_space(), &alive, NULL) >= 0,
	      "%s: sweep", what);
	CHECK(alive == 1 && rules_to(fake, claim.queue) == 2, "%s: %d rules", what,
	      rules_to(fake, claim.queue));
	CHECK(!zrx_claim_drop(&claim, NULL), "%s: drop", what);
	check_restored(fake, directory, &before, what);
	scratch_close(directory);
	fake_free(fake);
	return made;
}

/* The journal can grow to so many bytes only. Returns whether that was enough. */
static int fail_journal_at(rlim_t bytes)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), status = 0;
	struct fake_state before = fake->state;
	char what[64];
	pid_t child = fork();

	if (!child) {
		struct rlimit limit = {bytes, bytes};
		int dropped;

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &limit))
			_exit(2);
		_exit(live_shared(fake, &dropped) || dropped ? 1 : 0);
	}
	waitpid(child, &status, 0);
	snprintf(what, sizeof(what), "journal of %lu bytes", (unsigned long)bytes);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 2, "%s: status %x", what, status);
	check_restored(fake, directory, &before, what);
	scratch_close(directory);
	fake_free(fake);
	return !WEXITSTATUS(status);
}

static void test_life(life live, int calls)
{
	static const uint32_t defaults[] = {ZRX_SPLIT_OFF, ZRX_SPLIT_ON};
	static const int failures[] = {FAKE_FAIL_CLEAN, FAKE_FAIL_DONE, FAKE_LIE};
	static const int deaths[] = {FAKE_DIE_BEFORE, FAKE_DIE_AFTER};
	int call;

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 3; j++) {
			for (call = 1; fail_at(live, call, failures[j], defaults[i]); call++)
				;
			CHECK(call > calls, "only %d calls in a whole life", call);
		}
	for (size_t i = 0; i < 2; i++)
		for (call = 1; die_at(live, call, deaths[i]); call++)
			;
}

static void test_death_beside_the_living(void)
{
	int call;

	for (int how = FAKE_DIE_BEFORE; how <= FAKE_DIE_AFTER; how++) {
		for (call = 1; die_beside(call, how); call++)
			;
		CHECK(call > 40, "only %d calls", call);
	}
}

void test_faults(void)
{
	test_life(live_alone, 30);
	test_life(live_shared, 80);
	test_death_beside_the_living();
	for (rlim_t bytes = 0; !fail_journal_at(bytes); bytes += 7)
		CHECK(bytes < 4096, "never enough");
}
