/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place.h"

static int place_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

uint32_t zrx_processors_count(const struct zrx_processors *set)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < ZRX_PLACE_PROCESSORS / 64; i++)
		count += (uint32_t)__builtin_popcountll(set->bits[i]);
	return count;
}

struct zrx_processors zrx_processors_without(const struct zrx_processors *set,
					     const struct zrx_processors *less)
{
	struct zrx_processors left;

	for (uint32_t i = 0; i < ZRX_PLACE_PROCESSORS / 64; i++)
		left.bits[i] = set->bits[i] & ~less->bits[i];
	return left;
}

struct zrx_processors zrx_processors_common(const struct zrx_processors *a,
					    const struct zrx_processors *b)
{
	struct zrx_processors both;

	for (uint32_t i = 0; i < ZRX_PLACE_PROCESSORS / 64; i++)
		both.bits[i] = a->bits[i] & b->bits[i];
	return both;
}

uint32_t zrx_processors_parse(const char *list, struct zrx_processors *set)
{
	memset(set, 0, sizeof(*set));
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < ZRX_PLACE_PROCESSORS; first++)
			zrx_processors_add(set, (uint32_t)first);
		list = *end == ',' ? end + 1 : end;
	}
	return zrx_processors_count(set);
}

void zrx_place_allowed(struct zrx_processors *set)
{
	cpu_set_t allowed;

	memset(set, 0, sizeof(*set));
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	for (uint32_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &allowed))
			zrx_processors_add(set, i);
}

uint32_t zrx_place_node(int32_t node, struct zrx_processors *set)
{
	char path[64], text[1024];

	memset(set, 0, sizeof(*set));
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
	return node >= 0 && place_read(path, text, sizeof(text)) ? zrx_processors_parse(text, set)
								 : 0;
}

int32_t zrx_place_interface(const char *interface)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/device/numa_node", interface);
	return !strchr(interface, '/') && place_read(path, text, sizeof(text)) ? atoi(text) : -1;
}

int32_t zrx_place_interrupt(uint32_t irq)
{
	static const char *const files[] = {"effective_affinity_list", "smp_affinity_list"};
	char path[64], text[1024];

	for (size_t i = 0; irq && i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/proc/irq/%u/%s", irq, files[i]);
		if (place_read(path, text, sizeof(text)) && text[0] >= '0' && text[0] <= '9')
			return atoi(text);
	}
	return -1;
}
