/* SPDX-License-Identifier: MIT */
/* Judging kernels and sandboxes that are not at hand; and the one that is. */
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "probe/probe.h"

static struct zrx_probe_facts good_facts(void)
{
	struct zrx_probe_facts facts = {
		.release = "7.2.13-amd64",
		.page_bytes = 4096,
		.process = {.cap_net_admin = 1, .initial_userns = 1, .memlock_bytes = UINT64_MAX},
		.thp = 1,
		.zcrx_registration = -EFAULT,
		.zcrx = {.register_flags = ZRX_UAPI_REG_IMPORT | ZRX_UAPI_REG_NODEV,
			 .area_flags = ZRX_UAPI_AREA_DMABUF,
			 .nr_ctrl_opcodes = 3,
			 .features = ZRX_UAPI_FEATURE_RX_PAGE_SIZE | ZRX_UAPI_FEATURE_EVENT},
	};

	return facts;
}

static const struct zrx_check *find(const struct zrx_capabilities *from, const char *name)
{
	static const struct zrx_check none;

	for (uint32_t i = 0; i < from->check_count; i++)
		if (!strcmp(from->checks[i].name, name))
			return &from->checks[i];
	CHECK(0, "no check \"%s\"", name);
	return &none;
}

static void test_all_there(void)
{
	struct zrx_probe_facts facts = good_facts();
	struct zrx_probe_findings findings;
	const struct zrx_capabilities *found = &findings.capabilities;

	zrx_probe_judge(&facts, &findings);
	CHECK(found->engines == (1u << ZRX_ENGINE_COUNT) - 1, "engines %x", found->engines);
	CHECK(found->features == (0x7f | ZRX_FEATURE_SHARED_QUEUE), "features %x", found->features);
	CHECK(found->kernel_version == (7 << 16 | 2 << 8 | 13), "version %x",
	      found->kernel_version);
	for (uint32_t i = 0; i < found->check_count; i++)
		CHECK(found->checks[i].state == ZRX_CHECK_OK && !found->checks[i].hint[0], "%s",
		      found->checks[i].name);
	for (uint32_t i = 0; i < ZRX_ENGINE_COUNT; i++)
		CHECK(!findings.refused[i].code, "%u", i);
}

static void test_no_uring(int code, int disabled, int seccomp, const char *words, const char *hint)
{
	struct zrx_probe_facts facts = good_facts();
	struct zrx_probe_findings findings;
	const struct zrx_capabilities *found = &findings.capabilities;

	facts.uring = facts.defer_taskrun = facts.cqe32 = facts.multishot = -code;
	facts.zcrx_registration = facts.query_zcrx = facts.query_event = -code;
	facts.buffer_ring = facts.incremental = -code;
	facts.process.uring_disabled = disabled;
	facts.process.seccomp = seccomp;
	zrx_probe_judge(&facts, &findings);
	CHECK(found->engines == (1u << ZRX_ENGINE_AUTO | 1u << ZRX_ENGINE_RECV), "engines %x",
	      found->engines);
	CHECK(!found->features, "features %x", found->features);
	CHECK(find(found, "io_uring")->state == ZRX_CHECK_MISSING, "%s", words);
	CHECK_HAS(find(found, "io_uring")->detail, words);
	CHECK_HAS(find(found, "io_uring")->hint, hint);
	CHECK(findings.refused[ZRX_ENGINE_MULTISHOT].code == -code, "%d",
	      findings.refused[ZRX_ENGINE_MULTISHOT].code);
	CHECK_HAS(findings.refused[ZRX_ENGINE_ZCRX].message, words);
}

static void test_rights(void)
{
	struct zrx_probe_facts facts = good_facts();
	struct zrx_probe_findings findings;
	const struct zrx_capabilities *found = &findings.capabilities;

	facts.process.cap_net_admin = 0;
	facts.process.memlock_bytes = 65536;
	facts.zcrx_registration = -EPERM;
	zrx_probe_judge(&facts, &findings);
	CHECK(!(found->engines & 1u << ZRX_ENGINE_ZCRX), "engines %x", found->engines);
	CHECK(found->engines & 1u << ZRX_ENGINE_MULTISHOT, "engines %x", found->engines);
	CHECK_HAS(findings.refused[ZRX_ENGINE_ZCRX].hint, "cap_net_admin");
	CHECK(find(found, "cap_net_admin")->state == ZRX_CHECK_MISSING, "no capability");
	CHECK(find(found, "zcrx")->state == ZRX_CHECK_OK, "the kernel has it nevertheless");
	CHECK(find(found, "memlock")->state == ZRX_CHECK_WARN, "64 KiB");
	CHECK_HAS(find(found, "memlock")->hint, "ulimit -l");

	facts.process.cap_net_admin = 1;
	facts.process.initial_userns = 0;
	zrx_probe_judge(&facts, &findings);
	CHECK_HAS(findings.refused[ZRX_ENGINE_ZCRX].message, "initial user namespace");
	facts.process.cap_ipc_lock = 1;
	zrx_probe_judge(&facts, &findings);
	CHECK(find(found, "memlock")->state == ZRX_CHECK_OK, "CAP_IPC_LOCK");
}

static void test_older_kernels(void)
{
	struct zrx_probe_facts facts = good_facts();
	struct zrx_probe_findings findings;
	const struct zrx_capabilities *found = &findings.capabilities;

	facts.query_zcrx = facts.query_event = -EINVAL; /* 6.15 */
	zrx_probe_judge(&facts, &findings);
	CHECK(found->engines & 1u << ZRX_ENGINE_ZCRX, "found by trial: %x", found->engines);
	CHECK(!(found->engines & 1u << ZRX_ENGINE_ZCRX_NODEV), "engines %x", found->engines);
	CHECK(find(found, "flush")->state == ZRX_CHECK_WARN, "no flush");

	facts.zcrx_registration = -EINVAL; /* 6.12 */
	zrx_probe_judge(&facts, &findings);
	CHECK(find(found, "zcrx")->state == ZRX_CHECK_MISSING, "no zcrx");
	CHECK(findings.refused[ZRX_ENGINE_ZCRX].code == -EOPNOTSUPP, "%d",
	      findings.refused[ZRX_ENGINE_ZCRX].code);

	facts.multishot = facts.incremental = facts.defer_taskrun = facts.cqe32 =
		-EINVAL; /* 5.15 */
	zrx_probe_judge(&facts, &findings);
	CHECK(found->engines == (1u << ZRX_ENGINE_AUTO | 1u << ZRX_ENGINE_RECV), "engines %x",
	      found->engines);
	CHECK(!found->features, "features %x", found->features);
}

static void test_refused_registrations(void)
{
	static const struct {
		int code, nodev;
		const char *words;
	} cases[] = {
		{EPERM, 0, "CAP_NET_ADMIN"},     {EOPNOTSUPP, 0, "without zcrx"},
		{EINVAL, 1, "without a device"}, {EINVAL, 0, "does not know zcrx"},
		{ENOMEM, 0, "RLIMIT_MEMLOCK"},   {EFAULT, 0, "memory"},
		{EEXIST, 0, "another thread"},   {ENXIO, 0, "No such device or address"},
	};
	struct zrx_probe_process process = {.memlock_bytes = 65536};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zrx_error error = ZRX_ERROR_INIT;

		zrx_probe_zcrx_words(cases[i].code, cases[i].nodev, &process, &error);
		CHECK(error.code == -cases[i].code, "%d", error.code);
		CHECK_HAS(error.message, cases[i].words);
	}
}

/* The kernel under the test: what it says must be what other system calls say. */
static void test_here(void)
{
	struct zrx_check checks[ZRX_PROBE_CHECKS];
	struct zrx_capabilities found = {sizeof(found), ZRX_PROBE_CHECKS, checks, 0, 0, 0, 0, 0, 0};
	struct zrx_capabilities small = {.size = offsetof(struct zrx_capabilities, page_bytes)};
	struct zrx_error refusal = ZRX_ERROR_INIT;

	CHECK(zrx_probe(NULL) == -EINVAL, "NULL");
	CHECK(zrx_probe(&found) == 0, "here");
	CHECK(found.page_bytes == (uint32_t)sysconf(_SC_PAGESIZE), "%u", found.page_bytes);
	CHECK(found.engines & 1u << ZRX_ENGINE_RECV, "engines %x", found.engines);
	CHECK(found.check_count >= 10, "%u checks", found.check_count);
	CHECK(found.check_count <= ZRX_PROBE_CHECKS, "%u checks", found.check_count);
	for (uint32_t i = 0; i < ZRX_ENGINE_COUNT; i++) {
		CHECK(zrx_probe_refusal(i, &refusal) == !(found.engines & 1u << i), "engine %u", i);
		CHECK(!(found.engines & 1u << i) == !!refusal.code, "engine %u", i);
	}
	CHECK(zrx_probe_refusal(ZRX_ENGINE_COUNT, &refusal) == -EINVAL && !refusal.code,
	      "no engine");
	for (uint32_t i = 0; i < found.check_count; i++)
		CHECK(!found.checks[i].hint[0] == (found.checks[i].state == ZRX_CHECK_OK),
		      "%s: a hint exactly where it is needed", found.checks[i].name);
	small.page_bytes = 77;
	CHECK(zrx_probe(&small) == 0, "a caller of an older release");
	CHECK(small.engines == found.engines && small.page_bytes == 77 && !small.checks &&
		      small.check_count == found.check_count,
	      "filled no further than its size");
	small.size = 12;
	CHECK(zrx_probe(&small) == -EINVAL, "no caller's size");
}

/* Runs judge on what is found after change, in a process of its own. */
static void in_a_child(int (*change)(void), int (*judge)(const struct zrx_capabilities *found))
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		struct zrx_check checks[ZRX_PROBE_CHECKS];
		struct zrx_capabilities found = {
			sizeof(found), ZRX_PROBE_CHECKS, checks, 0, 0, 0, 0, 0, 0};

		if (change())
			_exit(1);
		_exit(zrx_probe(&found) || judge(&found) ? 2 : 0);
	}
	CHECK(waitpid(child, &status, 0) == child && !status, "status %x", status);
}

/* A filter as container runtimes set it: io_uring_setup gives EPERM. */
static int forbid_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = 4, .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int judge_forbidden(const struct zrx_capabilities *found)
{
	CHECK(find(found, "io_uring")->state == ZRX_CHECK_MISSING, "usable?");
	CHECK_HAS(find(found, "io_uring")->detail, "seccomp filter");
	CHECK_HAS(find(found, "seccomp")->detail, "no new privileges");
	CHECK(found->engines == (1u << ZRX_ENGINE_AUTO | 1u << ZRX_ENGINE_RECV), "%x",
	      found->engines);
	return checks_failed;
}

static int own_user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int judge_namespace(const struct zrx_capabilities *found)
{
	CHECK(find(found, "cap_net_admin")->state == ZRX_CHECK_MISSING, "capable?");
	CHECK_HAS(find(found, "cap_net_admin")->detail, "initial user namespace");
	CHECK(!(found->engines & 1u << ZRX_ENGINE_ZCRX), "%x", found->engines);
	return checks_failed;
}

void test_probe(void)
{
	test_all_there();
	test_no_uring(EPERM, 2, 0, "disabled for every process", "io_uring_disabled=0");
	test_no_uring(EPERM, 1, 0, "unprivileged", "io_uring_group");
	test_no_uring(EPERM, 0, 2, "seccomp filter", "seccomp profile");
	test_no_uring(EPERM, 0, 0, "security module", "audit");
	test_no_uring(ENOSYS, ZRX_PROBE_ABSENT, 0, "built without io_uring", "CONFIG_IO_URING");
	test_no_uring(ENOSYS, 0, 2, "hides io_uring", "seccomp profile");
	test_no_uring(ENOSYS, ZRX_PROBE_ABSENT, 2, "or not built", "CONFIG_IO_URING");
	test_rights();
	test_older_kernels();
	test_refused_registrations();
	test_here();
	in_a_child(forbid_uring, judge_forbidden);
	in_a_child(own_user_namespace, judge_namespace);
}
