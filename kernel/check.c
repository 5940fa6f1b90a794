/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

struct zrx_check *zrx_check_add_words(const struct zrx_check_list *list, uint32_t state,
				      const char *name, const char *format, va_list arguments)
{
	struct zrx_check *check = &list->checks[(*list->count)++];

	memset(check, 0, sizeof(*check));
	check->state = state;
	snprintf(check->name, sizeof(check->name), "%s", name);
	vsnprintf(check->detail, sizeof(check->detail), format, arguments);
	return check;
}

struct zrx_check *zrx_check_add(const struct zrx_check_list *list, uint32_t state, const char *name,
				const char *format, ...)
{
	struct zrx_check *check;
	va_list arguments;

	va_start(arguments, format);
	check = zrx_check_add_words(list, state, name, format, arguments);
	va_end(arguments);
	return check;
}

void zrx_check_hint(struct zrx_check *check, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(check->hint, sizeof(check->hint), format, arguments);
	va_end(arguments);
}
