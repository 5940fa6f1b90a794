/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/inspect.h"

static const struct zrx_check *find(const struct zrx_nic_report *report, const char *name)
{
	static const struct zrx_check none;

	for (uint32_t i = 0; i < report->check_count; i++)
		if (!strcmp(report->checks[i].name, name))
			return &report->checks[i];
	CHECK(0, "no check \"%s\"", name);
	return &none;
}

static void make_ready(struct fake_nic *fake)
{
	fake->state.split = ZRX_SPLIT_ON;
	fake->state.thresh = 0;
	fake->state.ntuple = 1;
	for (uint32_t i = 0; i < fake->state.rss.count; i++)
		fake->state.rss.queue[i] = i % (FAKE_QUEUES - 2);
}

static void test_ready(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_check checks[ZRX_NIC_CHECKS];
	struct zrx_nic_report report = {.checks = checks};

	make_ready(fake);
	zrx_nic_report_make(&fake->base, ZRX_NIC_FREE_QUEUE, &report);
	CHECK(report.queue == FAKE_QUEUES - 1 && report.queue_count == FAKE_QUEUES, "queue %u",
	      report.queue);
	CHECK(report.napi_id == 100 + FAKE_QUEUES - 1, "napi %u", report.napi_id);
	for (uint32_t i = 0; i < report.check_count; i++)
		CHECK(report.checks[i].state == ZRX_CHECK_OK && !report.checks[i].hint[0], "%s",
		      report.checks[i].name);
	CHECK(!zrx_nic_report_refusal(&report, &error), "refused");

	fake->xdp = 1;
	zrx_nic_report_make(&fake->base, ZRX_NIC_FREE_QUEUE, &report);
	CHECK_HAS(find(&report, "xdp")->hint, "ip link set dev fake0 xdp off");
	CHECK(zrx_nic_report_refusal(&report, &error) == -EOPNOTSUPP, "XDP");
	fake->xdp = 0;
	fake->bound[7] = ZRX_BOUND_IO_URING;
	zrx_nic_report_make(&fake->base, ZRX_NIC_FREE_QUEUE, &report);
	CHECK(report.queue == 6, "the free one that RSS spares: %u", report.queue);
	zrx_nic_report_make(&fake->base, 7, &report);
	CHECK(zrx_nic_report_refusal(&report, &error) == -EEXIST, "bound");
	fake_free(fake);
}

static void test_not_ready(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_check checks[ZRX_NIC_CHECKS];
	struct zrx_nic_report report = {.checks = checks};

	fake->driver = "mlx5_core";
	zrx_nic_report_make(&fake->base, 2, &report);
	CHECK(find(&report, "tcp-data-split")->state == ZRX_CHECK_MISSING, "split");
	CHECK_HAS(find(&report, "tcp-data-split")->hint, "ethtool -G fake0 tcp-data-split on");
	fake->split_default = ZRX_SPLIT_UNKNOWN;
	fake->state.split = ZRX_SPLIT_UNKNOWN;
	zrx_nic_report_make(&fake->base, 2, &report);
	CHECK_HAS(find(&report, "tcp-data-split")->detail, "does not tell");
	CHECK_HAS(find(&report, "tcp-data-split")->hint, "use engine multishot");
	CHECK_HAS(find(&report, "hds-thresh")->hint, "ethtool -G fake0 hds-thresh 0");
	CHECK(find(&report, "rss")->state == ZRX_CHECK_WARN && report.rss_to_queue == 4, "%u",
	      report.rss_to_queue);
	CHECK_HAS(find(&report, "ntuple")->hint, "ethtool -K fake0 ntuple on");
	CHECK_HAS(find(&report, "rx-gro-hw")->hint, "ethtool -K fake0 rx-gro-hw on");
	CHECK(zrx_nic_report_refusal(&report, &error) == -EOPNOTSUPP, "refused");
	CHECK_HAS(error.message, "tcp-data-split");
	zrx_nic_report_make(&fake->base, 99, &report);
	CHECK(find(&report, "queue")->state == ZRX_CHECK_MISSING, "no such queue");
	fake->down = 1;
	zrx_nic_report_make(&fake->base, 2, &report);
	CHECK_HAS(find(&report, "up")->hint, "ip link set dev fake0 up");
	fake_free(fake);
}

void test_inspect(void)
{
	test_ready();
	test_not_ready();
}
