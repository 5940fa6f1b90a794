/* SPDX-License-Identifier: MIT */
/*
 * A kernel of a few lines in place of io_uring (by the linker's --wrap): one zero-copy receive, for
 * which there are always bytes. It takes chunks from the refill ring and delivers each again,
 * whole, so that what a program on the core executes beside it is the core's.
 */
#ifndef BENCH_SCRIPTED_KERNEL_H
#define BENCH_SCRIPTED_KERNEL_H

#include <stdint.h>

/* How many completions one call makes at most: as many as engine multishot was seen to get of a
 * fast stream, whose hot set is that large. */
#define SCRIPTED_BATCH 64u

/* Nothing may be delivered that was not released: chunks that are the program's. */
uint64_t scripted_kernel_out(void);

#endif
