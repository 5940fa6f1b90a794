/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "nic/claim/journal.h"
#include "scratch.h"

static void fill(struct zrx_journal *journal)
{
	memset(journal, 0, sizeof(*journal));
	zrx_owner_self(&journal->owner);
	journal->net_space = zrx_journal_net_space();
	journal->ifindex = 7;
	journal->queue = 3;
	journal->before.split = ZRX_SPLIT_OFF;
	journal->before.has_thresh = 1;
	journal->before.thresh = 1024;
	journal->before.hw_gro = 1;
	journal->before.rss.count = 64;
	for (uint32_t i = 0; i < 64; i++)
		journal->before.rss.queue[i] = i * 3 % 8;
}

/* Writes a journal with something of everything; returns its text. */
static char *write_one(int directory, struct zrx_journal *journal, size_t *size)
{
	struct zrx_journal_file file;
	struct zrx_flow flow = {.family = 4, .peer_port = 1, .local_port = 5000};
	struct stat status;
	char *text;
	int fd;

	fill(journal);
	CHECK(!zrx_journal_begin(&file, directory, journal), "begin");
	CHECK(!zrx_journal_step(&file, ZRX_STEP_RSS), "step");
	CHECK(!zrx_journal_step(&file, ZRX_STEP_SPLIT), "step");
	CHECK(!zrx_journal_step(&file, ZRX_STEP_NTUPLE), "step");
	CHECK(!zrx_journal_kept(&file, ZRX_STEP_NTUPLE), "kept");
	CHECK(!zrx_journal_rule(&file, 0, &flow), "rule");
	CHECK(!zrx_journal_rule_at(&file, 0, 17), "at");
	CHECK(!zrx_journal_rule(&file, 1, &flow), "rule");
	CHECK(!zrx_journal_rule_gone(&file, 1), "gone");
	CHECK(!zrx_journal_rule(&file, 1, &flow), "its number again");
	CHECK(!zrx_journal_port(&file, 443), "port");
	CHECK(!zrx_journal_context(&file, 2), "context");
	CHECK(!zrx_journal_released(&file), "released");
	zrx_journal_close(&file);
	fd = openat(directory, file.name, O_RDONLY);
	CHECK(!fstat(fd, &status), "fstat");
	*size = (size_t)status.st_size;
	text = malloc(*size);
	CHECK(read(fd, text, *size) == (ssize_t)*size, "read");
	close(fd);
	return text;
}

static void test_round_trip(const char *text, size_t size, const struct zrx_journal *written)
{
	struct zrx_journal read;

	CHECK(!zrx_journal_parse(text, size, &read), "parse");
	CHECK(!memcmp(&read.before, &written->before, sizeof(read.before)), "settings");
	CHECK(!memcmp(&read.owner, &written->owner, sizeof(read.owner)), "owner");
	CHECK(read.queue == 3 && read.ifindex == 7 && read.created == written->created, "nic");
	CHECK(read.net_space == written->net_space, "namespace");
	CHECK(read.steps == (ZRX_STEP_RSS | ZRX_STEP_SPLIT), "%x", read.steps);
	CHECK(read.released && read.rule_count == 2, "%u rules", read.rule_count);
	CHECK(read.port == 443 && read.context == 2, "%u, %u", read.port, read.context);
	CHECK(read.rules[0].located && read.rules[0].location == 17, "place");
	CHECK(!read.rules[1].gone && !read.rules[1].located, "the number was used again");
	zrx_journal_free(&read);
}

/* Cut anywhere: never damaged, and what whole lines say is kept. */
static void test_truncated(const char *text, size_t size)
{
	struct zrx_journal read;
	uint32_t steps = 0;

	for (size_t length = 0; length <= size; length++) {
		int result = zrx_journal_parse(text, length, &read);

		CHECK(result == 0 || result == -EAGAIN, "cut at %zu: %d", length, result);
		CHECK(result == 0 || !steps, "cut at %zu: ready again", length);
		CHECK((read.steps & steps) == steps, "cut at %zu: a step lost", length);
		steps = read.steps & ~ZRX_STEP_NTUPLE; /* that one is taken back later */
		zrx_journal_free(&read);
	}
}

/* Any byte changed: damaged, or the lines up to there (a newline lost at the end). */
static void test_corrupted(const char *text, size_t size)
{
	char *copy = malloc(size);
	struct zrx_journal read;
	int found = 0;

	for (size_t i = 0; i < size; i++) {
		memcpy(copy, text, size);
		copy[i] ^= 1;
		found += zrx_journal_parse(copy, size, &read) == -EUCLEAN;
		zrx_journal_free(&read);
	}
	CHECK(found >= (int)size - 1, "%d of %zu flips noticed", found, size);
	CHECK(zrx_journal_parse("junk\n", 5, &read) == -EUCLEAN, "junk");
	zrx_journal_free(&read);
	free(copy);
}

static void test_list(int directory)
{
	struct zrx_journal_entry *entries;
	struct zrx_journal_file files[3];
	struct zrx_journal journal;
	int count, stray;

	for (int i = 0; i < 3; i++) {
		fill(&journal);
		journal.ifindex = i == 1 ? 8 : 7;
		CHECK(!zrx_journal_begin(&files[i], directory, &journal), "begin %d", i);
		zrx_journal_close(&files[i]);
	}
	stray = openat(directory, "README", O_CREAT | O_WRONLY, 0644);
	close(stray);
	count = zrx_journal_list(directory, zrx_journal_net_space(), 7, &entries);
	CHECK(count == 2, "%d", count);
	CHECK(count == 2 && entries[0].journal.created < entries[1].journal.created,
	      "oldest first");
	zrx_journal_list_free(entries, count);
	count = zrx_journal_list(directory, zrx_journal_net_space() + 1, 0, &entries);
	CHECK(count == 0, "another network namespace: %d", count);
	zrx_journal_list_free(entries, count);
	for (int i = 0; i < 3; i++)
		CHECK(!zrx_journal_remove(directory, files[i].name), "remove %d", i);
}

static uint64_t space_of_another(void)
{
	uint64_t space = 0;
	int ends[2], status;
	pid_t child;

	CHECK(!pipe(ends), "pipe");
	child = fork();
	if (!child) {
		space = unshare(CLONE_NEWNET) ? 0 : zrx_journal_net_space();
		_exit(write(ends[1], &space, sizeof(space)) != sizeof(space));
	}
	CHECK(read(ends[0], &space, sizeof(space)) == sizeof(space), "read");
	CHECK(waitpid(child, &status, 0) == child && !status, "child");
	close(ends[0]);
	close(ends[1]);
	return space;
}

/* Of namespaces that come and go, the kernel uses the inodes again. */
static void test_net_space(void)
{
	uint64_t spaces[20] = {zrx_journal_net_space()};

	CHECK(spaces[0] == zrx_journal_net_space(), "not the same twice");
	for (int i = 1; i < 20; i++)
		spaces[i] = space_of_another();
	for (int i = 0; i < 20; i++) {
		CHECK(spaces[i], "%d", i);
		for (int j = 0; j < i; j++)
			CHECK(spaces[i] != spaces[j], "%d and %d", j, i);
	}
}

static void test_owners(void)
{
	struct zrx_owner self, other;
	pid_t child = fork();

	if (!child)
		_exit(0);
	zrx_owner_self(&self);
	CHECK(zrx_owner_alive(&self), "this process");
	other = self;
	other.started++;
	CHECK(!zrx_owner_alive(&other), "a number used again");
	other.persistent = 1;
	CHECK(zrx_owner_alive(&other), "persistent");
	other.boot[0] = 'x';
	CHECK(!zrx_owner_alive(&other), "before the reboot");
	other = self;
	other.pid_space++;
	other.pid = 1u << 30;
	CHECK(zrx_owner_alive(&other), "in doubt, alive");
	other.pid_space = self.pid_space;
	CHECK(!zrx_owner_alive(&other), "no such process");
	waitpid(child, NULL, 0);
}

static void test_directory(void)
{
	char path[64];
	int fd;

	scratch_path(path, sizeof(path), "shared");
	CHECK(!mkdir(path, 0777) && !chmod(path, 0777), "mkdir");
	fd = zrx_journal_directory(path);
	CHECK(fd == -EACCES, "writable by everybody: %d", fd);
	CHECK(!rmdir(path), "rmdir");
	CHECK(zrx_journal_directory_existing(path) == -ENOENT, "absent");
}

static void test_lock(int directory)
{
	int lock = zrx_journal_lock(directory, 1, 2), other, status = 0;
	pid_t child;

	CHECK(lock >= 0, "%d", lock);
	other = zrx_journal_lock(directory, 1, 3);
	CHECK(other >= 0, "another NIC");
	close(other);
	child = fork();
	if (!child) {
		close(lock); /* a forked child shares the lock; only a lock of its own is a test */
		other = zrx_journal_lock(directory, 1, 2);
		_exit(other >= 0 ? 0 : 1);
	}
	usleep(50000);
	CHECK(!waitpid(child, &status, WNOHANG), "the lock keeps others out");
	close(lock);
	CHECK(waitpid(child, &status, 0) == child && !status, "and lets them in");
}

void test_journal(void)
{
	struct zrx_journal written;
	size_t size;
	int directory = scratch_open();
	char *text = write_one(directory, &written, &size);

	test_round_trip(text, size, &written);
	test_truncated(text, size);
	test_corrupted(text, size);
	free(text);
	scratch_close(directory);
	directory = scratch_open();
	test_list(directory);
	test_net_space();
	test_owners();
	test_directory();
	test_lock(directory);
	scratch_close(directory);
}
