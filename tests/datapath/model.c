/* SPDX-License-Identifier: MIT */
#include "model.h"
#include "nic.h"
#include "verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ETHERTYPE   0x88B5
#define FRAME_BYTES 4096
/* The NIC loses frames while its driver restarts it: ask until an answer comes. */
#define TRIES          60
#define ANSWER_SECONDS 1
#define LOCAL_PORT     1

static int open_raw(struct sockaddr_ll *address)
{
	struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	socklen_t length = sizeof(*address);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));

	*address = (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex(nic_interface()),
	};
	CHECK(fd >= 0 && !bind(fd, (void *)address, length) &&
		      !getsockname(fd, (void *)address, &length) &&
		      !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
	      "packet socket: %s", strerror(errno));
	return fd;
}

/* Send the frame until it is answered; the answer's text replaces it. */
static void exchange(int fd, char *frame, size_t length)
{
	char answer[FRAME_BYTES];

	for (int i = 0; i < TRIES; i++) {
		ssize_t count;

		if (send(fd, frame, length, 0) < 0)
			sleep(ANSWER_SECONDS); /* the interface is down just now */
		count = recv(fd, answer, sizeof(answer) - 1, 0);
		if (count <= ETH_HLEN)
			continue;
		answer[count] = '\0';
		memcpy(frame, answer + ETH_HLEN, (size_t)count - ETH_HLEN + 1);
		return;
	}
	fail("the models do not answer");
}

/* A request with a number of its own: one that is repeated is not done twice. */
static void ask(char *frame, const char *request)
{
	static unsigned number;
	struct sockaddr_ll address;
	int fd = open_raw(&address), length;

	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, address.sll_addr, ETH_ALEN);
	memcpy(frame + ETH_ALEN, address.sll_addr, ETH_ALEN);
	frame[2 * ETH_ALEN] = (char)(ETHERTYPE >> 8);
	frame[2 * ETH_ALEN + 1] = (char)ETHERTYPE;
	length = snprintf(frame + ETH_HLEN, FRAME_BYTES - ETH_HLEN, "{\"id\": \"%d-%u\", %s}",
			  getpid(), number++, request);
	length += ETH_HLEN;
	exchange(fd, frame, (size_t)(length < ETH_ZLEN ? ETH_ZLEN : length));
	close(fd);
	CHECK(strstr(frame, "\"ok\": true"), "%s: %s", request, frame);
}

void model_ask(const char *format, ...)
{
	char request[512], frame[FRAME_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(request, sizeof(request), format, arguments);
	va_end(arguments);
	ask(frame, request);
}

/* ---- counters: {"cable": {...}, "ports": [{...}, {...}], "faults": [{...}, {...}], ...} ---- */

/* The number after the name in the object that begins at or after `at`. */
static uint64_t number_in_object(const char *at, const char *name)
{
	const char *begin = strchr(at, '{'), *end = begin ? strchr(begin, '}') : NULL, *found;
	char quoted[64];

	CHECK(end, "the models' counters are cut off: %s", at);
	snprintf(quoted, sizeof(quoted), "\"%s\": ", name);
	found = strstr(begin, quoted);
	return found && found < end ? strtoull(found + strlen(quoted), NULL, 10) : 0;
}

static uint64_t counter(const char *group, int port, const char *name)
{
	char frame[FRAME_BYTES];
	const char *at;

	ask(frame, "\"do\": \"counters\"");
	at = strstr(frame, group);
	CHECK(at, "no %s in %s", group, frame);
	for (int i = 0; i < port; i++)
		at = strchr(at, '}') + 1;
	return number_in_object(at, name);
}

uint64_t model_cable_counter(const char *name)
{
	return counter("\"cable\"", 0, name);
}

uint64_t model_port_counter(const char *name)
{
	return counter("\"ports\"", LOCAL_PORT, name);
}

uint64_t model_faults_taken(const char *name)
{
	return counter("\"faults\"", LOCAL_PORT, name);
}
