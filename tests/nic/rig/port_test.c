/* SPDX-License-Identifier: MIT */
/*
 * One port, several receivers: connections spread over their queues by an RSS context, each taken
 * by the receiver that it arrives at; what happens to those in progress when one more joins; one
 * that is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#define CONNECTIONS 24
#define FIRST_PORT  10000
#define PATTERN     65521 /* a prime: no lost chunk looks as if nothing were missing */
#define PIECE       16384
#define BYTES       (16 * PIECE) /* of each connection */
#define SECONDS     120          /* only a bound */

static unsigned char pattern[PATTERN + 65536];

/* What a connection carries at an offset: 64 KiB of it can be compared at a time. */
static const unsigned char *payload(uint64_t connection, uint64_t offset)
{
	return pattern + (connection * 977 + offset) % PATTERN;
}

/* ---- the other end ---- */

/* The hash is linear: only ports that differ in many bits spread surely. */
static uint16_t peer_port(uint16_t first_port, uint32_t connection)
{
	return (uint16_t)(first_port +
			  (connection * connection * 1237 + connection * 7919) % 50000);
}

static uint64_t connection_of(uint16_t first_port, uint16_t port)
{
	uint64_t connection = 0;

	while (connection < CONNECTIONS && peer_port(first_port, (uint32_t)connection) != port)
		connection++;
	CHECK(connection < CONNECTIONS, "a connection from port %u", port);
	return connection;
}

static int peer_connect(uint16_t port)
{
	struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_port = htons(port)},
			    there = {.sin6_family = AF_INET6, .sin6_port = htons(RIG_PORT)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	inet_pton(AF_INET6, getenv("ZRX_RIG_LOCAL"), &there.sin6_addr);
	return bind(fd, (void *)&here, sizeof(here)) || connect(fd, (void *)&there, sizeof(there))
		       ? -1
		       : fd;
}

/* A connection that the other side has given up is passed over. */
static int peer_send(const int *fds, uint64_t from, uint64_t to)
{
	for (uint64_t sent = from; sent < to; sent += PIECE)
		for (uint64_t i = 0; i < CONNECTIONS; i++)
			for (size_t done = 0; done < PIECE;) {
				ssize_t count =
					write(fds[i], payload(i, sent + done), PIECE - done);

				if (count < 0 && (errno == EPIPE || errno == ECONNRESET))
					break;
				if (count <= 0)
					return -1;
				done += (size_t)count;
			}
	return 0;
}

/* Connects all, sends half; the rest after a byte from the pipe. */
static pid_t start_peer(uint16_t first_port, int go)
{
	int fds[CONNECTIONS];
	pid_t child = fork();
	char byte;

	if (child)
		return child;
	signal(SIGPIPE, SIG_IGN);
	if (rig_go_to_peer())
		_exit(1);
	for (uint16_t i = 0; i < CONNECTIONS; i++) {
		fds[i] = peer_connect(peer_port(first_port, i));
		if (fds[i] < 0)
			_exit(2);
	}
	if (peer_send(fds, 0, BYTES / 2) || read(go, &byte, 1) != 1 ||
	    peer_send(fds, BYTES / 2, BYTES))
		_exit(3);
	_exit(0);
}

/* ---- receivers, each with a thread ---- */

struct side {
	struct zrx_receiver *receiver;
	pthread_t thread;
	uint32_t queue;
	uint32_t napi;
	int fds[CONNECTIONS];
	uint64_t tags[CONNECTIONS]; /* which connection */
	uint32_t count;
	uint64_t received[CONNECTIONS]; /* by connection */
	uint32_t ended;
	uint32_t refused; /* ended by -EFAULT */
	uint32_t wrong;   /* pieces that differ, or any other error */
};

static void side_open(struct side *side)
{
	struct zrx_nic_report report = {.size = sizeof(report)};
	struct zrx_options options = rig_options(ZRX_STEER_PORT);

	memset(side, 0, sizeof(*side));
	side->receiver = rig_open(&options, &side->queue);
	CHECK(!zrx_nic_inspect(rig_interface, side->queue, &report, NULL), "inspect");
	side->napi = report.napi_id;
}

static void side_take(struct side *side, const struct zrx_event *event)
{
	uint64_t *received = &side->received[event->tag];

	if (event->kind == ZRX_EVENT_DATA) {
		side->wrong += memcmp(event->buffer.data, payload(event->tag, *received),
				      event->buffer.length) != 0;
		*received += event->buffer.length;
		return;
	}
	side->ended++;
	if (event->kind == ZRX_EVENT_ERROR)
		*(event->error == -EFAULT ? &side->refused : &side->wrong) += 1;
	for (uint32_t i = 0; i < side->count; i++)
		if (side->tags[i] == event->tag)
			close(side->fds[i]);
}

/* Until each connection has ended. */
static void *side_run(void *argument)
{
	struct side *side = argument;
	struct zrx_event events[64];
	uint64_t stream;
	int count = 0;

	for (uint32_t i = 0; i < side->count; i++) {
		struct zrx_stream_options options = {.size = sizeof(options), .tag = side->tags[i]};

		side->wrong +=
			zrx_receiver_add(side->receiver, side->fds[i], &options, &stream) != 0;
	}
	for (int quiet = 0; side->ended < side->count && count >= 0 && quiet < SECONDS;) {
		count = zrx_receiver_receive(side->receiver, events, 64, 1000000000);
		quiet = count ? 0 : quiet + 1;
		for (int i = 0; i < count; i++)
			side_take(side, &events[i]);
		if (count > 0)
			zrx_event_release(events, (uint32_t)count);
	}
	CHECK(!zrx_receiver_close(side->receiver), "close");
	return NULL;
}

static int listen_here(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(RIG_PORT)};
	int listener = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CHECK(!bind(listener, (void *)&address, sizeof(address)) && !listen(listener, CONNECTIONS),
	      "listen: %s", strerror(errno));
	return listener;
}

/* Each connection goes to the side at whose queue it arrives. */
static void accept_all(int listener, uint16_t first_port, struct side *sides, int side_count)
{
	for (int taken = 0; taken < CONNECTIONS; taken++) {
		struct sockaddr_in6 peer = {0};
		struct pollfd ready = {.fd = listener, .events = POLLIN};
		socklen_t length = sizeof(peer);
		uint32_t napi = 0, found = 0;
		int fd = poll(&ready, 1, SECONDS * 1000) == 1
				 ? accept(listener, (void *)&peer, &length)
				 : -1;

		CHECK(fd >= 0, "connection %d does not come", taken);
		length = sizeof(napi);
		getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &length);
		for (int i = 0; i < side_count; i++) {
			struct side *side = &sides[i];

			if (side->napi != napi)
				continue;
			side->tags[side->count] = connection_of(first_port, ntohs(peer.sin6_port));
			side->fds[side->count++] = fd;
			found = 1;
		}
		CHECK(found, "a connection came by napi %u, which is nobody's", napi);
	}
}

static uint64_t side_bytes(const struct side *side)
{
	uint64_t bytes = 0;

	for (int i = 0; i < CONNECTIONS; i++)
		bytes += side->received[i];
	return bytes;
}

/* ---- tests ---- */

static void test_two_receivers(const struct snapshot *before)
{
	int go[2], listener, status = 1;
	struct side sides[2];
	pid_t peer;

	CHECK(!pipe(go), "pipe");
	side_open(&sides[0]);
	side_open(&sides[1]);
	listener = listen_here();
	peer = start_peer(FIRST_PORT, go[0]);
	accept_all(listener, FIRST_PORT, sides, 2);
	CHECK(write(go[1], "x", 1) == 1, "go");
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&sides[i].thread, NULL, side_run, &sides[i]), "thread");
	for (int i = 0; i < 2; i++) {
		pthread_join(sides[i].thread, NULL);
		CHECK(sides[i].count, "receiver %d has got no connection", i);
		CHECK(!sides[i].wrong && !sides[i].refused, "%u wrong, %u refused", sides[i].wrong,
		      sides[i].refused);
		CHECK(side_bytes(&sides[i]) == (uint64_t)sides[i].count * BYTES, "%llu bytes",
		      (unsigned long long)side_bytes(&sides[i]));
	}
	CHECK(waitpid(peer, &status, 0) == peer && !status, "peer: %x", status);
	printf("two receivers, one port: %u and %u connections\n", sides[0].count, sides[1].count);
	close(listener);
	close(go[0]);
	close(go[1]);
	rig_check_as_before(before, "a shared port");
}

/*
 * A receiver that joins takes over part of the flows, those in progress too: their payload is now
 * where only the other can read it, and they end with -EFAULT. No byte is lost or wrong before
 * that.
 */
static void test_join_in_progress(const struct snapshot *before)
{
	int go[2], listener, status = 1;
	struct side first, second;
	uint32_t whole = 0;
	pid_t peer;

	CHECK(!pipe(go), "pipe");
	side_open(&first);
	listener = listen_here();
	peer = start_peer(FIRST_PORT + 1, go[0]);
	accept_all(listener, FIRST_PORT + 1, &first, 1);
	CHECK(!pthread_create(&first.thread, NULL, side_run, &first), "thread");
	side_open(&second);
	CHECK(write(go[1], "x", 1) == 1, "go");
	pthread_join(first.thread, NULL);
	CHECK(!first.wrong && first.ended == CONNECTIONS, "%u wrong, %u ended", first.wrong,
	      first.ended);
	CHECK(first.refused && first.refused < CONNECTIONS, "%u of %u were moved", first.refused,
	      CONNECTIONS);
	for (int i = 0; i < CONNECTIONS; i++)
		whole += first.received[i] == BYTES;
	CHECK(whole == CONNECTIONS - first.refused, "%u came whole, %u were moved", whole,
	      first.refused);
	CHECK(waitpid(peer, &status, 0) == peer && !status, "peer: %x", status);
	printf("a receiver joined: %u of %u connections moved, and ended with EFAULT\n",
	       first.refused, CONNECTIONS);
	CHECK(!zrx_receiver_close(second.receiver), "close");
	close(listener);
	close(go[0]);
	close(go[1]);
	rig_check_as_before(before, "a shared port that grew");
}

static void test_one_killed(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct snapshot now;
	uint32_t queue, other;
	struct zrx_receiver *receiver = rig_open(&options, &queue);
	pid_t child = fork();

	if (!child) {
		rig_open(&options, &other);
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
	rig_look(&now);
	CHECK(now.contexts == before->contexts + 1, "%u contexts", now.contexts);
	CHECK(zrx_nic_restore(NULL, &error) >= 0, "%s", error.message);
	rig_look(&now);
	CHECK(now.contexts == before->contexts, "%u contexts", now.contexts);
	CHECK(now.rules.count == before->rules.count + 2, "%u rules", now.rules.count);
	CHECK(!zrx_receiver_close(receiver), "close");
	rig_check_as_before(before, "one of two was killed");
}

/* A driver without RSS contexts: the second is told, the first not disturbed. */
static void test_no_contexts(const struct snapshot *before)
{
	struct zrx_options options = rig_options(ZRX_STEER_PORT);
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver, *second = NULL;
	struct snapshot alone, now;
	uint32_t queue;

	receiver = rig_open(&options, &queue);
	rig_look(&alone);
	CHECK(zrx_receiver_open(&second, &options, &error) == -EOPNOTSUPP, "%s", error.message);
	CHECK_HAS(error.message, "RSS context");
	CHECK_HAS(error.hint, "ZRX_STEER_CONNECTION");
	rig_look(&now);
	CHECK(now.rules.count == alone.rules.count, "%u rules", now.rules.count);
	CHECK(!zrx_receiver_close(receiver), "close");
	rig_check_as_before(before, "a port that cannot be shared");
}

void test_ports(const struct snapshot *before)
{
	for (int i = 0; i < (int)sizeof(pattern); i++)
		pattern[i] = (unsigned char)((uint32_t)(i % PATTERN) * 2654435761u >> 24);
	if (!strcmp(getenv("ZRX_RIG_DRIVER"), "gve")) {
		test_no_contexts(before);
		return;
	}
	test_two_receivers(before);
	test_join_in_progress(before);
	test_one_killed(before);
}
