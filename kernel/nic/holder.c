/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nic/holder.h"
#include "nic/claim/journal.h"
#include "uapi.h"

/* Whether the ring behind this fdinfo has a request of the zero-copy receive operation armed. */
static int holder_ring_receives(const char *fdinfo)
{
	FILE *file = fopen(fdinfo, "re");
	char line[256];
	unsigned operation;
	int found = 0;

	if (!file)
		return 0;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, " op=%u,", &operation) == 1 &&
			operation == ZRX_UAPI_OP_RECV_ZC;
	fclose(file);
	return found;
}

static int holder_process_receives(const char *pid)
{
	char path[64 + 2 * 256], target[64];
	struct dirent *entry;
	int found = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	if (!fds)
		return 0;
	while (!found && (entry = readdir(fds))) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		if (strcmp(target, "anon_inode:[io_uring]") != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, entry->d_name);
		found = holder_ring_receives(path);
	}
	closedir(fds);
	return found;
}

static void holder_describe(const char *pid, char *text, size_t size)
{
	char path[64 + 256], name[32] = "?";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	snprintf(text, size, "process %.16s (%s)", pid, name);
}

int zrx_nic_holder_find(char *text, size_t size)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	text[0] = '\0';
	if (!processes)
		return -ENOENT;
	while (found < 2 && (entry = readdir(processes))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !holder_process_receives(entry->d_name))
			continue;
		if (!found++)
			holder_describe(entry->d_name, text, size);
	}
	closedir(processes);
	if (found > 1)
		text[0] = '\0';
	return found == 1 ? 0 : found ? -ENOTUNIQ : -ENOENT;
}

/* Its process exists, in this pid namespace. */
static int holder_can_be_named(const struct zrx_journal *journal, const struct zrx_owner *self)
{
	return !journal->owner.persistent && journal->owner.pid_space == self->pid_space &&
	       zrx_journal_alive(journal);
}

int zrx_nic_holder_of_claim(int directory, uint32_t ifindex, uint32_t queue, char *text,
			    size_t size)
{
	struct zrx_journal_entry *entries;
	struct zrx_owner self;
	char pid[16];
	int count;

	text[0] = '\0';
	if (directory < 0)
		return -ENOENT;
	zrx_owner_self(&self);
	count = zrx_journal_list(directory, zrx_journal_net_space(), ifindex, &entries);
	for (int i = 0; i < count; i++) {
		const struct zrx_journal *journal = &entries[i].journal;

		if (entries[i].state || journal->queue != queue ||
		    !holder_can_be_named(journal, &self))
			continue;
		snprintf(pid, sizeof(pid), "%u", journal->owner.pid);
		if (journal->owner.pid == self.pid)
			snprintf(text, size, "this process");
		else
			holder_describe(pid, text, size);
	}
	if (count > 0)
		zrx_journal_list_free(entries, count);
	return text[0] ? 0 : -ENOENT;
}
