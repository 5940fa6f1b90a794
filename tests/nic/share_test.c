/* SPDX-License-Identifier: MIT */
/* Claims that share a port, on a NIC in memory. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/claim/claim.h"
#include "scratch.h"

#define PORT 5000

static const struct zrx_options port_options = {
	.size = sizeof(port_options), .steer = ZRX_STEER_PORT, .steer_port = PORT};

struct share {
	struct fake_nic *fake;
	int directory;
	struct fake_state before;
};

static struct share share_begin(void)
{
	struct share share = {.fake = fake_new()};

	share.directory = scratch_open();
	share.before = share.fake->state;
	return share;
}

static void share_end(struct share *share)
{
	CHECK(!fake_differs(&share->before, &share->fake->state), "not as before");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	CHECK(!share->fake->crashes, "asked for a rule that is not listed");
	scratch_close(share->directory);
	fake_free(share->fake);
}

static int join(struct share *share, struct zrx_claim *claim, struct zrx_error *error)
{
	CHECK(!zrx_claim_take(claim, &share->fake->base, scratch_name(), &port_options, 0, NULL),
	      "take");
	return zrx_claim_steer_port(claim, PORT, error);
}

static int sweep(struct share *share)
{
	uint32_t alive;

	return zrx_claim_sweep(&share->fake->base, share->directory, zrx_journal_net_space(),
			       &alive, NULL);
}

/* The rules for the port lead to these queues alike, directly if it is one; families: 4, 6 or both.
 */
static void check_leads(const struct share *share, const uint32_t *queues, uint32_t count,
			uint32_t families, const char *what)
{
	const struct fake_state *state = &share->fake->state;
	uint32_t rules = 0, contexts = 0;

	for (uint32_t i = 0; i < FAKE_RULES; i++) {
		const struct zrx_ethtool_rss *rss = &state->contexts[state->rule_context[i] - 1u];

		if (!state->rule_used[i])
			continue;
		rules++;
		if (count == 1)
			CHECK(!(state->rules[i].flow_type & FLOW_RSS) &&
				      state->rules[i].ring_cookie == queues[0],
			      "%s: a rule leads elsewhere", what);
		for (uint32_t j = 0; count > 1 && j < count; j++)
			CHECK(state->rules[i].flow_type & FLOW_RSS &&
				      zrx_rss_count(rss, queues[j]) >= rss->count / count,
			      "%s: queue %u has %u of %u entries", what, queues[j],
			      zrx_rss_count(rss, queues[j]), rss->count);
	}
	for (uint32_t i = 0; i < FAKE_CONTEXTS; i++)
		contexts += state->context_used[i];
	CHECK(rules == families, "%s: %u rules", what, rules);
	CHECK(contexts == (count > 1), "%s: %u contexts", what, contexts);
}

static void test_pair(int first_leaves_first)
{
	struct share share = share_begin();
	struct zrx_claim claims[2];
	int leaver = !first_leaves_first;
	uint32_t queues[2];

	CHECK(!join(&share, &claims[0], NULL), "the first");
	queues[0] = claims[0].queue;
	check_leads(&share, queues, 1, 2, "alone");
	CHECK(!join(&share, &claims[1], NULL), "the second");
	queues[1] = claims[1].queue;
	check_leads(&share, queues, 2, 2, "both");
	CHECK(!zrx_claim_drop(&claims[leaver], NULL), "one leaves");
	check_leads(&share, &queues[!leaver], 1, 2, "alone again");
	CHECK(!zrx_claim_drop(&claims[!leaver], NULL), "the last leaves");
	share_end(&share);
}

/* Those who stay keep what they have: only the leaver's and the newcomer's flows move. */
static void test_three(void)
{
	struct share share = share_begin();
	struct zrx_ethtool_rss three;
	struct zrx_claim claims[3];
	uint32_t queues[3], kept = 0;

	for (int i = 0; i < 3; i++) {
		CHECK(!join(&share, &claims[i], NULL), "claim %d", i);
		queues[i] = claims[i].queue;
	}
	check_leads(&share, queues, 3, 2, "three");
	three = share.fake->state.contexts[0];
	CHECK(!zrx_claim_drop(&claims[1], NULL), "the one who made the context leaves");
	queues[1] = queues[2];
	check_leads(&share, queues, 2, 2, "two");
	for (uint32_t i = 0; i < three.count; i++)
		kept += three.queue[i] == share.fake->state.contexts[0].queue[i];
	CHECK(kept == three.count - zrx_rss_count(&three, claims[1].queue), "%u kept", kept);
	CHECK(!zrx_claim_drop(&claims[0], NULL) && !zrx_claim_drop(&claims[2], NULL), "drop");
	share_end(&share);
}

/* Refused in one way or another, the first is steered as before. */
static void test_driver_refuses(uint32_t no_contexts)
{
	struct share share = share_begin();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_claim first, second;

	share.fake->no_contexts = no_contexts;
	share.fake->no_context_rules = !no_contexts;
	CHECK(!join(&share, &first, NULL), "the first");
	CHECK(join(&share, &second, &error) == -EOPNOTSUPP, "%s", error.message);
	CHECK_HAS(error.message, "port 5000 leads to another receiver's queue");
	CHECK_HAS(error.message, "RSS context");
	CHECK_HAS(error.hint, "ZRX_STEER_CONNECTION");
	check_leads(&share, &first.queue, 1, 2, "refused");
	CHECK(!zrx_claim_drop(&second, NULL), "drop");
	check_leads(&share, &first.queue, 1, 2, "the refused one has gone");
	CHECK(!zrx_claim_drop(&first, NULL), "drop");
	share_end(&share);
}

static void test_ipv4_only(void)
{
	struct share share = share_begin();
	struct zrx_claim claims[2];
	uint32_t queues[2];

	share.fake->no_ipv6 = 1;
	for (int i = 0; i < 2; i++) {
		CHECK(!join(&share, &claims[i], NULL), "claim %d", i);
		queues[i] = claims[i].queue;
	}
	check_leads(&share, queues, 2, 1, "IPv4 only");
	CHECK(!zrx_claim_drop(&claims[0], NULL) && !zrx_claim_drop(&claims[1], NULL), "drop");
	share_end(&share);
}

/* An administrator's rule for the port: not ours to share, to change or to remove. */
static void test_foreign_rule(void)
{
	struct share share = share_begin();
	struct zrx_options options = port_options;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_port_plan port;
	struct zrx_nic_plan plan;
	struct zrx_claim claim;
	struct zrx_flow flow;
	uint32_t queue;

	options.flags = ZRX_QUEUE;
	options.queue = 2;
	zrx_flow_of_port(6, PORT, &flow);
	zrx_flow_rule(&flow, 2, &share.fake->state.rules[0]);
	share.fake->state.rule_used[0] = share.fake->state.ntuple = 1;
	share.before = share.fake->state;
	CHECK(zrx_claim_plan(&share.fake->base, scratch_name(), &options, &queue, &plan, &port,
			     &error) == -EEXIST,
	      "a plan says so, too");
	CHECK(!zrx_claim_take(&claim, &share.fake->base, scratch_name(), &options, 0, NULL),
	      "take");
	CHECK(zrx_claim_steer_port(&claim, PORT, &error) == -EEXIST, "%s", error.message);
	CHECK_HAS(error.message, "a flow rule for port 5000 already");
	CHECK_HAS(error.hint, "ethtool -N");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	share_end(&share);
}

static void check_plan(const struct zrx_port_plan *port, uint32_t step, const char *begins,
		       const char *ends)
{
	const char *setting;
	char text[216];

	CHECK(zrx_port_plan_step(port, step, "fake0", &setting, text, sizeof(text)), "step %u",
	      step);
	CHECK(!strncmp(text, begins, strlen(begins)), "%s", text);
	CHECK(!strcmp(text + strlen(text) - strlen(ends), ends), "%s", text);
}

static void test_plan_to_join(void)
{
	struct share share = share_begin();
	struct zrx_port_plan port;
	struct zrx_nic_plan plan;
	struct zrx_claim claims[2];
	struct fake_state now;
	const char *setting;
	char text[216];
	uint32_t queue;

	for (int i = 0; i < 2; i++) {
		CHECK(!join(&share, &claims[i], NULL), "claim %d", i);
		now = share.fake->state;
		CHECK(!zrx_claim_plan(&share.fake->base, scratch_name(), &port_options, &queue,
				      &plan, &port, NULL),
		      "plan");
		CHECK(!fake_differs(&now, &share.fake->state), "a plan changes nothing");
		check_plan(&port, 0, "ethtool -X fake0 weight 0 ",
			   i ? " 11 10 context 1" : " 16 16 context new");
		if (!i) {
			check_plan(&port, 1, "ethtool -N fake0 delete ",
				   " && ethtool -N fake0 flow-type tcp4 dst-port 5000 context 1");
			check_plan(&port, 2, "ethtool -N fake0 delete ", "context 1");
		}
		CHECK(!zrx_port_plan_step(&port, i ? 1 : 3, "fake0", &setting, text, sizeof(text)),
		      "one step too many");
	}
	CHECK(!zrx_claim_drop(&claims[1], NULL) && !zrx_claim_drop(&claims[0], NULL), "drop");
	share_end(&share);
}

/* How many of two processes are killed while a third lives or not. */
static void test_killed(int living)
{
	struct share share = share_begin();
	struct zrx_claim claim;
	uint32_t queue = 0;

	if (living) {
		CHECK(!join(&share, &claim, NULL), "the living");
		queue = claim.queue;
	}
	for (int i = 0; i < 2; i++) {
		pid_t child = fork();

		if (!child)
			_exit(join(&share, &claim, NULL) ? 1 : 0);
		waitpid(child, NULL, 0);
	}
	CHECK(fake_differs(&share.before, &share.fake->state), "the dead ones did nothing");
	CHECK(sweep(&share) >= 0, "sweep");
	if (living) {
		check_leads(&share, &queue, 1, 2, "the others were killed");
		CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	}
	share_end(&share);
}

/* Processes that join and leave the same port at the same time; one of them dies. */
static void test_crowd(void)
{
	struct share share = share_begin();
	int status, failed = 0, failed_before = checks_failed;

	for (int process = 0; process < 4; process++) {
		struct zrx_claim claim;

		if (fork())
			continue;
		for (int i = 0; i < 15; i++) {
			if (join(&share, &claim, NULL))
				_exit(1);
			if (process != 3 || i != 14)
				zrx_claim_drop(&claim, NULL);
		}
		_exit(checks_failed > failed_before ? 2 : 0);
	}
	while (wait(&status) > 0)
		failed |= status;
	CHECK(!failed, "a process gave %x", failed);
	CHECK(sweep(&share) >= 0, "sweep");
	share_end(&share);
}

/* A context of our number but not of our making is left alone. */
static void test_number_used_again(void)
{
	struct share share = share_begin();
	struct zrx_claim claims[2];
	struct fake_state *state = &share.fake->state;

	CHECK(!join(&share, &claims[0], NULL) && !join(&share, &claims[1], NULL), "join");
	CHECK(!zrx_claim_drop(&claims[0], NULL), "drop");
	CHECK(!state->context_used[0], "one needs no context");
	state->context_used[0] = 1;
	state->contexts[0].count = 2;
	state->contexts[0].queue[0] = 0;
	state->contexts[0].queue[1] = 1;
	share.before.context_used[0] = 1;
	share.before.contexts[0] = state->contexts[0];
	CHECK(!zrx_claim_drop(&claims[1], NULL), "drop");
	share_end(&share);
}

/* One is closed while its queue has to stay bound: its flows go, its queue stays taken. */
static void test_retired(int other)
{
	struct share share = share_begin();
	struct zrx_claim claims[3];
	uint32_t queues[2];

	CHECK(!join(&share, &claims[0], NULL), "the first");
	if (other)
		CHECK(!join(&share, &claims[1], NULL), "the second");
	queues[0] = claims[1].queue;
	share.fake->bound[claims[0].queue] = ZRX_BOUND_IO_URING;
	zrx_claim_retire(&claims[0]);
	CHECK(!claims[0].port, "the port is not left");
	check_leads(&share, queues, (uint32_t)other, other ? 2 : 0, "one is retired");
	CHECK(!join(&share, &claims[2], NULL), "a third");
	CHECK(claims[2].queue != claims[0].queue, "the queue of the retired one was taken");
	queues[other] = claims[2].queue;
	check_leads(&share, queues, 1 + (uint32_t)other, 2, "without the retired one");
	share.fake->unbind_after = share.fake->pauses + 2;
	CHECK(!zrx_claim_drop(&claims[0], NULL) && !claims[0].still_bound, "drop");
	check_leads(&share, queues, 1 + (uint32_t)other, 2, "after the retired one");
	CHECK(!zrx_claim_drop(&claims[2], NULL), "drop the third");
	if (other)
		CHECK(!zrx_claim_drop(&claims[1], NULL), "drop the second");
	share_end(&share);
}

void test_share(void)
{
	test_retired(0);
	test_retired(1);
	test_pair(0);
	test_pair(1);
	test_three();
	test_driver_refuses(0);
	test_driver_refuses(1);
	test_ipv4_only();
	test_foreign_rule();
	test_plan_to_join();
	test_killed(0);
	test_killed(1);
	test_crowd();
	test_number_used_again();
}
