/* SPDX-License-Identifier: MIT */
/* Filling a list of checks, one after another. */
#ifndef ZRX_KERNEL_CHECK_H
#define ZRX_KERNEL_CHECK_H

#include <stdarg.h>

#include "zcrx.h"

/* How zrx_capabilities, zrx_nic_report and zrx_nic_proof begin. */
struct zrx_check_head {
	uint32_t size;
	uint32_t check_capacity;
	struct zrx_check *checks;
	uint32_t check_count;
};

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

/*
 * Fill a caller-sized output struct that begins as struct zrx_check_head from ours: as much as the
 * caller has room for, of the checks too; its inputs stay. Returns 0, or -EINVAL where the caller
 * set no size.
 */
int zrx_check_copy_out(void *to, const void *from, size_t size);

/* The one that was added last. */
static inline struct zrx_check *zrx_check_last(const struct zrx_check_list *list)
{
	return &list->checks[*list->count - 1];
}

#endif /* ZRX_KERNEL_CHECK_H */
