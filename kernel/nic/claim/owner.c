/* SPDX-License-Identifier: MIT */
/* Who made a set-up, and whether that process still exists. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "nic/claim/journal.h"

static uint64_t owner_inode(const char *path)
{
	struct stat status;

	return stat(path, &status) ? 0 : status.st_ino;
}

static void owner_boot(char *boot, size_t size)
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	snprintf(boot, size, "unknown");
	if (!file)
		return;
	if (fgets(boot, (int)size, file))
		boot[strcspn(boot, "\n")] = '\0';
	fclose(file);
}

/* When a process started, in clock ticks since boot; 0 if there is none of that number. */
static uint64_t owner_process_start(uint32_t pid)
{
	char path[64], text[1024], *field;
	unsigned long long started = 0;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	/* Field 22; the name, field 2, may contain anything and ends at the last parenthesis. */
	field = strrchr(text, ')');
	if (field && field[1] == ' ' && field[2] != 'Z' && field[2] != 'X' &&
	    sscanf(field + 2,
		   "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
		   "%*d %*d %llu",
		   &started) != 1)
		return 0;
	return started;
}

void zrx_owner_self(struct zrx_owner *owner)
{
	memset(owner, 0, sizeof(*owner));
	owner->pid = (uint32_t)getpid();
	owner->started = owner_process_start(owner->pid);
	owner->pid_space = owner_inode("/proc/self/ns/pid");
	owner->locks = 1;
	owner_boot(owner->boot, sizeof(owner->boot));
}

int zrx_owner_same_boot(const struct zrx_owner *owner)
{
	char boot[sizeof(owner->boot)];

	owner_boot(boot, sizeof(boot));
	return !strcmp(boot, owner->boot);
}

/* By its number, for journals of 0.1, which nobody locks. In doubt (another pid namespace) alive.
 */
static int owner_runs(const struct zrx_owner *owner)
{
	if (owner->pid_space != owner_inode("/proc/self/ns/pid"))
		return 1;
	return owner->started && owner_process_start(owner->pid) == owner->started;
}

int zrx_journal_alive(const struct zrx_journal *journal)
{
	const struct zrx_owner *owner = &journal->owner;

	if (journal->released || !zrx_owner_same_boot(owner))
		return 0;
	if (owner->persistent)
		return 1;
	return owner->locks ? journal->locked != 0 : owner_runs(owner);
}

/* ---- the lock on a journal ---- */

/*
 * A flock belongs to the open file, so a forked child would share it: each child closes the
 * journals that it inherits. The list is the process' own; every change to it, and to the
 * descriptors in it, is made under the mutex, which fork takes.
 */
static pthread_mutex_t owner_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct zrx_journal_file *owner_files;
static pthread_once_t owner_once = PTHREAD_ONCE_INIT;
static int owner_once_result;

static void owner_fork_prepare(void)
{
	pthread_mutex_lock(&owner_mutex);
}

static void owner_fork_parent(void)
{
	pthread_mutex_unlock(&owner_mutex);
}

/* Closing lets nothing go: the parent has the same open file. */
static void owner_fork_child(void)
{
	for (struct zrx_journal_file *file = owner_files; file; file = file->next) {
		close(file->fd);
		file->fd = -1;
	}
	owner_files = NULL;
	pthread_mutex_unlock(&owner_mutex);
}

static void owner_install(void)
{
	owner_once_result =
		-pthread_atfork(owner_fork_prepare, owner_fork_parent, owner_fork_child);
}

static int owner_open(int directory, const char *name, int flags)
{
	int fd = openat(directory, name,
			flags | O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		return -errno;
	/* It can only wait for somebody who is looking whether it is locked. */
	while (flock(fd, LOCK_EX)) {
		int result = -errno;

		if (result == -EINTR)
			continue;
		unlinkat(directory, name, 0);
		close(fd);
		return result;
	}
	return fd;
}

int zrx_journal_open(struct zrx_journal_file *file)
{
	int fd;

	pthread_once(&owner_once, owner_install);
	if (owner_once_result)
		return owner_once_result;
	pthread_mutex_lock(&owner_mutex);
	fd = owner_open(file->directory, file->name, O_EXCL);
	if (fd >= 0) {
		file->fd = fd;
		file->next = owner_files;
		owner_files = file;
	}
	pthread_mutex_unlock(&owner_mutex);
	return fd < 0 ? fd : 0;
}

int zrx_journal_swap(struct zrx_journal_file *file, const char *name,
		     int (*fill)(int fd, const void *context), const void *context)
{
	int fd, result;

	pthread_mutex_lock(&owner_mutex);
	fd = owner_open(file->directory, name, O_TRUNC);
	result = fd < 0 ? fd : fill(fd, context);
	if (!result && renameat(file->directory, name, file->directory, file->name))
		result = -errno;
	if (!result) {
		close(file->fd);
		file->fd = fd;
	} else if (fd >= 0) {
		unlinkat(file->directory, name, 0);
		close(fd);
	}
	pthread_mutex_unlock(&owner_mutex);
	return result;
}

void zrx_journal_close(struct zrx_journal_file *file)
{
	pthread_mutex_lock(&owner_mutex);
	for (struct zrx_journal_file **at = &owner_files; *at; at = &(*at)->next) {
		if (*at != file)
			continue;
		*at = file->next;
		break;
	}
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	pthread_mutex_unlock(&owner_mutex);
}

int zrx_journal_is_locked(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB))
		return 1; /* in doubt, too */
	flock(fd, LOCK_UN);
	return 0;
}
