/* SPDX-License-Identifier: MIT */
/* Threads with small stacks: a stack that the C library keeps must not look like a forgotten area.
 */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

void thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
