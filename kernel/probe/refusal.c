/* SPDX-License-Identifier: MIT */
/* Words for the errnos with which the kernel refuses io_uring or a zcrx registration. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "probe/probe.h"

static void probe_uring_eperm(const struct zrx_probe_process *process, struct zrx_error *error)
{
	if (process->uring_disabled == 2)
		zrx_error_set(error, -EPERM, ZRX_STAGE_RING, "sysctl -w kernel.io_uring_disabled=0",
			      "io_uring is disabled for every process (sysctl "
			      "kernel.io_uring_disabled is 2)");
	else if (process->uring_disabled == 1)
		zrx_error_set(error, -EPERM, ZRX_STAGE_RING,
			      "run with CAP_SYS_ADMIN, or put the process' group into sysctl "
			      "kernel.io_uring_group, or sysctl -w kernel.io_uring_disabled=0",
			      "io_uring is disabled for unprivileged processes (sysctl "
			      "kernel.io_uring_disabled is 1)");
	else if (process->seccomp > 0)
		zrx_error_set(
			error, -EPERM, ZRX_STAGE_RING,
			"allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp "
			"profile (docker run --security-opt seccomp=PROFILE.json)",
			"a seccomp filter on this process refuses io_uring");
	else
		zrx_error_set(
			error, -EPERM, ZRX_STAGE_RING,
			"look for a denial of io_uring in the audit log (ausearch -m avc)",
			"a security module refuses io_uring: neither a sysctl nor a seccomp filter "
			"does");
}

/* Since 6.6 the sysctl exists wherever io_uring is built in: its presence convicts the filter. */
static void probe_uring_enosys(const struct zrx_probe_process *process, struct zrx_error *error)
{
	if (process->seccomp > 0 && process->uring_disabled != ZRX_PROBE_ABSENT)
		zrx_error_set(
			error, -ENOSYS, ZRX_STAGE_RING,
			"allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp "
			"profile (docker run --security-opt seccomp=PROFILE.json)",
			"a seccomp filter on this process hides io_uring, which the kernel has");
	else if (process->seccomp > 0)
		zrx_error_set(
			error, -ENOSYS, ZRX_STAGE_RING,
			"allow io_uring in the seccomp profile, or boot a kernel with "
			"CONFIG_IO_URING",
			"no io_uring: hidden by a seccomp filter, or not built into this kernel");
	else
		zrx_error_set(error, -ENOSYS, ZRX_STAGE_RING,
			      "boot a kernel with CONFIG_IO_URING=y",
			      "this kernel is built without io_uring");
}

void zrx_probe_uring_words(int errno_value, const struct zrx_probe_process *process,
			   struct zrx_error *error)
{
	switch (errno_value) {
	case EPERM:
	case EACCES:
		probe_uring_eperm(process, error);
		return;
	case ENOSYS:
		probe_uring_enosys(process, error);
		return;
	case ENOMEM:
		zrx_error_set(error, -ENOMEM, ZRX_STAGE_RING,
			      "raise the limit (ulimit -l unlimited), or ask for a smaller ring",
			      "no memory for the ring, or RLIMIT_MEMLOCK (%llu bytes) is used up",
			      (unsigned long long)process->memlock_bytes);
		return;
	case EMFILE:
	case ENFILE:
		zrx_error_set(error, -errno_value, ZRX_STAGE_RING,
			      "raise it: ulimit -n, or fs.file-max",
			      "too many open files for another ring");
		return;
	case EINVAL:
		zrx_error_set(error, -EINVAL, ZRX_STAGE_RING, "boot a newer kernel (6.1 has it)",
			      "this kernel does not know a flag that the ring needs");
		return;
	default:
		zrx_error_set(error, -errno_value, ZRX_STAGE_RING, NULL, "io_uring_setup: %s",
			      strerror(errno_value));
	}
}

static void probe_zcrx_eperm(const struct zrx_probe_process *process, struct zrx_error *error)
{
	if (process->cap_net_admin && !process->initial_userns)
		zrx_error_set(error, -EPERM, ZRX_STAGE_QUEUE,
			      "run outside the user namespace (a rootless container cannot do it)",
			      "zcrx needs CAP_NET_ADMIN in the initial user namespace; this "
			      "process has it "
			      "in another one only");
	else
		zrx_error_set(error, -EPERM, ZRX_STAGE_QUEUE,
			      "run as root, or: setcap cap_net_admin+ep PROGRAM (docker run "
			      "--cap-add NET_ADMIN)",
			      "zcrx needs CAP_NET_ADMIN, which this process does not have");
}

void zrx_probe_zcrx_words(int errno_value, int nodev, const struct zrx_probe_process *process,
			  struct zrx_error *error)
{
	switch (errno_value) {
	case EPERM:
		probe_zcrx_eperm(process, error);
		return;
	case EOPNOTSUPP:
		zrx_error_set(
			error, -EOPNOTSUPP, ZRX_STAGE_QUEUE,
			nodev ? "use buffers of the page size; boot a kernel with "
				"CONFIG_IO_URING_ZCRX=y"
			      : "boot a kernel with CONFIG_IO_URING_ZCRX=y",
			nodev ? "no zcrx in this kernel, or buffers above a page without a device"
			      : "this kernel is built without zcrx");
		return;
	case EINVAL:
		zrx_error_set(
			error, -EINVAL, ZRX_STAGE_QUEUE,
			nodev ? "boot Linux 7.1 or newer" : "boot Linux 6.15 or newer",
			nodev ? "this kernel cannot do zcrx without a device, or not with this "
				"area "
				"and refill ring"
			      : "this kernel does not know zcrx, or not this kind of area and "
				"refill ring");
		return;
	case ENOMEM:
		zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA,
			      "raise the limit (ulimit -l unlimited), or open with a smaller area",
			      "the area cannot be pinned: out of memory, or RLIMIT_MEMLOCK (%llu "
			      "bytes) is "
			      "too small",
			      (unsigned long long)process->memlock_bytes);
		return;
	case EFAULT:
		zrx_error_set(error, -EFAULT, ZRX_STAGE_AREA,
			      "map the whole area readable and writable before opening",
			      "the area's memory cannot be read and written by this process");
		return;
	case EEXIST:
		zrx_error_set(error, -EEXIST, ZRX_STAGE_THREAD,
			      "register on the thread that enabled the ring",
			      "the ring belongs to another thread");
		return;
	default:
		zrx_error_set(error, -errno_value, ZRX_STAGE_QUEUE, NULL, "zcrx registration: %s",
			      strerror(errno_value));
	}
}

void zrx_probe_uring_refusal(int errno_value, struct zrx_error *error)
{
	struct zrx_probe_process process;

	zrx_probe_observe_process(&process);
	zrx_probe_uring_words(errno_value, &process, error);
}

void zrx_probe_zcrx_refusal(int errno_value, int nodev, struct zrx_error *error)
{
	struct zrx_probe_process process;

	zrx_probe_observe_process(&process);
	zrx_probe_zcrx_words(errno_value, nodev, &process, error);
}
