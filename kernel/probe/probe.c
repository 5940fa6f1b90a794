/* SPDX-License-Identifier: MIT */
/* zrx_probe: from what was observed to checks, engines and features. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "error.h"
#include "probe/probe.h"

/* The area's default size; less locked memory than this and the default does not open. */
#define PROBE_DEFAULT_AREA (64ull << 20)

/* What the checks and the engines both depend on. */
struct probe_verdict {
	int uring;     /* io_uring can be used */
	int known;     /* the kernel has zcrx: 1, 0, or -1: cannot be told */
	int permitted; /* CAP_NET_ADMIN where it counts */
};

static void __attribute__((format(printf, 5, 6)))
probe_check(struct zrx_capabilities *to, uint32_t state, const char *name, const char *hint,
	    const char *format, ...)
{
	const struct zrx_check_list list = {to->checks, &to->check_count};
	struct zrx_check *check;
	va_list arguments;

	va_start(arguments, format);
	check = zrx_check_add_words(&list, state, name, format, arguments);
	va_end(arguments);
	if (state != ZRX_CHECK_OK)
		zrx_check_hint(check, "%s", hint);
}

static struct probe_verdict probe_weigh(const struct zrx_probe_facts *facts)
{
	struct probe_verdict verdict = {.uring = !facts->uring};

	verdict.permitted = facts->process.cap_net_admin && facts->process.initial_userns;
	if (!facts->query_zcrx)
		verdict.known = 1;
	else if (facts->uring || facts->cqe32)
		verdict.known = facts->uring == -EPERM ? -1 : 0;
	else
		verdict.known =
			facts->zcrx_registration == -EFAULT || facts->zcrx_registration == -EPERM;
	return verdict;
}

static uint32_t probe_features(const struct zrx_probe_facts *facts)
{
	uint32_t features = 0;

	if (!facts->defer_taskrun)
		features |= ZRX_FEATURE_DEFER_TASKRUN;
	if (!facts->incremental)
		features |= ZRX_FEATURE_INCREMENTAL;
	if (facts->busy_poll)
		features |= ZRX_FEATURE_BUSY_POLL;
	if (facts->query_zcrx)
		return features;
	features |= zrx_probe_zcrx_features(&facts->zcrx);
	if (facts->zcrx.features & ZRX_UAPI_FEATURE_EVENT && !facts->query_event)
		features |= ZRX_FEATURE_EVENTS;
	return features;
}

static void probe_check_access(const struct zrx_probe_facts *facts,
			       const struct probe_verdict *verdict, struct zrx_capabilities *to)
{
	struct zrx_error why = ZRX_ERROR_INIT;

	probe_check(to, ZRX_CHECK_OK, "kernel", "", "Linux %s", facts->release);
	if (verdict->uring) {
		probe_check(to, ZRX_CHECK_OK, "io_uring", "", "this process may use io_uring");
	} else {
		zrx_probe_uring_words(-facts->uring, &facts->process, &why);
		probe_check(to, ZRX_CHECK_MISSING, "io_uring", why.hint, "%s", why.message);
	}
	if (verdict->permitted) {
		probe_check(to, ZRX_CHECK_OK, "cap_net_admin", "",
			    "effective in the initial user namespace");
	} else {
		zrx_probe_zcrx_words(EPERM, 0, &facts->process, &why);
		probe_check(to, ZRX_CHECK_MISSING, "cap_net_admin", why.hint, "%s", why.message);
	}
	if (facts->process.seccomp == ZRX_PROBE_ABSENT)
		probe_check(to, ZRX_CHECK_UNKNOWN, "seccomp", "mount /proc",
			    "/proc/self/status does not tell");
	else
		probe_check(to, ZRX_CHECK_OK, "seccomp", "", "%s%s",
			    facts->process.seccomp ? "this process runs under a seccomp filter"
						   : "no filter",
			    facts->process.no_new_privs == 1
				    ? "; no new privileges: file capabilities have no effect"
				    : "");
}

static void probe_check_zcrx(const struct zrx_probe_facts *facts,
			     const struct probe_verdict *verdict, struct zrx_capabilities *to)
{
	if (verdict->known < 0)
		probe_check(to, ZRX_CHECK_UNKNOWN, "zcrx", "make io_uring usable first",
			    "cannot ask the kernel without io_uring");
	else if (verdict->known)
		probe_check(to, ZRX_CHECK_OK, "zcrx", "", "the kernel has zero-copy receive%s",
			    facts->query_zcrx ? " (found by trial: it cannot be asked for details)"
					      : "");
	else
		probe_check(to, ZRX_CHECK_MISSING, "zcrx",
			    "boot Linux 6.15 or newer with CONFIG_IO_URING_ZCRX=y",
			    "the kernel has no zero-copy receive");
	if (facts->defer_taskrun)
		probe_check(to, ZRX_CHECK_MISSING, "defer_taskrun", "boot Linux 6.1 or newer",
			    "no IORING_SETUP_DEFER_TASKRUN: %s", strerror(-facts->defer_taskrun));
	else
		probe_check(to, ZRX_CHECK_OK, "defer_taskrun", "",
			    "completions run on the owner's thread");
}

static void probe_check_feature(struct zrx_capabilities *to, uint32_t feature, const char *name,
				const char *hint, const char *has, const char *lacks)
{
	int there = !!(to->features & feature);

	probe_check(to, there ? ZRX_CHECK_OK : ZRX_CHECK_WARN, name, hint, "%s",
		    there ? has : lacks);
}

static void probe_check_features(const struct zrx_probe_facts *facts, struct zrx_capabilities *to)
{
	probe_check_feature(to, ZRX_FEATURE_FLUSH, "flush", "boot Linux 6.19 or newer",
			    "released buffers can be flushed back to the kernel",
			    "no flush: data that the kernel must copy can stall a receiver");
	probe_check_feature(to, ZRX_FEATURE_SHARED_QUEUE, "shared_queue",
			    "boot Linux 6.19 or newer",
			    "the receivers of a group can share a queue (ZRX_GROUP_SHARED_QUEUE)",
			    "each receiver of a group needs a queue of its own");
	probe_check_feature(to, ZRX_FEATURE_RX_BUF_LEN, "rx_buf_len", "boot Linux 7.0 or newer",
			    "buffers above a page, if the driver can",
			    "buffers are a page at most");
	probe_check_feature(to, ZRX_FEATURE_NODEV, "nodev", "boot Linux 7.1 or newer",
			    "zcrx without a device (for tests)",
			    "no zcrx without a device: engine zcrx-nodev cannot be opened");
	probe_check_feature(to, ZRX_FEATURE_EVENTS, "events", "boot Linux 7.2 or newer",
			    "the kernel counts copies and reports shortages",
			    "copies and shortages go unreported");
	if (facts->multishot)
		probe_check(to, ZRX_CHECK_WARN, "multishot",
			    "boot Linux 6.0 or newer, with io_uring usable",
			    "no multishot receive: where there is no zcrx, engine recv is used");
	else
		probe_check(to, ZRX_CHECK_OK, "multishot", "",
			    "multishot receive into provided buffers works");
	probe_check_feature(to, ZRX_FEATURE_INCREMENTAL, "incremental", "boot Linux 6.12 or newer",
			    "provided buffers can be consumed bit by bit",
			    "a small packet takes a whole buffer on engine multishot");
}

static void probe_check_memory(const struct zrx_probe_facts *facts, struct zrx_capabilities *to)
{
	const struct zrx_probe_process *process = &facts->process;

	if (process->cap_ipc_lock)
		probe_check(to, ZRX_CHECK_OK, "memlock", "",
			    "CAP_IPC_LOCK: the limit does not count");
	else if (process->memlock_bytes == UINT64_MAX)
		probe_check(to, ZRX_CHECK_OK, "memlock", "", "unlimited");
	else
		probe_check(to,
			    process->memlock_bytes < PROBE_DEFAULT_AREA ? ZRX_CHECK_WARN
									: ZRX_CHECK_OK,
			    "memlock", "ulimit -l unlimited (or LimitMEMLOCK=infinity in the unit)",
			    "%llu bytes may be locked; an area of the default size takes %llu",
			    (unsigned long long)process->memlock_bytes,
			    (unsigned long long)PROBE_DEFAULT_AREA);
	if (facts->hugepages_free)
		probe_check(to, ZRX_CHECK_OK, "hugepages", "", "%llu free, of %llu bytes",
			    (unsigned long long)facts->hugepages_free,
			    (unsigned long long)facts->hugepage_bytes);
	else if (facts->thp)
		probe_check(to, ZRX_CHECK_OK, "hugepages", "",
			    "transparent ones; no explicit ones are free");
	else
		probe_check(to, ZRX_CHECK_WARN, "hugepages", "sysctl -w vm.nr_hugepages=64",
			    "none: buffers above a page need contiguous memory");
}

static void probe_engine(struct zrx_probe_findings *to, uint32_t engine,
			 const struct zrx_error *why)
{
	if (why->code)
		to->refused[engine] = *why;
	else
		to->capabilities.engines |= 1u << engine;
}

static void probe_engines(const struct zrx_probe_facts *facts, const struct probe_verdict *verdict,
			  struct zrx_probe_findings *to)
{
	struct zrx_error why = ZRX_ERROR_INIT;

	probe_engine(to, ZRX_ENGINE_AUTO, &why);
	probe_engine(to, ZRX_ENGINE_RECV, &why);

	if (!verdict->uring)
		zrx_probe_uring_words(-facts->uring, &facts->process, &why);
	else if (facts->multishot)
		zrx_error_set(&why, -EOPNOTSUPP, ZRX_STAGE_RING, "boot Linux 6.0 or newer",
			      "no multishot receive into provided buffers in this kernel");
	probe_engine(to, ZRX_ENGINE_MULTISHOT, &why);

	zrx_error_clear(&why);
	if (!verdict->uring)
		zrx_probe_uring_words(-facts->uring, &facts->process, &why);
	else if (verdict->known != 1)
		zrx_error_set(&why, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
			      "boot Linux 6.15 or newer with CONFIG_IO_URING_ZCRX=y",
			      "the kernel has no zero-copy receive");
	else if (!verdict->permitted)
		zrx_probe_zcrx_words(EPERM, 0, &facts->process, &why);
	else if (facts->cqe32)
		zrx_probe_uring_words(-facts->cqe32, &facts->process, &why);
	probe_engine(to, ZRX_ENGINE_ZCRX, &why);

	if (!why.code && !(to->capabilities.features & ZRX_FEATURE_NODEV))
		zrx_error_set(&why, -EOPNOTSUPP, ZRX_STAGE_QUEUE, "boot Linux 7.1 or newer",
			      "this kernel has zcrx on a device only");
	probe_engine(to, ZRX_ENGINE_ZCRX_NODEV, &why);
}

void zrx_probe_judge(const struct zrx_probe_facts *facts, struct zrx_probe_findings *findings)
{
	struct probe_verdict verdict = probe_weigh(facts);
	struct zrx_capabilities *to = &findings->capabilities;
	unsigned major = 0, minor = 0, patch = 0;

	memset(findings, 0, sizeof(*findings));
	to->size = sizeof(*to);
	to->check_capacity = ZRX_PROBE_CHECKS;
	to->checks = findings->checks;
	sscanf(facts->release, "%u.%u.%u", &major, &minor, &patch);
	to->kernel_version = major << 16 | minor << 8 | (patch > 255 ? 255 : patch);
	to->page_bytes = facts->page_bytes;
	to->features = probe_features(facts);
	probe_check_access(facts, &verdict, to);
	probe_check_zcrx(facts, &verdict, to);
	probe_check_features(facts, to);
	probe_check_memory(facts, to);
	probe_engines(facts, &verdict, findings);
}

static void probe_ask(struct zrx_probe_findings *findings)
{
	struct zrx_probe_facts facts;

	zrx_probe_observe(&facts);
	zrx_probe_judge(&facts, findings);
}

int zrx_probe(struct zrx_capabilities *capabilities)
{
	struct zrx_probe_findings findings;

	if (!capabilities || capabilities->size < offsetof(struct zrx_capabilities, engines))
		return -EINVAL;
	probe_ask(&findings);
	return zrx_check_copy_out(capabilities, &findings.capabilities,
				  sizeof(findings.capabilities));
}

int zrx_probe_refusal(uint32_t engine, struct zrx_error *refusal)
{
	struct zrx_probe_findings findings;

	if (engine >= ZRX_ENGINE_COUNT)
		return zrx_error_tell(NULL, refusal);
	probe_ask(&findings);
	return zrx_error_tell(&findings.refused[engine], refusal);
}
