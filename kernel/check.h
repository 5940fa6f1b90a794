/* SPDX-License-Identifier: MIT */
/* Filling a list of checks, one after another. */
#ifndef ZRX_KERNEL_CHECK_H
#define ZRX_KERNEL_CHECK_H

#include <stdarg.h>

#include "zcrx.h"

struct zrx_check_list {
	struct zrx_check *checks; /* with room for what will be added */
	uint32_t *count;
};

/* Add a check without a hint; what is, in words. Returns it, for zrx_check_hint. */
struct zrx_check *zrx_check_add(const struct zrx_check_list *list, uint32_t state, const char *name,
				const char *format, ...) __attribute__((format(printf, 4, 5)));

struct zrx_check *zrx_check_add_words(const struct zrx_check_list *list, uint32_t state,
				      const char *name, const char *format, va_list arguments);

/* What mends it. */
void zrx_check_hint(struct zrx_check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The one that was added last. */
static inline struct zrx_check *zrx_check_last(const struct zrx_check_list *list)
{
	return &list->checks[*list->count - 1];
}

#endif /* ZRX_KERNEL_CHECK_H */
