/* SPDX-License-Identifier: MIT */
/* An instruction that does nothing, and by which the plugin knows that it is to tell its counts. */
#ifndef BENCH_PLUGIN_MARKER_H
#define BENCH_PLUGIN_MARKER_H

/* nopl 0x7a726362(%rax) */
#define MARKER_BYTES                                     \
	{                                                \
		0x0f, 0x1f, 0x80, 0x62, 0x63, 0x72, 0x7a \
	}

#if defined(__x86_64__)
#define MARKER() __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x62, 0x63, 0x72, 0x7a" ::: "memory")
#else
#define MARKER() ((void)0)
#endif

#endif
