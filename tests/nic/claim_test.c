/* SPDX-License-Identifier: MIT */
/* Claims on a NIC in memory: alone, together, after a death. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/claim/claim.h"
#include "scratch.h"

static const struct zrx_options port_options = {
	.size = sizeof(port_options), .steer = ZRX_STEER_PORT, .steer_port = 5000};

static int take(struct zrx_claim *claim, struct fake_nic *fake, const struct zrx_options *options)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result = zrx_claim_take(claim, &fake->base, scratch_name(), options, 0, &error);

	CHECK(result == error.code, "error says %d, return value %d", error.code, result);
	return result;
}

/* A process that claims, steers, binds and is killed: what the next one finds. */
static void die_with_a_claim(struct fake_nic *fake, int bound)
{
	pid_t child = fork();
	struct zrx_claim claim;

	if (!child) {
		if (zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, NULL) ||
		    zrx_claim_steer_port(&claim, 5000, NULL))
			_exit(1);
		fake->bound[claim.queue] = bound ? ZRX_BOUND_IO_URING : 0;
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static int sweep(struct fake_nic *fake, int directory)
{
	uint32_t alive;

	return zrx_claim_sweep(&fake->base, directory, zrx_journal_net_space(), &alive, NULL);
}

static void test_alone(uint32_t split_default, uint32_t no_disable)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before;
	struct zrx_claim claim;

	fake->split_default = split_default;
	fake->no_disable = no_disable;
	before = fake->state;
	CHECK(!take(&claim, fake, &port_options), "take");
	CHECK(claim.queue == FAKE_QUEUES - 1, "queue %u", claim.queue);
	CHECK(fake->state.split == ZRX_SPLIT_ON && !fake->state.thresh && fake->state.ntuple,
	      "set up");
	CHECK(!zrx_rss_count(&fake->state.rss, claim.queue), "others led away");
	CHECK(scratch_journals() == 1, "%d journals", scratch_journals());
	fake->bound[claim.queue] = ZRX_BOUND_IO_URING;
	fake->unbind_after = 3; /* the kernel takes its time */
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(fake->pauses >= 3, "did not wait for the queue");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

/* An administrator has set split already: that it reads the same as the driver's choice must not
 * confuse. */
static void test_set_before(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before;
	struct zrx_claim claim;

	fake->split_default = ZRX_SPLIT_ON;
	fake->state.split = ZRX_SPLIT_ON;
	before = fake->state;
	CHECK(!take(&claim, fake, &port_options), "take");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	scratch_close(directory);
	fake_free(fake);
}

static void test_steering(uint32_t chooses)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_flow flow = {.family = 4, .peer_port = 1, .local_port = 80};
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t rule, again, other;
	struct zrx_claim claim;

	fake->chooses = chooses;
	CHECK(!take(&claim, fake, &port_options), "take");
	CHECK(!zrx_claim_steer(&claim, &flow, &rule, NULL), "steer");
	CHECK(!zrx_claim_steer(&claim, &flow, &again, NULL) && rule == again, "counted");
	zrx_claim_unsteer(&claim, rule);
	CHECK(zrx_claim_steer(&claim, &flow, &again, NULL) == 0 && rule == again, "still there");
	zrx_claim_unsteer(&claim, rule);
	zrx_claim_unsteer(&claim, rule);
	for (int i = 0; i < FAKE_RULES; i++)
		CHECK(!fake->state.rule_used[i], "rule %d is still there", i);
	for (uint16_t i = 0; i < FAKE_RULES; i++) {
		flow.peer_port = (uint16_t)(100 + i);
		CHECK(!zrx_claim_steer(&claim, &flow, &other, NULL), "rule %u", i);
	}
	flow.peer_port = 99;
	CHECK(zrx_claim_steer(&claim, &flow, &other, &error) == -ENOSPC, "a full table");
	CHECK_HAS(error.hint, "ZRX_STEER_PORT");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	scratch_close(directory);
	fake_free(fake);
}

/* Closed while its queue has to stay bound, and then the kernel does not let it go. */
static void test_retired(void)
{
	static const struct zrx_options by_connection = {.size = sizeof(by_connection)};
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_flow flow = {.family = 4, .peer_port = 1, .local_port = 80};
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_claim claim;
	uint32_t rule;

	CHECK(!take(&claim, fake, &by_connection), "take");
	CHECK(!zrx_claim_steer(&claim, &flow, &rule, NULL), "steer");
	CHECK(!zrx_claim_steer(&claim, &flow, &rule, NULL), "steer again");
	fake->bound[claim.queue] = ZRX_BOUND_IO_URING;
	fake->fail_call = fake->calls + 1;
	fake->fail_how = FAKE_FAIL_CLEAN;
	CHECK(zrx_claim_wait_unbound(&fake->base, claim.queue, 0) == -EBUSY,
	      "a queue that cannot be looked at counts as unbound");
	fake->fail_call = 0;
	zrx_claim_retire(&claim);
	for (int i = 0; i < FAKE_RULES; i++)
		CHECK(!fake->state.rule_used[i], "rule %d is still there", i);
	CHECK(fake->state.split == ZRX_SPLIT_ON, "the NIC was put back while the queue is bound");
	CHECK(zrx_claim_drop(&claim, &error) == -EBUSY && claim.still_bound, "drop: %d",
	      error.code);
	CHECK_HAS(error.message, "still bound");
	memset(fake->bound, 0, sizeof(fake->bound));
	CHECK(sweep(fake, directory) == 1, "sweep");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	scratch_close(directory);
	fake_free(fake);
}

/* A server through which thousands of connections pass: the journal does not grow with them. */
static void test_churn(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), grown = 0;
	struct fake_state before = fake->state;
	struct zrx_flow flow = {.family = 6, .local_port = 80};
	struct stat status;
	struct zrx_claim claim;
	uint32_t kept, rule;
	pid_t child = fork();

	if (!child) {
		if (zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, NULL) ||
		    zrx_claim_steer(&claim, &flow, &kept, NULL))
			_exit(1);
		for (uint16_t i = 1; i <= 3000; i++) {
			flow.peer_port = i;
			if (zrx_claim_steer(&claim, &flow, &rule, NULL))
				_exit(2);
			zrx_claim_unsteer(&claim, rule);
			fstatat(directory, claim.file.name, &status, 0);
			grown |= status.st_size > 100000;
		}
		_exit(grown ? 3 : 0); /* killed with one rule in place */
	}
	waitpid(child, &grown, 0);
	CHECK(!grown, "%x", grown);
	CHECK(fake_differs(&before, &fake->state), "the rule that was kept");
	CHECK(sweep(fake, directory) == 1, "sweep");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(!scratch_journals(), "%d files left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

/* Processes that claim, steer and let go at the same time. */
static void test_crowd(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), status, failed = 0;
	struct fake_state before = fake->state;

	for (uint16_t process = 0; process < 4; process++) {
		struct zrx_options options = {
			.size = sizeof(options), .steer = ZRX_STEER_PORT, .steer_port = 1};
		struct zrx_claim claim;

		if (fork())
			continue;
		for (int i = 0; i < 20; i++) {
			if (zrx_claim_take(&claim, &fake->base, scratch_name(), &options, 0, NULL))
				_exit(1);
			if (zrx_claim_steer_port(&claim, (uint16_t)(80 + process), NULL))
				_exit(2);
			if (fake->state.split != ZRX_SPLIT_ON ||
			    zrx_rss_count(&fake->state.rss, claim.queue))
				_exit(3);
			if (process != 3 || i != 19) /* one of them dies instead */
				zrx_claim_drop(&claim, NULL);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		failed |= status;
	CHECK(!failed, "a process gave %x", failed);
	CHECK(sweep(fake, directory) >= 0, "sweep");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

static void test_two(int first_goes_first)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_claim one, two, *first = first_goes_first ? &one : &two,
				   *last = first_goes_first ? &two : &one;

	CHECK(!take(&one, fake, &port_options) && !take(&two, fake, &port_options), "take");
	CHECK(one.queue != two.queue, "disjoint");
	CHECK(!zrx_rss_count(&fake->state.rss, one.queue) &&
		      !zrx_rss_count(&fake->state.rss, two.queue),
	      "both led away");
	CHECK(!zrx_claim_drop(first, NULL), "drop one");
	CHECK(fake->state.split == ZRX_SPLIT_ON && fake->state.ntuple && !fake->state.thresh,
	      "the other still needs it");
	CHECK(!zrx_rss_count(&fake->state.rss, last->queue), "RSS back too early");
	CHECK(!zrx_claim_drop(last, NULL), "drop the other");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

static void test_many_come_and_go(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_claim keeper, guest;

	CHECK(!take(&keeper, fake, &port_options), "take");
	for (int i = 0; i < 50; i++) {
		CHECK(!take(&guest, fake, &port_options), "guest %d", i);
		CHECK(!zrx_claim_drop(&guest, NULL), "guest %d", i);
	}
	CHECK(scratch_journals() <= 52, "%d journals", scratch_journals());
	CHECK(!zrx_claim_drop(&keeper, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

static void test_dead(int bound)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_claim claim;

	die_with_a_claim(fake, bound);
	CHECK(fake_differs(&before, &fake->state), "the dead one did nothing");
	fake->unbind_after = 2;
	CHECK(!take(&claim, fake, &port_options), "the next one");
	CHECK(claim.queue == FAKE_QUEUES - 1, "the queue is free again: %u", claim.queue);
	CHECK(!fake->state.rule_used[FAKE_RULES - 1], "the dead one's rule is gone");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

static void test_dead_beside_living(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_claim claim;

	CHECK(!take(&claim, fake, &port_options), "the living");
	die_with_a_claim(fake, 0);
	CHECK(sweep(fake, directory) >= 0, "sweep");
	CHECK(fake->state.split == ZRX_SPLIT_ON && fake->state.ntuple, "the living needs it");
	for (int i = 0; i < FAKE_RULES; i++)
		CHECK(!fake->state.rule_used[i], "the dead one's rule %d", i);
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

/* What an administrator changes meanwhile is the administrator's. */
static void test_foreign_changes(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct zrx_claim claim;

	CHECK(!take(&claim, fake, &port_options), "take");
	for (uint32_t i = 0; i < fake->state.rss.count; i++)
		fake->state.rss.queue[i] = i % 2 ? 7 : 2;
	fake->state.split = ZRX_SPLIT_OFF;
	fake->state.thresh = 99;
	fake->state.rule_used[0] = 1;
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(fake->state.rss.queue[0] == 2 && fake->state.rss.queue[1] == 7, "RSS");
	CHECK(fake->state.split == ZRX_SPLIT_OFF && fake->state.thresh == 99, "split");
	CHECK(fake->state.ntuple && fake->state.rule_used[0], "somebody's rule");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

static void test_refusals(void)
{
	struct zrx_options options = {.size = sizeof(options), .flags = ZRX_QUEUE, .queue = 99};
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_claim claim, other;

	CHECK(take(&claim, fake, &options) == -ERANGE, "no such queue");
	options.queue = 3;
	fake->bound[3] = ZRX_BOUND_XSK;
	CHECK(take(&claim, fake, &options) == -EBUSY, "AF_XDP");
	fake->bound[3] = ZRX_BOUND_IO_URING;
	CHECK(take(&claim, fake, &options) == -EEXIST, "bound for good");
	fake->bound[3] = ZRX_BOUND_IO_URING;
	fake->unbind_after = fake->pauses + 5;
	CHECK(!take(&claim, fake, &options), "bound for a moment only");
	CHECK(take(&other, fake, &options) == -EEXIST, "claimed");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	fake->driver = "gve";
	options.queue = 0;
	CHECK(take(&claim, fake, &options) == -ERANGE, "queue 0 of gve");
	for (int i = 0; i < FAKE_QUEUES; i++)
		fake->bound[i] = ZRX_BOUND_DMABUF;
	options.flags = 0;
	CHECK(take(&claim, fake, &options) == -EBUSY, "none free");
	memset(fake->bound, 0, sizeof(fake->bound));
	fake->xdp = 1;
	CHECK(take(&claim, fake, &options) == -EEXIST, "XDP");
	fake->xdp = 0;
	fake->down = 1;
	CHECK(take(&claim, fake, &options) == -ENETDOWN, "down");
	CHECK(!fake_differs(&before, &fake->state), "something changed");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

/* Rules of others lead to queue 7, to 6, and by a context to 4 and 5: the free queue is 3. */
static void test_rules_of_others(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before;
	struct zrx_claim claim;

	fake->state.ntuple = 1;
	fake->state.context_used[0] = 1;
	fake->state.contexts[0].count = 2;
	fake->state.contexts[0].queue[0] = 4;
	fake->state.contexts[0].queue[1] = 5;
	fake->state.rule_context[2] = 1;
	for (uint32_t i = 0; i < 3; i++) {
		fake->state.rule_used[i] = 1;
		fake->state.rules[i].flow_type = i == 2 ? TCP_V4_FLOW | FLOW_RSS : TCP_V4_FLOW;
		fake->state.rules[i].ring_cookie = i == 2 ? 0 : 7 - i;
	}
	before = fake->state;
	CHECK(!take(&claim, fake, &port_options), "take");
	CHECK(claim.queue == 3, "queue %u", claim.queue);
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	scratch_close(directory);
	fake_free(fake);
}

/* Neither a driver without flow rules nor an interface that goes away leaves anything changed. */
static void test_no_ntuple(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_claim claim;

	fake->no_ntuple = 1;
	CHECK(zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, &error) ==
		      -EOPNOTSUPP,
	      "%s", error.message);
	CHECK_HAS(error.message, "ntuple cannot be set");
	CHECK_HAS(error.hint, "ZRX_STEER_NONE");
	CHECK(!fake_differs(&before, &fake->state), "not undone");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

/* One that has ring parameters, and header/data split not among them. */
static void test_no_split(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_claim claim;

	fake->no_split = 1;
	CHECK(zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, &error) ==
		      -EOPNOTSUPP,
	      "%s", error.message);
	CHECK_HAS(error.message, "tcp-data-split cannot be set");
	CHECK_HAS(error.hint, "a NIC that can split");
	CHECK(!fake_differs(&before, &fake->state), "not undone");
	fake->no_rings = 1;
	CHECK(zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, &error) ==
		      -EOPNOTSUPP,
	      "%s", error.message);
	CHECK_HAS(error.message, "driver fake has no header/data split");
	CHECK(!fake_differs(&before, &fake->state), "not undone");
	CHECK(!scratch_journals(), "%d journals left", scratch_journals());
	scratch_close(directory);
	fake_free(fake);
}

static void test_vanishing(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_claim claim, other;

	CHECK(!take(&claim, fake, &port_options), "take");
	CHECK(!zrx_claim_steer_port(&claim, 5000, NULL), "steer");
	fake->gone = 1;
	CHECK(zrx_claim_take(&other, &fake->base, scratch_name(), &port_options, 0, &error) ==
		      -ENODEV,
	      "%s", error.message);
	CHECK_HAS(error.message, "No such device");
	CHECK_HAS(error.hint, "ip -br link");
	CHECK(zrx_claim_drop(&claim, &error) < 0, "nothing can be undone");
	CHECK(scratch_journals() == 1, "what is left to do stays written");
	fake->gone = 0;
	CHECK(sweep(fake, directory) == 1, "it was only away");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	scratch_close(directory);
	fake_free(fake);
}

static void test_hw_gro(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open();
	struct fake_state before = fake->state;
	struct zrx_claim claim;

	fake->driver = "mlx5_core";
	CHECK(!take(&claim, fake, &port_options), "take");
	CHECK(fake->state.hw_gro, "this driver needs it");
	CHECK(!zrx_claim_drop(&claim, NULL), "drop");
	CHECK(!fake_differs(&before, &fake->state), "not as before");
	scratch_close(directory);
	fake_free(fake);
}

static void test_damaged_journal(void)
{
	struct fake_nic *fake = fake_new();
	int directory = scratch_open(), fd;
	struct fake_state before = fake->state;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_claim claim;
	char file[96];

	snprintf(file, sizeof(file), "%llu-4242-1.journal",
		 (unsigned long long)zrx_journal_net_space());
	fd = openat(directory, file, O_CREAT | O_WRONLY, 0644);
	CHECK(write(fd, "not a journal\n", 14) == 14, "write");
	close(fd);
	CHECK(zrx_claim_take(&claim, &fake->base, scratch_name(), &port_options, 0, &error) ==
		      -EUCLEAN,
	      "a damaged journal");
	CHECK_HAS(error.message, file);
	CHECK_HAS(error.hint, "delete");
	CHECK(!fake_differs(&before, &fake->state), "something changed");
	CHECK(scratch_journals() == 1, "it is kept");
	scratch_close(directory);
	fake_free(fake);
}

static void test_plan_only(void)
{
	struct zrx_nic_plan plan;
	struct zrx_port_plan port;
	struct fake_nic *fake = fake_new();
	struct fake_state before = fake->state;
	uint32_t queue;

	CHECK(!zrx_claim_plan(&fake->base, "/nonexistent/zcrx", &port_options, &queue, &plan, &port,
			      NULL),
	      "plan");
	CHECK(queue == FAKE_QUEUES - 1 && plan.steps, "queue %u", queue);
	CHECK(port.changes[0] && port.changes[1] && port.queue == queue, "rules");
	CHECK(!fake_differs(&before, &fake->state), "something changed");
	fake_free(fake);
}

void test_claim(void)
{
	test_alone(ZRX_SPLIT_OFF, 0);
	test_alone(ZRX_SPLIT_ON, 1);
	test_alone(ZRX_SPLIT_UNKNOWN, 0);
	test_set_before();
	test_steering(0);
	test_steering(1);
	test_retired();
	test_churn();
	test_crowd();
	test_two(1);
	test_two(0);
	test_many_come_and_go();
	test_dead(0);
	test_dead(1);
	test_dead_beside_living();
	test_foreign_changes();
	test_refusals();
	test_rules_of_others();
	test_no_ntuple();
	test_no_split();
	test_vanishing();
	test_hw_gro();
	test_damaged_journal();
	test_plan_only();
}
