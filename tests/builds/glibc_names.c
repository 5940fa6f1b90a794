/* SPDX-License-Identifier: MIT */
/* Debian's static libraries were compiled with glibc's headers. Names of it that musl lacks:
 * libmnl's for printing messages, which zcrx never does; liburing's of ppc64le. */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

int __fprintf_chk(void *stream, int level, const char *format, ...);
int __fprintf_chkieee128(void *stream, int level, const char *format, ...);
const unsigned short **__ctype_b_loc(void);
int getrlimit64(int what, struct rlimit *limit);
int setrlimit64(int what, const struct rlimit *limit);
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);

int __fprintf_chk(void *stream, int level, const char *format, ...)
{
	(void)stream, (void)level, (void)format;
	return 0;
}

int __fprintf_chkieee128(void *stream, int level, const char *format, ...)
{
	(void)stream, (void)level, (void)format;
	return 0;
}

const unsigned short **__ctype_b_loc(void)
{
	return NULL;
}

int getrlimit64(int what, struct rlimit *limit)
{
	return getrlimit(what, limit);
}

int setrlimit64(int what, const struct rlimit *limit)
{
	return setrlimit(what, limit);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return mmap(address, size, protection, flags, fd, offset);
}
