/* SPDX-License-Identifier: MIT */
/* The real seam, where the kernel or a container's filter lacks a call. */
#include "check.h"
#include "net.h"
#include "sys.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* Let epoll_pwait2 fail so in this process. 0 if a filter cannot be had (an emulator of user
 * space). */
static int take_away(int code)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = 4, .filter = program};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* A wait may end late, never early: not after 0 ms because half a millisecond was cut off. */
static void waits(void)
{
	const uint64_t times[] = {500000, 1000001, 2500000};
	struct epoll_event event;
	int epoll = zrx_sys_epoll_open();

	CHECK(epoll >= 0);
	CHECK_EQUAL(zrx_sys_epoll_wait(epoll, &event, 1, 0), 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint64_t began = zrx_sys_now_ns();

		CHECK_EQUAL(zrx_sys_epoll_wait(epoll, &event, 1, (int64_t)times[i]), 0);
		CHECK(zrx_sys_now_ns() - began >= times[i]);
	}
	zrx_sys_close(epoll);
}

static void test_epoll_without(int code)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		if (!take_away(code)) {
			fprintf(stderr, "no filter of system calls here: not tried\n");
			_exit(0);
		}
		CHECK_EQUAL(syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0), -1);
		CHECK_EQUAL(errno, code);
		waits();
		_exit(0);
	}
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK_EQUAL(status, 0);
}

/* Without the right to exceed rmem_max it is what the kernel grants: the answer tells. */
static void test_receive_buffer(void)
{
	int pair[2], fixed = 1, before;

	tcp_pair(pair);
	before = zrx_sys_receive_buffer(pair[0], &fixed);
	CHECK(before > 0);
	CHECK_EQUAL(fixed, 0);
	CHECK_EQUAL(zrx_sys_receive_buffer_fix(pair[0], 256 << 10), 256 << 10);
	CHECK_EQUAL(zrx_sys_receive_buffer(pair[0], &fixed), 256 << 10);
	if (!zrx_sys_receive_buffer_loosen(pair[0])) {
		CHECK_EQUAL(fixed, 1);
		CHECK_EQUAL(zrx_sys_receive_buffer(pair[0], &fixed), 256 << 10);
		CHECK_EQUAL(fixed, 0);
	}
	before = zrx_sys_receive_buffer_fix(pair[0], 64 << 20);
	CHECK(before > 0 && before <= 64 << 20);
	CHECK_EQUAL(zrx_sys_receive_buffer(pair[0], &fixed), before);
	close_pair(pair);
	CHECK_EQUAL(zrx_sys_receive_buffer(-1, &fixed), -EBADF);
	CHECK_EQUAL(zrx_sys_receive_buffer_fix(-1, 1 << 20), -EBADF);
	CHECK_EQUAL(zrx_sys_receive_buffer_loosen(-1), -EBADF);
}

int main(void)
{
	waits();
	test_receive_buffer();
	test_epoll_without(ENOSYS);
	test_epoll_without(EPERM);
	return 0;
}
