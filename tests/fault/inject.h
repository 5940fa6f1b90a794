/* SPDX-License-Identifier: MIT */
/* Every call of kernel/sys.h that can fail, counted; one of them fails. */
#ifndef FAULT_INJECT_H
#define FAULT_INJECT_H

#include <stdint.h>

/* How a wait fails: the other calls have one way each. */
extern const int inject_wait_errors[];
extern const unsigned inject_wait_error_count;

/* The `at`th call from now fails (0: none), with this errno if it is a wait. */
void inject_begin(uint32_t at, int wait_error);
/* From now on no socket can be watched by epoll (1), or can again (0). */
void inject_refuse_watches(int refuse);
/* Name of the call that failed; NULL if it was never reached. */
const char *inject_failed(void);
/* Calls since inject_begin that could have failed. */
uint32_t inject_calls(void);
/* Allocations, rings and descriptors that the library took and did not give back. */
int64_t inject_held(void);
/* Bytes that it mapped and did not unmap. */
int64_t inject_mapped(void);

#endif
