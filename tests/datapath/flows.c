/* SPDX-License-Identifier: MIT */
/* Where flows land: on the receiver's own queue, on none of its own, on somebody else's. */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BYTES     (16u << 20)
#define RECEIVERS 2u
#define FLOWS     2u /* of each receiver */

/* The flows of one port only. */
static struct zrx_options options_for_port(uint16_t port)
{
	struct zrx_options options = rx_options();

	options.steer = ZRX_STEER_PORT;
	options.steer_port = port;
	return options;
}

/*
 * By which queue a flow came. Asked only where the kernel does not count copies, which say it
 * better: a driver that restarts its queues gives them new pollers.
 */
static void check_queue(const struct rx *rx, const struct flow *flow, int same)
{
	unsigned napi = flow_napi(flow), own = nic_queue_napi(rx->info.queue);

	if (rx_stats(rx).copied_bytes != ZRX_UNKNOWN)
		return;
	CHECK((napi == own) == same, "stream %" PRIu64 " came by napi %u; queue %u has %u",
	      flow->number, napi, rx->info.queue, own);
}

/* One is placed, the other copied, and each is whole. */
void steered_and_unsteered(void)
{
	struct listener led, other;
	struct flow flows[2];
	struct zrx_options options;
	struct zrx_stats stats;
	struct rx rx;

	listener_open(&led, AF_INET6);
	listener_open(&other, AF_INET6);
	options = options_for_port(led.port);
	rx_open(&rx, &options);
	flow_connect(&flows[0], &led, 0, BYTES);
	flow_connect(&flows[1], &other, 1, BYTES);
	listener_close(&led);
	listener_close(&other);
	rx_start(&rx, &flows[0]);
	rx_start(&rx, &flows[1]);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	check_queue(&rx, &flows[0], 1);
	check_queue(&rx, &flows[1], 0);
	stats = rx_stats(&rx);
	CHECK(stats.copied_bytes == ZRX_UNKNOWN ||
		      (stats.copied_bytes && stats.copied_bytes <= BYTES),
	      "%" PRIu64 " bytes were copied of the %u that were not led to the queue",
	      stats.copied_bytes, BYTES);
	rx_close(&rx);
}

/* The kernel lets no receiver have payload that lies in another one's area: such a socket is
 * refused. */
static void check_refused(const struct rx *wrong, const struct flow *flow, uint32_t queue)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	char words[32];
	int result = zrx_receiver_add(wrong->receiver, flow->fd, NULL, NULL);

	CHECK(result == -EXDEV, "a socket of queue %u gives %d (%s)", queue, result,
	      strerror(-result));
	zrx_receiver_error(wrong->receiver, &error);
	snprintf(words, sizeof(words), "arrive at queue %u", queue);
	CHECK(error.stage == ZRX_STAGE_SOCKET && strstr(error.message, words) && error.hint[0],
	      "it says: %s", error.message);
}

/* Refused by one receiver, steered like this; taken by the other; and neither comes to harm. */
static void refused_and_taken(uint32_t steer, int with_bytes)
{
	struct zrx_options options = rx_options();
	struct listener listener;
	struct rx wrong, owner;
	struct flow flow;

	listener_open(&listener, AF_INET6);
	options.steer = steer;
	rx_open(&wrong, &options);
	options = options_for_port(listener.port);
	rx_open(&owner, &options);
	CHECK(wrong.info.queue != owner.info.queue, "both on queue %u", owner.info.queue);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	if (with_bytes) {
		flow_go(&flow);
		flow_wait_pending(&flow);
	}
	check_refused(&wrong, &flow, owner.info.queue);
	rx_add(&owner, &flow);
	if (!with_bytes)
		flow_go(&flow);
	rx_until_ended(&owner);
	rx_check_whole(&owner);
	rx_check_uncopied(&owner);
	CHECK(!rx_stats(&wrong).streams, "a refused socket is a stream");
	rx_close(&wrong);
	rx_close(&owner);
}

/* By connection a flow can still be led elsewhere, before it has bytes. */
void queue_of_another(void)
{
	refused_and_taken(ZRX_STEER_NONE, 0);
	refused_and_taken(ZRX_STEER_CONNECTION, 1);
}

/* ---- two receivers, two queues, two threads ---- */

struct worker {
	struct rx rx;
	struct flow flows[FLOWS];
	pthread_t thread;
	pthread_barrier_t *looked; /* nobody closes before all have: it may restart every queue */
};

static void *receive_all(void *argument)
{
	struct worker *worker = argument;

	for (unsigned i = 0; i < FLOWS; i++)
		rx_start(&worker->rx, &worker->flows[i]);
	rx_until_ended(&worker->rx);
	rx_check_whole(&worker->rx);
	rx_check_uncopied(&worker->rx);
	for (unsigned i = 0; i < FLOWS; i++)
		check_queue(&worker->rx, &worker->flows[i], 1);
	pthread_barrier_wait(worker->looked);
	rx_close(&worker->rx);
	return NULL;
}

void two_receivers(void)
{
	struct zrx_options options = rx_options();
	struct worker workers[RECEIVERS];
	pthread_barrier_t looked;
	struct listener listener;

	CHECK(!pthread_barrier_init(&looked, NULL, RECEIVERS), "no barrier");
	listener_open(&listener, AF_INET6);
	for (unsigned i = 0; i < RECEIVERS; i++) {
		workers[i].looked = &looked;
		rx_open(&workers[i].rx, &options);
		for (unsigned j = 0; j < FLOWS; j++)
			flow_connect(&workers[i].flows[j], &listener, FLOWS * i + j, BYTES);
	}
	CHECK(workers[0].rx.info.queue != workers[1].rx.info.queue, "both on queue %u",
	      workers[0].rx.info.queue);
	listener_close(&listener);
	for (unsigned i = 0; i < RECEIVERS; i++)
		thread_start(&workers[i].thread, receive_all, &workers[i]);
	for (unsigned i = 0; i < RECEIVERS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&looked);
}
