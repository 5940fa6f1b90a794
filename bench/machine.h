/* SPDX-License-Identifier: MIT */
/* What a run asks of the machine. All of it may be refused. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

/* Run the calling thread on this processor, where there is such a one. */
void bench_pin(int processor);

/* Go before everything else on the machine; so do those that are forked from here. */
void bench_go_first(void);

/*
 * Take nearly all of the time that others would, and share it among this process and those that are
 * forked from here as ever: there are more of them than processors. In a session of its own, as
 * time is shared out by those.
 */
void bench_go_before_others(void);

/* Each stream is a descriptor, and the receiver has one more of each for a moment. */
void bench_raise_descriptor_limit(void);

#endif
