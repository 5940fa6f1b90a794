/* SPDX-License-Identifier: MIT */
/* The requests of tests/conformance/PROTOCOL.md, done by libzcrx. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdio.h>

/* Carry out a request that came on this channel, a line without its newline, which is written into;
 * its answer goes to `out`. */
void command_run(FILE *out, int channel, char *request);

/* Free what is allocated here. */
void commands_end(void);

#endif
