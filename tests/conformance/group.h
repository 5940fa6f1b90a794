/* SPDX-License-Identifier: MIT */
/* A group of receivers, each on a channel of its own: the key `group`. */
#ifndef GROUP_H
#define GROUP_H

#include "steps.h"

/* The whole of it, from open to close. */
void group_run(struct run *run);

#endif
