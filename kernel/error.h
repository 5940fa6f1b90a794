/* SPDX-License-Identifier: MIT */
/* Filling a struct zrx_error. */
#ifndef ZRX_ERROR_H
#define ZRX_ERROR_H

#include "zcrx.h"

/*
 * Fill *error (nothing if NULL) and return code, so that a failing call can be written as one
 * return statement. hint may be NULL.
 */
int zrx_error_set(struct zrx_error *error, int code, uint32_t stage, const char *hint,
		  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Add the kernel's own words. */
void zrx_error_kernel_text(struct zrx_error *error, const char *text);

/* Back to "no error". */
void zrx_error_clear(struct zrx_error *error);

/* Copy into a caller-sized output. Returns 0, or -EINVAL where the size is unusable. */
int zrx_error_copy(struct zrx_error *to, const struct zrx_error *from);

/* The same, for a question: 1 if there is an error, 0 if not; -EINVAL also where from is NULL. */
int zrx_error_tell(const struct zrx_error *from, struct zrx_error *to);

/*
 * Fill a caller-sized output struct from ours: as much as the caller has room for, and its size
 * field kept. Returns 0, or -EINVAL where the caller set no size.
 */
int zrx_copy_out(void *to, const void *from, size_t size);

#endif
