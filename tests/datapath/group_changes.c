/* SPDX-License-Identifier: MIT */
/*
 * Groups under load whose neighbours are killed, whose receivers leave, and beside which others
 * come: the flows of everybody else go on to their ends.
 */
#include "crew.h"
#include "nic.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <zcrx.h>

#define ARRIVALS 6u  /* new flows in each stretch of time */
#define MEETINGS 24u /* of them at most until one has come by the queue of the dead */

static const struct crew_seen *changes_seen(const struct crew *crew, uint32_t flow)
{
	return &crew->shared->seen[flow];
}

/* No flow has failed, and so many had nobody any more who receives them. */
static void changes_check(const struct crew *crew, const unsigned ended[], unsigned left)
{
	for (uint32_t i = 0; i < crew->count; i++)
		CHECK(crew_state(crew, i) != CREW_FAILED,
		      "stream %u of worker %u (copied %d) failed after %" PRIu64 " bytes: %s", i,
		      crew->worker[i], atomic_load(&changes_seen(crew, i)->copied),
		      atomic_load(&changes_seen(crew, i)->received),
		      strerror(-atomic_load(&changes_seen(crew, i)->error)));
	CHECK(ended[CREW_LEFT] == left && ended[CREW_ENDED] + left == crew->count,
	      "%u flows: %u ended, %u were left, should be %u", crew->count, ended[CREW_ENDED],
	      ended[CREW_LEFT], left);
}

/*
 * Of worker 0's flows from first to end those that the NIC has led to another queue than their
 * receiver's: counted as left.
 */
static unsigned changes_led_away(struct crew *crew, unsigned ended[], uint32_t first, uint32_t end,
				 int only_copied)
{
	unsigned count = 0;

	for (uint32_t i = first; i < end; i++) {
		struct crew_seen *seen = &crew->shared->seen[i];

		if (crew->worker[i] || crew_state(crew, i) != CREW_FAILED ||
		    atomic_load(&seen->error) != -EFAULT ||
		    (only_copied && !atomic_load(&seen->copied)))
			continue;
		atomic_store(&seen->state, CREW_LEFT);
		count++;
	}
	ended[CREW_LEFT] += count;
	return count;
}

static unsigned changes_of_worker(const struct crew *crew, uint32_t worker)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < crew->count; i++)
		count += crew->worker[i] == worker;
	return count;
}

/* The first worker's group has counted its flows, and those that were copied. */
static void changes_check_counters(const struct crew *crew)
{
	const struct zrx_group_stats *stats = &crew->shared->told[0].stats;
	unsigned copied = 0;

	for (uint32_t i = 0; i < crew->count; i++)
		copied += !crew->worker[i] && atomic_load(&changes_seen(crew, i)->copied);
	CHECK(stats->added == changes_of_worker(crew, 0) && stats->copied == copied &&
		      !stats->refused,
	      "%u flows, %u copied; counted: %" PRIu64 " added, %" PRIu64 " copied, %" PRIu64
	      " refused",
	      changes_of_worker(crew, 0), copied, stats->added, stats->copied, stats->refused);
}

/* New flows; zero_copy: none may arrive at a queue that is nobody's. */
static void changes_arrive(struct crew *crew, uint32_t worker, int zero_copy)
{
	for (uint32_t i = 0; i < ARRIVALS; i++) {
		uint32_t flow = crew_connect(crew, worker);

		crew_until_added(crew, flow);
		CHECK(!zero_copy || !atomic_load(&changes_seen(crew, flow)->copied),
		      "stream %u is copied", flow);
	}
}

/* ---- killed ---- */

/* Until a connection has come by the queue of the dead: its group looks for what they left. */
static void killed_meet(struct crew *crew, uint32_t dead_queue)
{
	uint32_t copied = 0;

	for (uint32_t i = 0; !copied && i < MEETINGS; i++) {
		uint32_t flow = crew_connect(crew, 0);

		crew_until_added(crew, flow);
		copied = (uint32_t)atomic_load(&changes_seen(crew, flow)->copied);
	}
	CHECK(copied, "none of %u connections came by queue %u", MEETINGS, dead_queue);
}

/* Two processes have a port together (where the NIC can), and one of them is killed. */
void group_killed(void)
{
	static struct crew crew;
	struct zrx_error error = ZRX_ERROR_INIT;
	int by_port = !nic_is("gve"), restored;
	unsigned ended[CREW_LEFT + 1], left;
	uint32_t killed, settled;

	crew_open(&crew);
	crew_start(&crew, 0, 2, NULL);
	crew_start(&crew, 1, 1, &crew.workers[0].listener);
	crew_connect_all(&crew, by_port);
	crew_until_flowing(&crew);
	left = changes_of_worker(&crew, 1);
	killed = crew.count;
	crew_kill(&crew, 1);
	if (by_port)
		killed_meet(&crew, crew.shared->told[1].queue[0]);
	else
		changes_arrive(&crew, 0, 0);
	restored = zrx_nic_restore(nic_interface(), &error);
	CHECK(restored == !by_port, "restore: %d %s", restored, error.message);
	settled = crew.count;
	changes_arrive(&crew, 0, 1);
	crew_until_flowing(&crew);
	crew_finish(&crew, ended);
	changes_check_counters(&crew);
	/*
	 * What came by the queue of the dead is served by either receiver, and then led to either
	 * queue, when the port is shared out anew: by the wrong one it ends with -EFAULT.
	 */
	left += changes_led_away(&crew, ended, killed, settled, 1);
	changes_check(&crew, ended, left);
	crew_close(&crew);
}

/* ---- leaving ---- */

void group_leaving(void)
{
	static struct crew crew;
	const struct crew_told *told;
	unsigned ended[CREW_LEFT + 1], left, led_away;
	uint32_t asked, settled, leaver = 1;

	crew_open(&crew);
	told = &crew.shared->told[0];
	crew_start(&crew, 0, 3, NULL);
	crew_connect_all(&crew, 0);
	crew_until_flowing(&crew);
	asked = crew.count;
	atomic_fetch_or(&crew.shared->told[0].leave, 1u << leaver);
	/* Connections come all the time; which of them are the leaver's is its own matter. */
	for (unsigned i = 0; !atomic_load(&told->left); i++) {
		if (i < ARRIVALS)
			crew_connect(&crew, 0);
		crew_pause(&crew, i, "to leave", leaver);
	}
	settled = crew.count;
	changes_arrive(&crew, 0, 1);
	for (uint32_t i = settled; i < crew.count; i++)
		CHECK(atomic_load(&changes_seen(&crew, i)->receiver) != leaver,
		      "stream %u is the leaver's", i);
	crew_until_flowing(&crew);
	crew_finish(&crew, ended);
	changes_check_counters(&crew);
	left = ended[CREW_LEFT];
	CHECK(left, "the leaver had no flows");
	/* Whose connection began by the leaver's queue, and was accepted when that was nobody's. */
	led_away = changes_led_away(&crew, ended, asked, settled, 1);
	changes_check(&crew, ended, left + led_away);
	crew_close(&crew);
}

/* ---- joining ---- */

/* Another process with a port of its own, while bytes flow; then one that takes its part of the
 * first one's port. */
void group_joining(void)
{
	static struct crew crew;
	unsigned ended[CREW_LEFT + 1], moved;
	int by_port = !nic_is("gve");
	uint32_t before;

	crew_open(&crew);
	crew_start(&crew, 0, 1, NULL);
	for (uint32_t i = 0; i < ARRIVALS; i++)
		crew_connect(&crew, 0);
	crew_until_flowing(&crew);
	crew_start(&crew, 1, 1, NULL);
	changes_arrive(&crew, 1, 1);
	crew_until_flowing(&crew);
	before = crew.count;
	crew_start(&crew, 2, 1, &crew.workers[0].listener);
	crew_connect_all(&crew, by_port);
	crew_until_flowing(&crew);
	crew_finish(&crew, ended);
	changes_check_counters(&crew);
	/* Flows of a port that are in progress go with their part of it. */
	moved = by_port ? changes_led_away(&crew, ended, 0, before, 0) : 0;
	changes_check(&crew, ended, moved);
	crew_close(&crew);
}
