/* SPDX-License-Identifier: MIT */
/*
 * Other threads, that release. Replayable: each is a coroutine that runs when the seed says so, and
 * can lose the processor at each atomic operation of the core. Free-running: real threads.
 */
#ifndef SIM_OTHERS_H
#define SIM_OTHERS_H

#include <stdint.h>

void others_begin(void);
/* Hand some views to another thread to release. 0: there is none to release, or none free to do it.
 */
int others_release(uint32_t count);
/* Let another thread hand a socket to a group. 0: none is free to do it. */
int others_add(void);
/* Let another thread that has begun go on. 0: there is none. */
int others_step(void);
/* Whether one of them has the processor that this call is made on. */
int others_running(void);
/* Until all are done. */
void others_finish(void);

#endif
