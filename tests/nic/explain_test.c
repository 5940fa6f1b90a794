/* SPDX-License-Identifier: MIT */
/* Each errno of a registration, and each precondition behind it, has its own words. */
#include <errno.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/nic.h"
#include "nic/explain.h"
#include "nic/holder.h"
#include "nic/quirks.h"

static struct zrx_nic_case good_case(void)
{
	struct zrx_nic_case facts = {
		.interface = "eth1",
		.driver = "bnxt_en",
		.bus = "0000:01:00.0",
		.queue = 3,
		.queue_count = 4,
		.page_bytes = 4096,
		.kernel = ZRX_KERNEL(6, 17),
		.rings = {.split = ZRX_SPLIT_ON, .has_thresh = 1},
	};

	return facts;
}

static void explain(const struct zrx_nic_case *facts, int errno_value, const char *words,
		    const char *hint)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(zrx_nic_explain_case(facts, errno_value, &error) == -errno_value, "code");
	CHECK(error.code == -errno_value, "%d", error.code);
	CHECK_HAS(error.message, words);
	CHECK_HAS(error.hint, hint);
}

static void test_split_cases(void)
{
	struct zrx_nic_case facts = good_case();

	facts.rings.split = ZRX_SPLIT_OFF;
	explain(&facts, EINVAL, "is off", "ethtool -G eth1 tcp-data-split on");
	facts.rings.split = ZRX_SPLIT_UNKNOWN;
	explain(&facts, EINVAL, "not set", "ethtool -G eth1 tcp-data-split on");
	facts = good_case();
	facts.rings.thresh = 256;
	explain(&facts, EINVAL, "hds-thresh is 256", "ethtool -G eth1 hds-thresh 0");
	facts = good_case();
	explain(&facts, EINVAL, "driver's own choice", "ethtool -G eth1 tcp-data-split on");
	facts.rx_buf_len = 32768;
	explain(&facts, EINVAL, "32768", "7.0");
	facts.kernel = ZRX_KERNEL(7, 0);
	explain(&facts, EINVAL, "32768", "(buffer_bytes 0)");
	facts.rx_buf_len = 5000;
	explain(&facts, EINVAL, "5000", "power of two");
	facts.rings_error = -EOPNOTSUPP;
	explain(&facts, EINVAL, "no header/data split", "multishot");
}

static void test_other_cases(void)
{
	struct zrx_nic_case facts = good_case();

	explain(&facts, ENODEV, "no interface \"eth1\"", "ip -br link");
	explain(&facts, ENODATA, "bnxt_en", "another NIC");
	explain(&facts, ENETDOWN, "down", "ip link set dev eth1 up");
	explain(&facts, EOPNOTSUPP, "queue management", "multishot");
	facts.rx_buf_len = 65536;
	explain(&facts, EOPNOTSUPP, "65536", "page size");
	explain(&facts, ERANGE, "contiguous", "nr_hugepages");
	facts.queue = 9;
	explain(&facts, ERANGE, "4 receive queues", "ethtool -L eth1 combined 10");
	strcpy(facts.driver, "gve");
	facts.queue = 0;
	explain(&facts, ERANGE, "below 1", "higher");
	explain(&facts, ENODATA, "gve", "boot Linux 6.18");
	facts.kernel = ZRX_KERNEL(7, 3);
	explain(&facts, ENODATA, "gve", "another NIC");
	facts.bus[0] = '\0';
	strcpy(facts.driver, "veth");
	explain(&facts, EOPNOTSUPP, "virtual interface of driver veth", "multishot");
}

static void test_taken_cases(void)
{
	struct zrx_nic_case facts = good_case();

	explain(&facts, EEXIST, "until just now", "try again");
	facts.xdp = 1;
	explain(&facts, EEXIST, "XDP", "ip link set dev eth1 xdp off");
	facts.bound = ZRX_BOUND_IO_URING;
	strcpy(facts.holder, "process 12 (nginx)");
	explain(&facts, EEXIST, "process 12 (nginx)", "another queue");
	facts.bound = ZRX_BOUND_XSK;
	explain(&facts, EBUSY, "AF_XDP", "another queue");
	facts.bound = ZRX_BOUND_DMABUF;
	explain(&facts, EEXIST, "dma-buf", "another queue");
	facts.bound = ZRX_BOUND_LEASE;
	explain(&facts, EEXIST, "leased", "another queue");
}

static void test_device(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK(zrx_nic_explain_device(&fake->base, 3, EINVAL, 0, &error) == -EINVAL, "code");
	CHECK_HAS(error.message, "is off");
	fake->bound[3] = ZRX_BOUND_XSK;
	CHECK(zrx_nic_explain_device(&fake->base, 3, EBUSY, 0, &error) == -EBUSY, "code");
	CHECK_HAS(error.message, "AF_XDP");
	CHECK(zrx_nic_explain("no-such-nic", 0, EINVAL, 0, &error) == -ENODEV, "no interface");
	CHECK_HAS(error.message, "no-such-nic");
	fake_free(fake);
}

static void test_holder(void)
{
	char text[64];

	/* Nobody here receives by zcrx; what counts is that looking finds that out. */
	CHECK(zrx_nic_holder_find(text, sizeof(text)) == -ENOENT && !text[0], "\"%s\"", text);
}

void test_explain(void)
{
	test_split_cases();
	test_other_cases();
	test_taken_cases();
	test_device();
	test_holder();
}
