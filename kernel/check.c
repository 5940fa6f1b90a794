/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "error.h"

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

int zrx_check_copy_out(void *to, const void *from, size_t size)
{
	const size_t inputs = offsetof(struct zrx_check_head, check_count);
	struct zrx_check_head wanted, found;
	uint32_t count;

	if (!to)
		return -EINVAL;
	memcpy(&wanted.size, to, sizeof(wanted.size));
	if (wanted.size < inputs + sizeof(wanted.check_count))
		return -EINVAL;
	memcpy(&wanted, to, inputs);
	memcpy(&found, from, inputs + sizeof(found.check_count));
	count = found.check_count < wanted.check_capacity ? found.check_count
							  : wanted.check_capacity;
	if (wanted.checks)
		memcpy(wanted.checks, found.checks, count * sizeof(*wanted.checks));
	memcpy((char *)to + inputs, (const char *)from + inputs,
	       (wanted.size < size ? wanted.size : size) - inputs);
	return 0;
}
