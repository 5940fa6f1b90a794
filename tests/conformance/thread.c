/* SPDX-License-Identifier: MIT */
#include "thread.h"
#include "verdict.h"

#include <string.h>

#define STACK_BYTES (256u << 10)

void thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	int result;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	result = pthread_create(thread, &attributes, run, argument);
	CHECK(!result, "pthread_create: %s", strerror(result));
	pthread_attr_destroy(&attributes);
}
