/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "check.h"
#include "nic/claim/settings.h"
#include "nic/claim/rss.h"

static struct zrx_ethtool_rss spread(uint32_t count, uint32_t queues)
{
	struct zrx_ethtool_rss rss = {.count = count};

	for (uint32_t i = 0; i < count; i++)
		rss.queue[i] = i % queues;
	return rss;
}

static void test_moving(void)
{
	struct zrx_ethtool_rss before = spread(128, 4), next, second;
	struct zrx_queue_set avoid = {0};
	int moved = zrx_rss_move_away(&before, 3, 4, &avoid, &next);

	CHECK(moved == 32, "%d", moved);
	CHECK(!zrx_rss_count(&next, 3), "queue 3 still named");
	for (uint32_t i = 0; i < 128; i++)
		CHECK(before.queue[i] == 3 || before.queue[i] == next.queue[i], "entry %u moved",
		      i);
	for (uint32_t queue = 0; queue < 3; queue++)
		CHECK(zrx_rss_count(&next, queue) >= 42 && zrx_rss_count(&next, queue) <= 43,
		      "uneven: %u", zrx_rss_count(&next, queue));
	CHECK(zrx_rss_is_moved(&before, &next, 3), "ours");
	CHECK(zrx_rss_move_away(&next, 3, 4, &avoid, &second) == 0, "nothing to move");

	zrx_queue_set_add(&avoid, 3);
	CHECK(zrx_rss_move_away(&next, 2, 4, &avoid, &second) > 0, "a second queue");
	CHECK(!zrx_rss_count(&second, 2) && !zrx_rss_count(&second, 3), "a claimed queue inherits");
	CHECK(zrx_rss_is_moved(&next, &second, 2), "ours, the second");
	CHECK(!zrx_rss_is_moved(&before, &second, 3), "more than that was moved");
	next.queue[3] = 3;
	CHECK(!zrx_rss_is_moved(&before, &next, 3), "somebody led an entry back");
}

static void test_no_heir(void)
{
	struct zrx_ethtool_rss before = spread(8, 2), next;
	struct zrx_queue_set avoid = {0};

	zrx_queue_set_add(&avoid, 0);
	CHECK(zrx_rss_move_away(&before, 1, 2, &avoid, &next) == -EBUSY, "only a claimed one left");
	before = spread(8, 1);
	CHECK(zrx_rss_move_away(&before, 0, 1, &avoid, &next) == -EBUSY, "a single queue");
	/* All entries lead to the queue, and another exists: it inherits though it was not named.
	 */
	memset(&avoid, 0, sizeof(avoid));
	CHECK(zrx_rss_move_away(&before, 0, 2, &avoid, &next) == 8, "one of two");
	CHECK(zrx_rss_count(&next, 1) == 8, "all to queue 1");
	before.count = 0;
	CHECK(zrx_rss_move_away(&before, 0, 1, &avoid, &next) == 0, "no table, nothing to move");
}

static void test_default(void)
{
	struct zrx_ethtool_rss rss = spread(64, 5);

	CHECK(zrx_rss_is_default(&rss), "in turn");
	rss.queue[63] = 0;
	CHECK(!zrx_rss_is_default(&rss), "one entry off");
}

static void test_commands(void)
{
	struct zrx_ethtool_rss rss = spread(6, 3);
	char text[200];

	zrx_rss_command(&rss, "eth1", text, sizeof(text));
	CHECK(!strcmp(text, "ethtool -X eth1 equal 3"), "%s", text);
	for (uint32_t i = 0; i < 6; i++)
		rss.queue[i] = i % 2 ? 3 : 0;
	zrx_rss_command(&rss, "eth1", text, sizeof(text));
	CHECK(!strcmp(text, "ethtool -X eth1 weight 3 0 0 3"), "%s", text);
}

static void test_choice(void)
{
	struct zrx_netdev_queue queues[4] = {{.id = 0}, {.id = 1}, {.id = 2}, {.id = 3}};
	struct zrx_queue_set taken = {0};

	CHECK(zrx_nic_choose(queues, 4, &taken, 0) == 3, "the highest");
	queues[3].bound = ZRX_BOUND_XSK;
	CHECK(zrx_nic_choose(queues, 4, &taken, 0) == 2, "not a bound one");
	zrx_queue_set_add(&taken, 2);
	CHECK(zrx_nic_choose(queues, 4, &taken, 0) == 1, "not a taken one");
	CHECK(zrx_nic_choose(queues, 4, &taken, 2) == ZRX_NO_QUEUE, "not one that cannot be bound");
	CHECK(zrx_nic_choose(queues, 0, &taken, 0) == ZRX_NO_QUEUE, "none");
}

static void test_share_out(void)
{
	struct zrx_ethtool_rss rss = {.count = 128}, two;
	struct zrx_queue_set queues = {{0}};

	for (uint32_t i = 0; i < 128; i++)
		rss.queue[i] = 5;
	zrx_queue_set_add(&queues, 5);
	zrx_queue_set_add(&queues, 70);
	CHECK(zrx_queue_set_count(&queues) == 2 && zrx_queue_set_first(&queues) == 5, "set");
	CHECK(!zrx_rss_is_within(&rss, &(struct zrx_queue_set){{0}}), "no queue at all");
	zrx_rss_share(&rss, &queues);
	CHECK(zrx_rss_count(&rss, 5) == 64 && zrx_rss_count(&rss, 70) == 64, "halves");
	two = rss;
	zrx_rss_share(&rss, &queues);
	CHECK(zrx_rss_equal(&rss, &two), "shared out already");
	zrx_queue_set_add(&queues, 6);
	CHECK(zrx_rss_is_within(&rss, &queues), "within");
	zrx_rss_share(&rss, &queues);
	CHECK(zrx_rss_count(&rss, 5) == 43 && zrx_rss_count(&rss, 6) == 43 &&
		      zrx_rss_count(&rss, 70) == 42,
	      "thirds");
	for (uint32_t i = 0; i < 128; i++)
		CHECK(rss.queue[i] == two.queue[i] || rss.queue[i] == 6, "entry %u moved", i);
}

void test_rss(void)
{
	test_share_out();
	test_moving();
	test_no_heir();
	test_default();
	test_commands();
	test_choice();
}
