/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int verdict_fd = STDERR_FILENO;

void verdict_to(int fd)
{
	verdict_fd = fd;
}

void stop(int status, const char *format, ...)
{
	char reason[1024];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	if (length > (int)sizeof(reason) - 1)
		length = sizeof(reason) - 1;
	if (write(verdict_fd, reason, (size_t)length) < 0)
		_exit(2);
	_exit(status);
}
