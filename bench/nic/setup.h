/* SPDX-License-Identifier: MIT */
/* The NIC, made ready for as long as a measurement takes: every method receives on the same queue.
 */
#ifndef BENCH_NIC_SETUP_H
#define BENCH_NIC_SETUP_H

#include <stdint.h>

/* Connections to the local port are led to a queue of their own; prints which. Exit status. */
int setup_prepare(const char *interface, uint16_t port);

/* Put everything back. Exit status. */
int setup_restore(const char *interface, uint32_t queue);

#endif
