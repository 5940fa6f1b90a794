/* SPDX-License-Identifier: MIT */
/* Writing a journal: create, append, sync. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "nic/claim/journal.h"

#define JOURNAL_LOCK_TRIES   3000
#define JOURNAL_LOCK_WAIT_MS 10
#define JOURNAL_HEAD_BYTES   (1024 + 12 * (size_t)ZRX_RSS_ENTRIES)
#define JOURNAL_GONE_LIMIT   512 /* rules that are over: about 50 KiB */

/* A growing text; failed once, it stays so. */
struct journal_text {
	char *bytes;
	size_t size;
	size_t length;
	int failed;
};

static void __attribute__((format(printf, 2, 3)))
journal_print(struct journal_text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	if (text->failed)
		return;
	va_start(arguments, format);
	length =
		vsnprintf(text->bytes + text->length, text->size - text->length, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= text->size - text->length)
		text->failed = 1;
	else
		text->length += (size_t)length;
}

/* Ends the line that began at start. */
static void journal_end_line(struct journal_text *text, size_t start)
{
	journal_print(text, " ");
	if (!text->failed)
		journal_print(text, "#%08x\n",
			      zrx_journal_checksum(text->bytes + start, text->length - start));
}

/* All or nothing: what was written of a failed append is cut off again. */
static int journal_append(int fd, const char *bytes, size_t length)
{
	off_t before = lseek(fd, 0, SEEK_END);
	size_t done = 0;
	int result;

	if (before < 0)
		return -errno;
	while (done < length) {
		ssize_t written = write(fd, bytes + done, length - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		done += (size_t)written;
	}
	if (done == length && !fsync(fd))
		return 0;
	result = errno ? -errno : -EIO;
	if (ftruncate(fd, before))
		return -EIO;
	return result;
}

static int __attribute__((format(printf, 2, 3))) journal_line(int fd, const char *format, ...)
{
	char bytes[256];
	struct journal_text text = {bytes, sizeof(bytes), 0, 0};
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(bytes, sizeof(bytes), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(bytes))
		return -EOVERFLOW;
	text.length = (size_t)length;
	journal_end_line(&text, 0);
	return text.failed ? -EOVERFLOW : journal_append(fd, bytes, text.length);
}

static void journal_print_head(struct journal_text *text, const struct zrx_journal *journal)
{
	const struct zrx_nic_settings *before = &journal->before;
	const struct zrx_owner *owner = &journal->owner;
	size_t start = text->length;

	journal_print(text, "zcrx-journal 1");
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "owner %u %u %llu %llu %s", owner->pid, owner->persistent,
		      (unsigned long long)owner->started, (unsigned long long)owner->pid_space,
		      owner->boot);
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "nic %llu %u %u %llu", (unsigned long long)journal->net_space,
		      journal->ifindex, journal->queue, (unsigned long long)journal->created);
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "before %u %u %u %u %u", before->split, before->has_thresh,
		      before->thresh, before->ntuple, before->hw_gro);
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "rss %u", before->rss.count);
	for (uint32_t i = 0; i < before->rss.count; i++)
		journal_print(text, " %u", before->rss.queue[i]);
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "ready");
	journal_end_line(text, start);
}

int zrx_journal_begin(struct zrx_journal_file *file, int directory, struct zrx_journal *journal)
{
	struct journal_text text = {.size = JOURNAL_HEAD_BYTES};
	struct timespec now;
	int result;

	clock_gettime(CLOCK_BOOTTIME, &now);
	journal->created = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	file->directory = directory;
	file->gone = 0;
	file->limit = JOURNAL_GONE_LIMIT;
	snprintf(file->name, sizeof(file->name), "%llu-%u-%llu.journal",
		 (unsigned long long)journal->net_space, journal->ifindex,
		 (unsigned long long)journal->created);
	file->fd = openat(directory, file->name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW,
			  0644);
	if (file->fd < 0)
		return -errno;
	text.bytes = malloc(text.size);
	if (text.bytes)
		journal_print_head(&text, journal);
	result = !text.bytes   ? -ENOMEM
		 : text.failed ? -EOVERFLOW
			       : journal_append(file->fd, text.bytes, text.length);
	free(text.bytes);
	if (!result && fsync(directory) && errno != EINVAL)
		result = -errno;
	if (result) {
		zrx_journal_remove(directory, file->name);
		zrx_journal_close(file);
	}
	return result;
}

int zrx_journal_step(struct zrx_journal_file *file, uint32_t step)
{
	return journal_line(file->fd, "step %s", zrx_nic_step_name(step));
}

int zrx_journal_kept(struct zrx_journal_file *file, uint32_t step)
{
	return journal_line(file->fd, "kept %s", zrx_nic_step_name(step));
}

int zrx_journal_rule(struct zrx_journal_file *file, uint32_t rule, const struct zrx_flow *flow)
{
	char words[128];

	zrx_flow_write(flow, words, sizeof(words));
	return journal_line(file->fd, "rule %u %s", rule, words);
}

int zrx_journal_rule_at(struct zrx_journal_file *file, uint32_t rule, uint32_t location)
{
	return journal_line(file->fd, "at %u %u", rule, location);
}

static void journal_print_changes(struct journal_text *text, const struct zrx_journal *journal)
{
	size_t start = text->length;

	journal_print(text, "port %u", journal->port);
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "context %u", journal->context);
	journal_end_line(text, start);
	for (uint32_t i = 0; i < ZRX_STEPS; i++) {
		if (!(journal->steps & 1u << i))
			continue;
		start = text->length;
		journal_print(text, "step %s", zrx_nic_step_name(1u << i));
		journal_end_line(text, start);
	}
	for (uint32_t i = 0; i < journal->rule_count; i++) {
		const struct zrx_journal_rule *rule = &journal->rules[i];
		char words[128];

		zrx_flow_write(&rule->flow, words, sizeof(words));
		start = text->length;
		journal_print(text, "rule %u %s", i, words);
		journal_end_line(text, start);
		start = text->length;
		if (rule->gone)
			journal_print(text, "gone %u", i);
		else if (rule->located)
			journal_print(text, "at %u %u", i, rule->location);
		if (text->length > start)
			journal_end_line(text, start);
	}
}

/* Put a file with this text in the journal's place, at once; the fd follows. */
static int journal_replace(struct zrx_journal_file *file, const struct journal_text *text)
{
	char name[sizeof(file->name) + 4];
	int fd, result;

	snprintf(name, sizeof(name), "%s.new", file->name);
	fd = openat(file->directory, name, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC | O_NOFOLLOW,
		    0644);
	if (fd < 0)
		return -errno;
	result = journal_append(fd, text->bytes, text->length);
	if (!result && renameat(file->directory, name, file->directory, file->name))
		result = -errno;
	if (result) {
		unlinkat(file->directory, name, 0);
		close(fd);
		return result;
	}
	close(file->fd);
	file->fd = fd;
	return 0;
}

/* Write the journal anew without what is over. Failing that, it just goes on growing. */
static void journal_compact(struct zrx_journal_file *file)
{
	struct journal_text text = {0};
	struct zrx_journal *journal = calloc(1, sizeof(*journal));

	file->limit *= 2;
	if (!journal)
		return;
	if (!zrx_journal_load(file->directory, file->name, journal)) {
		text.size = JOURNAL_HEAD_BYTES + 256 * (size_t)journal->rule_count;
		text.bytes = malloc(text.size);
		text.failed = !text.bytes;
		journal_print_head(&text, journal);
		journal_print_changes(&text, journal);
		if (!text.failed && !journal_replace(file, &text)) {
			file->gone = 0;
			file->limit = JOURNAL_GONE_LIMIT + journal->rule_count;
		}
		free(text.bytes);
	}
	zrx_journal_free(journal);
	free(journal);
}

int zrx_journal_rule_gone(struct zrx_journal_file *file, uint32_t rule)
{
	int result = journal_line(file->fd, "gone %u", rule);

	if (!result && ++file->gone > file->limit)
		journal_compact(file);
	return result;
}

int zrx_journal_port(struct zrx_journal_file *file, uint32_t port)
{
	return journal_line(file->fd, "port %u", port);
}

int zrx_journal_context(struct zrx_journal_file *file, uint32_t context)
{
	return journal_line(file->fd, "context %u", context);
}

int zrx_journal_released(struct zrx_journal_file *file)
{
	return journal_line(file->fd, "released");
}

int zrx_journal_append_released(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW), result;

	if (fd < 0)
		return -errno;
	result = journal_line(fd, "released");
	close(fd);
	return result;
}

void zrx_journal_close(struct zrx_journal_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int zrx_journal_remove(int directory, const char *name)
{
	char half[128];

	snprintf(half, sizeof(half), "%s.new", name); /* its process may have died writing it */
	unlinkat(directory, half, 0);
	return unlinkat(directory, name, 0) ? -errno : 0;
}

int zrx_journal_directory_existing(const char *path)
{
	int fd = open(path ? path : ZRX_JOURNAL_DIRECTORY,
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;

	if (fd < 0)
		return -errno;
	/* Whoever can write here decides what is done to the NIC with our rights. */
	if (fstat(fd, &status) || status.st_mode & S_IWOTH ||
	    (status.st_uid != 0 && status.st_uid != geteuid())) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

int zrx_journal_directory(const char *path)
{
	if (mkdir(path ? path : ZRX_JOURNAL_DIRECTORY, 0755) && errno != EEXIST)
		return -errno;
	return zrx_journal_directory_existing(path);
}

int zrx_journal_lock(int directory, uint64_t net_space, uint32_t ifindex)
{
	const struct timespec wait = {.tv_nsec = JOURNAL_LOCK_WAIT_MS * 1000000l};
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%llu-%u.lock", (unsigned long long)net_space, ifindex);
	fd = openat(directory, name, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < JOURNAL_LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return fd;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		nanosleep(&wait, NULL);
	}
	close(fd);
	return -EBUSY;
}
