/* SPDX-License-Identifier: MIT */
/* The requests of tests/conformance/PROTOCOL.md for groups. */
#ifndef GROUP_H
#define GROUP_H

#include <stdio.h>

int group_is_open(void);
void group_open(FILE *out, int channel, char *words);
void group_add(FILE *out, int channel, char *words);
void group_listen(FILE *out, int channel, char *words);
void group_stats(FILE *out, int channel, char *words);
void group_receive(FILE *out, int channel, char *words);
void group_leave(FILE *out, int channel, char *words);
void group_close(FILE *out, int channel, char *words);

#endif
