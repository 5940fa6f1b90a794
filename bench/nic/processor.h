/* SPDX-License-Identifier: MIT */
/* What a processor was busy with, as /proc/stat tells. */
#ifndef BENCH_NIC_PROCESSOR_H
#define BENCH_NIC_PROCESSOR_H

struct processor_times { /* seconds */
	double user;
	double system;
	double softirq; /* and interrupts */
};

/* Since the machine started. 0, or a negative errno: -ENOENT if there is no such processor. */
int processor_read(int processor, struct processor_times *times);

/* Run the calling thread on it. 0, or a negative errno. */
int processor_pin(int processor);

#endif
