/* SPDX-License-Identifier: MIT */
/* Networks that a run lives in. Of each 0, or a negative errno. */
#ifndef BENCH_GROUP_SPACE_H
#define BENCH_GROUP_SPACE_H

/* One of its own for this process and its children: nothing but loopback, and many ports. */
int space_make(void);

/* One that is there, by its name (ip netns). */
int space_enter(const char *name);

/*
 * A TCP socket there, or a negative errno. Its congestion control is the kernel's default, whatever
 * the machine's is: one that paces packets by timers costs the sender more than all else, and has
 * the receiver send for it.
 */
int space_socket(void);

#endif
