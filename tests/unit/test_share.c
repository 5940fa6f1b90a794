/* SPDX-License-Identifier: MIT */
/* Shares on real sockets, and what is left of them afterwards. */
#include "check.h"
#include "net.h"
#include "share.h"
#include "sys.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNKS   16384u
#define STANDING 2048u
#define LEAST    (256 << 10)
#define FEW      4u
#define OWN      (192 << 10) /* below net.core.rmem_max: anybody can set it */

static const struct zrx_options by_connection = ZRX_OPTIONS_INIT;

static struct zrx_budget opened(uint32_t chunks)
{
	struct zrx_budget budget;

	zrx_budget_open(&budget, 4096, 0, chunks, STANDING);
	return budget;
}

static int buffer_of(int fd, int *fixed)
{
	return zrx_sys_receive_buffer(fd, fixed);
}

static void test_taken_and_given(void)
{
	struct zrx_budget budget = opened(CHUNKS);
	struct zrx_stream stream = {0};
	int pair[2], fixed;

	tcp_pair(pair);
	stream.fd = pair[0];
	CHECK_EQUAL(zrx_share_take(&budget, &stream, &by_connection, NULL), 0);
	CHECK(stream.receive_buffer > 0);
	CHECK_EQUAL(buffer_of(pair[0], &fixed), stream.receive_buffer);
	/* Reserved is what it got, also where it may not have as much as it should. */
	CHECK_EQUAL(budget.reserved, stream.receive_buffer / 4096 + 16);
	zrx_share_give(&budget, &stream);
	CHECK_EQUAL(stream.receive_buffer, 0);
	CHECK_EQUAL(budget.reserved, 0);
	buffer_of(pair[0], &fixed);
	CHECK_EQUAL(fixed, 0);
	zrx_share_give(&budget, &stream); /* it has none */
	CHECK_EQUAL(budget.shares, 0);
	close_pair(pair);
}

/* What the caller has set is there again afterwards. */
static void test_callers_own(void)
{
	struct zrx_budget budget = opened(CHUNKS);
	struct zrx_stream stream = {0};
	int pair[2], fixed;

	tcp_pair(pair);
	CHECK_EQUAL(zrx_sys_receive_buffer_fix(pair[0], OWN), OWN);
	stream.fd = pair[0];
	CHECK_EQUAL(zrx_share_take(&budget, &stream, &by_connection, NULL), 0);
	CHECK(stream.receive_buffer >= OWN);
	zrx_share_give(&budget, &stream);
	CHECK_EQUAL(buffer_of(pair[0], &fixed), OWN);
	close_pair(pair);
}

static void test_none_left(void)
{
	struct zrx_options options = by_connection;
	struct zrx_budget budget = opened(CHUNKS);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_stream stream = {0};
	int pair[2], fixed;

	while (zrx_budget_take(&budget, 0))
		continue;
	tcp_pair(pair);
	stream.fd = pair[0];
	CHECK_EQUAL(zrx_share_take(&budget, &stream, &options, &error), ZRX_SHARE_COPIED);
	CHECK_EQUAL(error.code, 0);
	options.nic_mode = ZRX_NIC_PREPARED; /* nobody knows who leads what here */
	CHECK_EQUAL(zrx_share_take(&budget, &stream, &options, &error), -ENOBUFS);
	options.nic_mode = ZRX_NIC_SETUP;
	options.steer = ZRX_STEER_PORT;
	CHECK_EQUAL(zrx_share_take(&budget, &stream, &options, &error), -ENOBUFS);
	CHECK_SAYS(error.hint, "area_bytes");
	options.flags = ZRX_SMALL_AREA;
	CHECK_EQUAL(zrx_share_take(&budget, &stream, &options, NULL), 0);
	CHECK_EQUAL(stream.receive_buffer, 0);
	buffer_of(pair[0], &fixed);
	CHECK_EQUAL(fixed, 0);
	close_pair(pair);
}

/* An area without a budget leaves sockets alone. */
static void test_idle(void)
{
	struct zrx_budget budget = opened(STANDING);
	struct zrx_stream stream = {.fd = -1};

	CHECK_EQUAL(zrx_share_take(&budget, &stream, &by_connection, NULL), 0);
	CHECK_EQUAL(stream.receive_buffer, 0);
	CHECK_EQUAL(budget.shares, 0);
}

static void test_bad_descriptor(void)
{
	struct zrx_budget budget = opened(CHUNKS);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_stream stream = {.fd = -1};

	CHECK_EQUAL(zrx_share_take(&budget, &stream, &by_connection, &error), -EBADF);
	CHECK_EQUAL(error.stage, ZRX_STAGE_SOCKET);
	CHECK_EQUAL(budget.reserved, 0);
	CHECK_EQUAL(budget.shares, 0);
}

/* A share that was small for want of room is enlarged once others have gone. */
static void test_growth(void)
{
	struct zrx_budget budget = opened(CHUNKS);
	struct zrx_streams streams = {0};
	struct zrx_stream *kept[FEW], others[64] = {{0}};
	uint32_t count = 0, reserved = 0;
	int pairs[FEW][2], fixed;

	while (budget.reserved + 600 < zrx_budget_pool(&budget))
		CHECK((others[count++].receive_buffer = zrx_budget_take(&budget, 0)));
	for (uint32_t i = 0; i < FEW; i++) {
		tcp_pair(pairs[i]);
		kept[i] = zrx_stream_new(&streams, i + 1);
		CHECK(kept[i]);
		kept[i]->fd = pairs[i][0];
		CHECK_EQUAL(zrx_share_take(&budget, kept[i], &by_connection, NULL), 0);
		CHECK_EQUAL(kept[i]->receive_buffer, LEAST);
	}
	zrx_shares_grow(&budget, &streams);
	CHECK_EQUAL(kept[0]->receive_buffer, LEAST);
	while (count)
		zrx_budget_give(&budget, others[--count].receive_buffer);
	zrx_shares_grow(&budget, &streams);
	for (uint32_t i = 0; i < FEW; i++) {
		CHECK_EQUAL(buffer_of(pairs[i][0], &fixed), kept[i]->receive_buffer);
		reserved += kept[i]->receive_buffer / 4096 + 16;
	}
	CHECK_EQUAL(budget.reserved, reserved);
	/* As far as this process may: without CAP_NET_ADMIN not beyond net.core.rmem_max. */
	if (zrx_sys_receive_buffer_fix(pairs[0][0], 8 * LEAST) == 8 * LEAST)
		CHECK(kept[0]->receive_buffer >= 2 * LEAST);
	for (uint32_t i = 0; i < FEW; i++)
		close_pair(pairs[i]);
	zrx_streams_destroy(&streams);
}

int main(void)
{
	test_taken_and_given();
	test_callers_own();
	test_none_left();
	test_idle();
	test_bad_descriptor();
	test_growth();
	return 0;
}
