/* SPDX-License-Identifier: MIT */
/* Interfaces that every kernel has, in a network namespace of the test's own: every refusal has its
 * text. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <libmnl/libmnl.h>

#include "check.h"
#include "netlink/link.h"
#include "nic/nic.h"
#include "nic/device.h"

static void set_up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = {.ifr_flags = IFF_UP};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	CHECK(!ioctl(fd, SIOCSIFFLAGS, &request), "%s up", name);
	close(fd);
}

/* Send a request and take the kernel's answer to it: 0 or -errno. */
static int ask(struct nlmsghdr *request)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	char answer[1024];
	int result = -EIO;

	if (socket && !mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) &&
	    mnl_socket_sendto(socket, request, request->nlmsg_len) > 0 &&
	    mnl_socket_recvfrom(socket, answer, sizeof(answer)) > 0)
		result = ((struct nlmsgerr *)mnl_nlmsg_get_payload((void *)answer))->error;
	if (socket)
		mnl_socket_close(socket);
	return result;
}

/* "ip link add va type veth peer name vb" */
static int add_veth(void)
{
	char buffer[1024];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct nlattr *info, *data, *peer;

	request->nlmsg_type = RTM_NEWLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, "va");
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, "vb");
	mnl_attr_nest_end(request, peer);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return ask(request);
}

static void check_inspect(const char *name)
{
	struct zrx_check checks[ZRX_NIC_CHECKS];
	struct zrx_nic_report report = {
		.size = sizeof(report), .check_capacity = ZRX_NIC_CHECKS, .checks = checks};
	struct zrx_error error = ZRX_ERROR_INIT;
	int split = 0, only = 0;

	CHECK(!zrx_nic_inspect(name, ZRX_NIC_FREE_QUEUE, &report, &error), "%s: %s", name,
	      error.message);
	CHECK(report.ifindex == if_nametoindex(name), "%s: index", name);
	CHECK(report.queue_count >= 1, "%s: %u queues", name, report.queue_count);
	for (uint32_t i = 0; i < report.check_count; i++) {
		const struct zrx_check *check = &report.checks[i];

		split |= !strcmp(check->name, "tcp-data-split") &&
			 check->state == ZRX_CHECK_MISSING && check->hint[0] &&
			 !strcmp(check->detail, "this driver has none");
		only |= !strcmp(check->name, "queue") && check->state == ZRX_CHECK_WARN;
	}
	CHECK(split, "%s: nothing said on header/data split", name);
	CHECK(only == (report.queue_count == 1), "%s: %u queues, warned: %d", name,
	      report.queue_count, only);
}

static void check_refused(const char *name, int code, const char *words)
{
	struct zrx_options options = {.size = sizeof(options), .interface = name};
	struct zrx_nic_step steps[ZRX_NIC_STEPS];
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t queue = 0, ifindex = 0;
	struct zrx_nic *nic = NULL;

	CHECK(zrx_nic_plan(&options, steps, ZRX_NIC_STEPS, &queue, &error) == code, "%s: %d", name,
	      error.code);
	CHECK_HAS(error.message, words);
	CHECK(error.hint[0], "%s: no hint", name);
	CHECK(zrx_nic_apply(&options, &queue, &error) == code, "%s: %d", name, error.code);
	CHECK(zrx_nic_acquire(&nic, &options, &ifindex, &queue, &error) == code && !nic, "%s: %d",
	      name, error.code);
	CHECK_HAS(error.message, words);
	options.nic_mode = ZRX_NIC_PREPARED;
	CHECK(zrx_nic_acquire(&nic, &options, &ifindex, &queue, &error) < 0 && !nic, "%s: prepared",
	      name);
	CHECK(error.hint[0], "%s: no hint", name);
}

/* "return XDP_PASS" on va. */
static int attach_xdp(void)
{
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr program = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uint64_t)(uintptr_t)code,
		.insn_cnt = 2,
		.license = (uint64_t)(uintptr_t) "GPL",
	};
	int fd = (int)syscall(__NR_bpf, BPF_PROG_LOAD, &program, sizeof(program)), result = -errno;
	char buffer[1024];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	struct nlattr *xdp;

	if (fd < 0)
		return result;
	request->nlmsg_type = RTM_SETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	link->ifi_index = (int)if_nametoindex("va");
	xdp = mnl_attr_nest_start(request, IFLA_XDP);
	mnl_attr_put_u32(request, IFLA_XDP_FD, (uint32_t)fd);
	mnl_attr_put_u32(request, IFLA_XDP_FLAGS, XDP_FLAGS_SKB_MODE);
	mnl_attr_nest_end(request, xdp);
	result = ask(request);
	close(fd);
	return result;
}

static int rename_to(const char *from, const char *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), result;
	struct ifreq request;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", from);
	snprintf(request.ifr_newname, sizeof(request.ifr_newname), "%s", to);
	result = ioctl(fd, SIOCSIFNAME, &request) ? -errno : 0;
	close(fd);
	return result;
}

/* While it is open, its name goes to another. (Both are down: old kernels rename no others.) */
static void check_renamed(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_ethtool_driver driver;
	struct zrx_nic_device *device;

	CHECK(!zrx_nic_device_open(&device, "va", &error), "%s", error.message);
	CHECK(!rename_to("va", "moved"), "rename");
	CHECK(!device->ops->driver(device, &driver) && !strcmp(driver.driver, "veth"),
	      "it is not found by its new name");
	CHECK(!strcmp(device->name, "moved"), "messages would name %s", device->name);
	device->ifindex = 424242;
	CHECK(!rename_to("vb", "va"), "rename");
	CHECK(device->ops->driver(device, &driver) == -ENODEV, "another is taken for it");
	zrx_nic_device_close(device);
	CHECK(!rename_to("va", "vb") && !rename_to("moved", "va"), "rename back");
}

static void check_xdp(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	uint32_t attached = 1;

	CHECK(!zrx_link_xdp(if_nametoindex("va"), &attached) && !attached, "no program yet");
	CHECK(!attach_xdp(), "attach");
	CHECK(!zrx_link_xdp(if_nametoindex("va"), &attached) && attached, "a program");
	CHECK(zrx_nic_explain("va", 0, EEXIST, 0, &error) == -EEXIST, "veth");
	CHECK_HAS(error.message, "XDP program");
	CHECK(zrx_link_xdp(424242, &attached) == -ENODEV, "no such interface");
}

static void check_explained(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(zrx_nic_explain("lo", 0, EOPNOTSUPP, 0, &error) == -EOPNOTSUPP, "lo");
	CHECK_HAS(error.message, "virtual interface");
	CHECK(zrx_nic_explain("va", 0, EOPNOTSUPP, 0, &error) == -EOPNOTSUPP, "veth");
	CHECK_HAS(error.message, "veth");
	CHECK(zrx_nic_explain("va", 77, ERANGE, 0, &error) == -ERANGE, "veth");
	CHECK_HAS(error.message, "no queue 77");
	CHECK(zrx_nic_explain("nope", 0, EINVAL, 0, &error) == -ENODEV, "nope");
}

/* Whether there are journals makes no difference. */
static void check_journals_of_nope(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(zrx_nic_undo("nope", ZRX_NIC_FREE_QUEUE, &error) == -ENODEV, "nope");
	CHECK_HAS(error.message, "no interface \"nope\"");
	CHECK(zrx_nic_restore(NULL, &error) == 0 && !error.code, "what was wrong before");
	CHECK(zrx_nic_restore("nope", &error) == -ENODEV, "nope");
	CHECK_HAS(error.message, "no interface \"nope\"");
}

static void in_a_namespace(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(!mount("none", "/run", "tmpfs", 0, NULL), "a /run of its own");
	CHECK(zrx_nic_restore(NULL, &error) == 0, "nothing to restore");
	set_up("lo");
	CHECK(!add_veth(), "veth");
	check_refused("va", -EOPNOTSUPP, "is a virtual interface");
	check_renamed();
	set_up("va");
	set_up("vb");
	check_inspect("lo");
	check_inspect("va");
	check_refused("lo", -EOPNOTSUPP, "is a virtual interface");
	check_refused("va", -EOPNOTSUPP, "is a virtual interface");
	check_refused("", -ENODEV, "no interface is named");
	check_refused("nope", -ENODEV, "no interface \"nope\"");
	CHECK(access("/run/zcrx", F_OK), "refusals left a trace");
	check_explained();
	check_xdp();
	CHECK(zrx_nic_undo("va", ZRX_NIC_FREE_QUEUE, &error) == 0, "nothing to undo");
	CHECK(zrx_nic_restore("va", &error) == 0, "nothing to restore");
	check_journals_of_nope();
	CHECK(!mkdir("/run/zcrx", 0755), "journals");
	check_journals_of_nope();
}

void test_interfaces(void)
{
	int status = 0, before = checks_failed;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
			perror("interfaces: needs root for a network namespace");
			_exit(1);
		}
		in_a_namespace();
		_exit(checks_failed > before ? 1 : 0);
	}
	CHECK(waitpid(child, &status, 0) == child && !status, "in the namespace");
}
