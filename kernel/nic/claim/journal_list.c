/* SPDX-License-Identifier: MIT */
/* Finding journals, and telling whose owner is still alive. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "nic/claim/journal.h"

#define JOURNAL_FILE_MAX \
	(16u << 20) /* hundreds of thousands of rules; anything larger is not ours */

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static uint64_t journal_inode(const char *path)
{
	struct stat status;

	return stat(path, &status) ? 0 : status.st_ino;
}

uint64_t zrx_journal_net_space(void)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	/* Not its inode, which is soon another's. Any kernel with queues to bind has it. */
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length))
		cookie = 0;
	close(fd);
	return cookie;
}

static void journal_boot(char *boot, size_t size)
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
static uint64_t journal_process_start(uint32_t pid)
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
	owner->started = journal_process_start(owner->pid);
	owner->pid_space = journal_inode("/proc/self/ns/pid");
	journal_boot(owner->boot, sizeof(owner->boot));
}

int zrx_owner_same_boot(const struct zrx_owner *owner)
{
	char boot[sizeof(owner->boot)];

	journal_boot(boot, sizeof(boot));
	return !strcmp(boot, owner->boot);
}

int zrx_owner_alive(const struct zrx_owner *owner)
{
	if (!zrx_owner_same_boot(owner))
		return 0;
	if (owner->persistent || owner->pid_space != journal_inode("/proc/self/ns/pid"))
		return 1;
	return owner->started && journal_process_start(owner->pid) == owner->started;
}

int zrx_journal_load(int directory, const char *name, struct zrx_journal *journal)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), result = -EUCLEAN;
	struct stat status;
	char *text = NULL;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status)) {
		result = -errno;
	} else if (S_ISREG(status.st_mode) && status.st_size <= JOURNAL_FILE_MAX) {
		size_t size = (size_t)status.st_size;

		text = malloc(size + 1);
		if (!text)
			result = -ENOMEM;
		else if (pread(fd, text, size, 0) != (ssize_t)size)
			result = -EIO;
		else
			result = zrx_journal_parse(text, size, journal);
	}
	free(text);
	close(fd);
	return result;
}

static int journal_order(const void *a, const void *b)
{
	const struct zrx_journal_entry *first = a, *second = b;

	return (first->journal.created > second->journal.created) -
	       (first->journal.created < second->journal.created);
}

/* "NETSPACE-IFINDEX-CREATED.journal": names tell which NIC even where the content is damaged. */
static int journal_name_is(const char *name, uint64_t net_space, uint32_t ifindex,
			   struct zrx_journal *journal)
{
	unsigned long long space, created;
	unsigned index;
	int end = 0;

	if (sscanf(name, "%llu-%u-%llu.journal%n", &space, &index, &created, &end) != 3 || !end ||
	    name[end] || space != net_space || (ifindex && index != ifindex))
		return 0;
	journal->net_space = space;
	journal->ifindex = index;
	journal->created = created;
	return 1;
}

int zrx_journal_list(int directory, uint64_t net_space, uint32_t ifindex,
		     struct zrx_journal_entry **entries)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0, result = 0;
	struct zrx_journal named = {0};
	DIR *files = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *file;

	*entries = NULL;
	if (!files) {
		result = -errno;
		if (fd >= 0)
			close(fd);
		return result;
	}
	while (!result && (file = readdir(files))) {
		struct zrx_journal_entry *grown, *entry;

		if (!journal_name_is(file->d_name, net_space, ifindex, &named))
			continue;
		grown = realloc(*entries, (size_t)(count + 1) * sizeof(**entries));
		if (!grown) {
			result = -ENOMEM;
			break;
		}
		*entries = grown;
		entry = &grown[count++];
		memset(entry, 0, sizeof(*entry));
		snprintf(entry->name, sizeof(entry->name), "%.95s", file->d_name);
		entry->state = zrx_journal_load(directory, entry->name, &entry->journal);
		entry->journal.ifindex = named.ifindex;
		entry->journal.created = named.created;
	}
	closedir(files);
	if (result) {
		zrx_journal_list_free(*entries, count);
		*entries = NULL;
		return result;
	}
	if (count)
		qsort(*entries, (size_t)count, sizeof(**entries), journal_order);
	return count;
}

void zrx_journal_list_free(struct zrx_journal_entry *entries, int count)
{
	for (int i = 0; i < count; i++)
		zrx_journal_free(&entries[i].journal);
	free(entries);
}
