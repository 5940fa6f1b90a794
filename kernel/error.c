/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

/* A caller built against an older header has a shorter struct: never write past its size. */
static size_t room(const struct zrx_error *error)
{
	return error->size < sizeof(*error) ? error->size : sizeof(*error);
}

int zrx_copy_out(void *to, const void *from, size_t size)
{
	uint32_t have;

	if (!to)
		return -EINVAL;
	memcpy(&have, to, sizeof(have));
	if (have <= sizeof(have))
		return -EINVAL;
	if (have < size)
		size = have;
	memcpy((char *)to + sizeof(have), (const char *)from + sizeof(have), size - sizeof(have));
	return 0;
}

int zrx_error_copy(struct zrx_error *to, const struct zrx_error *from)
{
	return zrx_copy_out(to, from, sizeof(*from));
}

int zrx_error_tell(const struct zrx_error *from, struct zrx_error *to)
{
	zrx_error_clear(to);
	if (!from || zrx_error_copy(to, from))
		return -EINVAL;
	return from->code != 0;
}

void zrx_error_clear(struct zrx_error *error)
{
	if (error && error->size > sizeof(error->size))
		memset((char *)error + sizeof(error->size), 0, room(error) - sizeof(error->size));
}

int zrx_error_set(struct zrx_error *error, int code, uint32_t stage, const char *hint,
		  const char *format, ...)
{
	struct zrx_error filled = {.size = sizeof(filled), .code = code, .stage = stage};
	va_list arguments;

	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(filled.message, sizeof(filled.message), format, arguments);
	va_end(arguments);
	if (hint)
		snprintf(filled.hint, sizeof(filled.hint), "%s", hint);
	zrx_error_copy(error, &filled);
	return code;
}

void zrx_error_kernel_text(struct zrx_error *error, const char *text)
{
	if (error && room(error) >= offsetof(struct zrx_error, hint))
		snprintf(error->kernel_text, sizeof(error->kernel_text), "%s", text);
}
