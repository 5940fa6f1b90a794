/* SPDX-License-Identifier: MIT */
/* Writing a journal: create, append, replace. */
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

static int journal_write(int fd, const struct journal_text *text)
{
	size_t done = 0;

	while (done < text->length) {
		ssize_t written = write(fd, text->bytes + done, text->length - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		done += (size_t)written;
	}
	return 0;
}

/* All or nothing: what was written of a failed append is cut off again. */
static int journal_append(struct zrx_journal_file *file, const struct journal_text *text)
{
	int result = text->failed ? -EOVERFLOW : journal_write(file->fd, text);

	if (!result)
		file->size += (uint32_t)text->length;
	else if (!text->failed && ftruncate(file->fd, file->size))
		return -EIO;
	return result;
}

static int __attribute__((format(printf, 2, 3)))
journal_line(struct zrx_journal_file *file, const char *format, ...)
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
	return journal_append(file, &text);
}

static void journal_print_head(struct journal_text *text, const struct zrx_journal *journal)
{
	const struct zrx_nic_settings *before = &journal->before;
	const struct zrx_owner *owner = &journal->owner;
	size_t start = text->length;

	journal_print(text, "zcrx-journal 1");
	journal_end_line(text, start);
	start = text->length;
	journal_print(text, "owner %u %u %llu %llu %s%s", owner->pid, owner->persistent,
		      (unsigned long long)owner->started, (unsigned long long)owner->pid_space,
		      owner->boot, owner->locks ? " locked" : "");
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
	file->size = 0;
	file->gone = 0;
	file->limit = JOURNAL_GONE_LIMIT;
	snprintf(file->name, sizeof(file->name), "%llu-%u-%llu.journal",
		 (unsigned long long)journal->net_space, journal->ifindex,
		 (unsigned long long)journal->created);
	result = zrx_journal_open(file);
	if (result)
		return result;
	text.bytes = malloc(text.size);
	if (text.bytes)
		journal_print_head(&text, journal);
	result = text.bytes ? journal_append(file, &text) : -ENOMEM;
	free(text.bytes);
	if (result) {
		zrx_journal_remove(directory, file->name);
		zrx_journal_close(file);
	}
	return result;
}

int zrx_journal_step(struct zrx_journal_file *file, uint32_t step)
{
	return journal_line(file, "step %s", zrx_nic_step_name(step));
}

int zrx_journal_kept(struct zrx_journal_file *file, uint32_t step)
{
	return journal_line(file, "kept %s", zrx_nic_step_name(step));
}

static void journal_print_rule(struct journal_text *text, uint32_t number,
			       const struct zrx_flow *flow)
{
	size_t start = text->length;
	char words[128];

	zrx_flow_write(flow, words, sizeof(words));
	journal_print(text, "rule %u %s", number, words);
	journal_end_line(text, start);
}

static void journal_print_place(struct journal_text *text, uint32_t number, uint32_t location)
{
	size_t start = text->length;

	journal_print(text, "at %u %u", number, location);
	journal_end_line(text, start);
}

int zrx_journal_rule(struct zrx_journal_file *file, uint32_t rule, const struct zrx_flow *flow,
		     uint32_t location)
{
	char bytes[256];
	struct journal_text text = {bytes, sizeof(bytes), 0, 0};

	journal_print_rule(&text, rule, flow);
	if (location != RX_CLS_LOC_ANY)
		journal_print_place(&text, rule, location);
	return journal_append(file, &text);
}

int zrx_journal_rule_at(struct zrx_journal_file *file, uint32_t rule, uint32_t location)
{
	return journal_line(file, "at %u %u", rule, location);
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

		journal_print_rule(text, i, &rule->flow);
		if (!rule->gone && rule->located)
			journal_print_place(text, i, rule->location);
		if (!rule->gone)
			continue;
		start = text->length;
		journal_print(text, "gone %u", i);
		journal_end_line(text, start);
	}
}

static int journal_fill(int fd, const void *text)
{
	return journal_write(fd, text);
}

/* Write the journal anew without what is over. Failing that, it just goes on growing. */
static void journal_compact(struct zrx_journal_file *file)
{
	struct journal_text text = {0};
	struct zrx_journal *journal = calloc(1, sizeof(*journal));
	char name[sizeof(file->name) + 4];

	file->limit *= 2;
	snprintf(name, sizeof(name), "%s.new", file->name);
	if (!journal)
		return;
	if (!zrx_journal_load(file->directory, file->name, journal)) {
		text.size = JOURNAL_HEAD_BYTES + 256 * (size_t)journal->rule_count;
		text.bytes = malloc(text.size);
		text.failed = !text.bytes;
		journal_print_head(&text, journal);
		journal_print_changes(&text, journal);
		if (!text.failed && !zrx_journal_swap(file, name, journal_fill, &text)) {
			file->size = (uint32_t)text.length;
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
	int result = journal_line(file, "gone %u", rule);

	if (!result && ++file->gone > file->limit)
		journal_compact(file);
	return result;
}

int zrx_journal_port(struct zrx_journal_file *file, uint32_t port)
{
	return journal_line(file, "port %u", port);
}

int zrx_journal_context(struct zrx_journal_file *file, uint32_t context)
{
	return journal_line(file, "context %u", context);
}

int zrx_journal_released(struct zrx_journal_file *file)
{
	return journal_line(file, "released");
}

int zrx_journal_append_released(int directory, const char *name)
{
	struct zrx_journal_file file = {.directory = directory};
	struct stat status;
	int result;

	file.fd = openat(directory, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (file.fd < 0)
		return -errno;
	result = fstat(file.fd, &status) ? -errno : 0;
	file.size = result ? 0 : (uint32_t)status.st_size;
	if (!result)
		result = journal_line(&file, "released");
	close(file.fd);
	return result;
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
	/* What is written here is carried out with this process' rights. */
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

void zrx_journal_unlock(int lock)
{
	if (lock < 0)
		return;
	/* A child that was forked meanwhile has the descriptor, too, and would keep the lock. */
	flock(lock, LOCK_UN);
	close(lock);
}
