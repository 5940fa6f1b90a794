/* SPDX-License-Identifier: MIT */
/* Flow rules on a NIC in memory: whose they are when they are removed, and what setting one costs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/claim/claim.h"
#include "scratch.h"

#define PORT 5000

static const struct zrx_options plain_options = {
	.size = sizeof(plain_options), .steer = ZRX_STEER_PORT, .steer_port = PORT};
static const struct zrx_flow connection = {.family = 4, .peer_port = 1, .local_port = 80};

/* What an administrator puts over ours: another flow, or the same one to another queue. */
enum other { OTHER_FLOW, OTHER_QUEUE, OTHERS };

struct scene {
	struct fake_nic *fake;
	int directory;
	struct zrx_claim claim;
	uint32_t rule;
};

static void scene_open(struct scene *scene, uint32_t chooses)
{
	scene->fake = fake_new();
	scene->fake->chooses = chooses;
	scene->fake->replaces = !chooses;
	scene->directory = scratch_open();
}

static int scene_claim(struct scene *scene)
{
	return zrx_claim_take(&scene->claim, &scene->fake->base, scratch_name(), &plain_options, 0,
			      NULL) ||
	       zrx_claim_steer(&scene->claim, &connection, &scene->rule, NULL);
}

/* Each rule that is there becomes somebody else's. Returns how many. */
static int scene_replace(struct fake_nic *fake, enum other other)
{
	int count = 0;

	for (uint32_t i = 0; i < FAKE_RULES; i++) {
		if (!fake->state.rule_used[i])
			continue;
		count++;
		if (other == OTHER_QUEUE) {
			fake->state.rules[i].flow_type &= ~(uint32_t)FLOW_RSS;
			fake->state.rules[i].ring_cookie = FAKE_FOREIGN_QUEUE;
		} else {
			fake->state.rules[i].h_u.tcp_ip4_spec.pdst ^= 1;
		}
	}
	return count;
}

static int scene_rules(const struct fake_nic *fake)
{
	int count = 0;

	for (uint32_t i = 0; i < FAKE_RULES; i++)
		count += !!fake->state.rule_used[i];
	return count;
}

static void scene_close(struct scene *scene, const char *what, int rules)
{
	CHECK(scene_rules(scene->fake) == rules, "%s: %d rules, not %d", what,
	      scene_rules(scene->fake), rules);
	CHECK(!scratch_journals(), "%s: %d journals left", what, scratch_journals());
	CHECK(!scene->fake->crashes, "%s: asked for a rule while there was none", what);
	scratch_close(scene->directory);
	fake_free(scene->fake);
}

static void test_stays_at_removal(uint32_t chooses, enum other other)
{
	struct scene scene;

	scene_open(&scene, chooses);
	CHECK(!scene_claim(&scene), "claim");
	CHECK(scene_replace(scene.fake, other) == 1, "replace");
	zrx_claim_unsteer(&scene.claim, scene.rule);
	CHECK(scene_rules(scene.fake) == 1, "somebody else's rule was removed");
	CHECK(!zrx_claim_drop(&scene.claim, NULL), "drop");
	scene_close(&scene, "removal", 1);
}

static void test_stays_at_drop(uint32_t chooses, enum other other)
{
	struct scene scene;

	scene_open(&scene, chooses);
	CHECK(!scene_claim(&scene), "claim");
	CHECK(scene_replace(scene.fake, other) == 1, "replace");
	CHECK(!zrx_claim_drop(&scene.claim, NULL), "drop");
	scene_close(&scene, "drop", 1);
}

static void test_stays_at_sweep(uint32_t chooses, enum other other)
{
	struct scene scene;
	uint32_t alive;
	pid_t child;

	scene_open(&scene, chooses);
	child = fork();
	if (!child)
		_exit(scene_claim(&scene));
	waitpid(child, NULL, 0);
	CHECK(scene_replace(scene.fake, other) == 1, "replace");
	CHECK(zrx_claim_sweep(&scene.fake->base, scene.directory, zrx_journal_net_space(), &alive,
			      NULL) == 1,
	      "sweep");
	scene_close(&scene, "sweep", 1);
}

/* The rules of a port are changed between the plan and its execution. */
static void test_stays_at_sharing(uint32_t chooses, enum other other)
{
	struct zrx_claim second;
	struct scene scene;
	int rules;

	scene_open(&scene, chooses);
	CHECK(!zrx_claim_take(&scene.claim, &scene.fake->base, scratch_name(), &plain_options, 0,
			      NULL) &&
		      !zrx_claim_steer_port(&scene.claim, PORT, NULL),
	      "claim");
	CHECK(!zrx_claim_take(&second, &scene.fake->base, scratch_name(), &plain_options, 0, NULL),
	      "second");
	scene.fake->replace_at_context = other == OTHER_QUEUE ? 2 : 1;
	zrx_claim_steer_port(&second, PORT, NULL);
	rules = scene_rules(scene.fake);
	CHECK(fake_foreign(scene.fake) == 2, "%d of somebody else's 2 rules are left",
	      fake_foreign(scene.fake));
	CHECK(!zrx_claim_drop(&second, NULL) && !zrx_claim_drop(&scene.claim, NULL), "drop");
	CHECK(rules >= 2, "%d rules", rules);
	scene_close(&scene, "sharing", 2);
}

/* One that was refused because the same was there already stays, though it leads where ours would.
 */
static void test_stays_when_refused(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct scene scene;

	scene_open(&scene, 1);
	CHECK(!zrx_claim_take(&scene.claim, &scene.fake->base, scratch_name(), &plain_options, 0,
			      NULL),
	      "claim");
	zrx_flow_rule(&connection, scene.claim.queue, &scene.fake->state.rules[2]);
	scene.fake->state.rule_used[2] = 1;
	CHECK(zrx_claim_steer(&scene.claim, &connection, &scene.rule, &error) == -EEXIST, "%s",
	      error.message);
	CHECK(scene_rules(scene.fake) == 1, "it was removed");
	CHECK(!zrx_claim_drop(&scene.claim, NULL), "drop");
	scene_close(&scene, "refused", 1);
}

/* With ethtool -K ntuple off and on again all rules are gone: nothing is asked for, nothing hurt.
 */
static void test_all_gone(uint32_t chooses)
{
	struct scene scene;

	scene_open(&scene, chooses);
	CHECK(!scene_claim(&scene), "claim");
	memset(scene.fake->state.rule_used, 0, sizeof(scene.fake->state.rule_used));
	zrx_claim_unsteer(&scene.claim, scene.rule);
	CHECK(!zrx_claim_steer(&scene.claim, &connection, &scene.rule, NULL), "again");
	CHECK(!zrx_claim_drop(&scene.claim, NULL), "drop");
	scene_close(&scene, "all gone", 0);
}

/* A full table is told as such, by whatever errno the driver names it. */
static void test_full(uint32_t chooses)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_flow flow = connection;
	struct scene scene;

	scene_open(&scene, chooses);
	CHECK(!scene_claim(&scene), "claim");
	for (int i = 1; i < FAKE_RULES; i++) {
		flow.peer_port++;
		CHECK(!zrx_claim_steer(&scene.claim, &flow, &scene.rule, NULL), "rule %d", i);
	}
	flow.peer_port++;
	CHECK(zrx_claim_steer(&scene.claim, &flow, &scene.rule, &error) == -ENOSPC, "%s",
	      error.message);
	CHECK(error.stage == ZRX_STAGE_NIC, "stage %u", error.stage);
	CHECK_HAS(error.message, "table of flow rules is full");
	zrx_claim_unsteer(&scene.claim, 0);
	CHECK(!zrx_claim_steer(&scene.claim, &flow, &scene.rule, NULL), "a place is free again");
	CHECK(!zrx_claim_drop(&scene.claim, NULL), "drop");
	scene_close(&scene, "full", 0);
}

/* ---- what it costs ---- */

#define REFUSE(number)                                       \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* From here the process is killed if it syncs, locks, or opens, closes or seeks in a file. */
static int refuse_the_dear(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		REFUSE(SYS_fsync),
		REFUSE(SYS_fdatasync),
		REFUSE(SYS_flock),
		REFUSE(SYS_openat),
		REFUSE(SYS_close),
		REFUSE(SYS_lseek),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Where the driver chooses places a connection costs no lock, no sync and no list of rules: two
 * calls to the NIC and two writes to set its rule, two and one to remove it. */
static void test_cost(void)
{
	struct zrx_flow flow = connection;
	struct scene scene;
	int status = 0;
	pid_t child;

	scene_open(&scene, 1);
	child = fork();
	if (!child) {
		if (scene_claim(&scene) || refuse_the_dear())
			_exit(1);
		for (int i = 0; i < 100; i++) {
			int before = scene.fake->calls;

			flow.peer_port++;
			if (zrx_claim_steer(&scene.claim, &flow, &scene.rule, NULL) ||
			    scene.fake->calls != before + 2)
				_exit(2);
			zrx_claim_unsteer(&scene.claim, scene.rule);
			if (scene.fake->calls != before + 4)
				_exit(3);
		}
		_exit(0);
	}
	waitpid(child, &status, 0);
	CHECK(!status, "status %x", status);
	scratch_close(scene.directory);
	fake_free(scene.fake);
}

/* Where it does not, the rules are listed once for each change. */
static void test_cost_of_placing(void)
{
	struct zrx_flow flow = connection;
	struct scene scene;
	int before;

	scene_open(&scene, 0);
	CHECK(!scene_claim(&scene), "claim");
	before = scene.fake->calls;
	flow.peer_port++;
	CHECK(!zrx_claim_steer(&scene.claim, &flow, &scene.rule, NULL), "steer");
	CHECK(scene.fake->calls == before + 3, "%d calls", scene.fake->calls - before);
	before = scene.fake->calls;
	zrx_claim_unsteer(&scene.claim, scene.rule);
	CHECK(scene.fake->calls == before + 3, "%d calls", scene.fake->calls - before);
	CHECK(!zrx_claim_drop(&scene.claim, NULL), "drop");
	scene_close(&scene, "cost", 0);
}

void test_foreign_rules(void)
{
	for (uint32_t chooses = 0; chooses < 2; chooses++) {
		for (enum other other = 0; other < OTHERS; other++) {
			test_stays_at_removal(chooses, other);
			test_stays_at_drop(chooses, other);
			test_stays_at_sweep(chooses, other);
			test_stays_at_sharing(chooses, other);
		}
		test_all_gone(chooses);
		test_full(chooses);
	}
	test_stays_when_refused();
	test_cost();
	test_cost_of_placing();
}
