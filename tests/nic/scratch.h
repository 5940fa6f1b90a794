/* SPDX-License-Identifier: MIT */
/* A journal directory of the test's own. */
#ifndef ZRX_TESTS_NIC_SCRATCH_H
#define ZRX_TESTS_NIC_SCRATCH_H

#include <stddef.h>

int scratch_open(void);
const char *scratch_name(void);
void scratch_path(char *path, size_t size, const char *file);
int scratch_journals(void); /* how many are there */
void scratch_close(int directory);

#endif
