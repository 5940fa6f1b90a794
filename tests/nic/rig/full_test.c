/* SPDX-License-Identifier: MIT */
/* The NIC's table of flow rules is full: told as such, whatever the driver calls it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#define MOST 600 /* more than either model has */

struct pair {
	int near;
	int far;
	uint64_t stream;
};

static int listen_loopback(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(!bind(listener, (void *)address, sizeof(*address)) && !listen(listener, 16) &&
		      !getsockname(listener, (void *)address, &length),
	      "loopback: %s", strerror(errno));
	return listener;
}

/* Another connection of this machine, and its rule. */
static int add_pair(struct zrx_receiver *receiver, int listener, const struct sockaddr_in *address,
		    struct pair *pair)
{
	pair->near = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(pair->near, (const void *)address, sizeof(*address)), "connect");
	pair->far = accept(listener, NULL, NULL);
	CHECK(pair->far >= 0, "accept: %s", strerror(errno));
	return zrx_receiver_add(receiver, pair->far, NULL, &pair->stream);
}

static void end_pair(struct zrx_receiver *receiver, const struct pair *pair)
{
	struct zrx_event event = {0};
	int count = 0;

	CHECK(!zrx_receiver_remove(receiver, pair->stream), "remove");
	for (int tries = 0; !count && tries < 100; tries++)
		count = zrx_receiver_receive(receiver, &event, 1, 100000000);
	CHECK(count == 1 && event.kind == ZRX_EVENT_END && event.stream == pair->stream,
	      "%d events", count);
}

void test_full_table(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_CONNECTION);
	struct rlimit limit = {4096, 4096};
	struct zrx_error error = ZRX_ERROR_INIT;
	static struct pair pairs[MOST];
	struct sockaddr_in address;
	struct zrx_receiver *receiver;
	uint32_t queue;
	int listener, count = 0, result = 0;

	CHECK(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	/* More streams than the area has shares for: each is to have its rule all the same. */
	options.flags |= ZRX_SMALL_AREA;
	receiver = rig_open(&options, &queue);
	listener = listen_loopback(&address);
	while (!result && count < MOST)
		result = add_pair(receiver, listener, &address, &pairs[count++]);
	zrx_receiver_error(receiver, &error);
	CHECK(result == -ENOSPC && error.stage == ZRX_STAGE_NIC, "%d after %d: %s", result, count,
	      error.message);
	CHECK_HAS(error.message, "table of flow rules is full");
	CHECK_HAS(error.hint, "ZRX_STEER_PORT");
	end_pair(receiver, &pairs[0]);
	result = zrx_receiver_add(receiver, pairs[count - 1].far, NULL, &pairs[count - 1].stream);
	CHECK(!result, "a place is free again: %d", result);
	CHECK(!zrx_receiver_close(receiver), "close");
	while (count--) {
		close(pairs[count].near);
		close(pairs[count].far);
	}
	close(listener);
	rig_check_as_before(before, "a full table");
}
