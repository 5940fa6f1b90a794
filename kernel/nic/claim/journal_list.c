/* SPDX-License-Identifier: MIT */
/* Finding and loading journals. */
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

/* Reads and judges the file behind fd; -ESTALE if its owner has put another in its place since. */
static int journal_read(int directory, const char *name, int fd, struct zrx_journal *journal)
{
	struct stat status, named;
	char *text = NULL;
	int result = -EUCLEAN;

	if (fstat(fd, &status))
		return -errno;
	if (S_ISREG(status.st_mode) && status.st_size <= JOURNAL_FILE_MAX) {
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
	journal->locked = (uint32_t)zrx_journal_is_locked(fd);
	if (!journal->locked && !fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) &&
	    named.st_ino != status.st_ino) {
		zrx_journal_free(journal);
		return -ESTALE;
	}
	return result;
}

int zrx_journal_load(int directory, const char *name, struct zrx_journal *journal)
{
	int fd, result;

	do {
		fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		result = journal_read(directory, name, fd, journal);
		close(fd);
	} while (result == -ESTALE);
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
