/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
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
	CHECK(!zrx_journal_rule(&file, 0, &flow, RX_CLS_LOC_ANY), "rule");
	CHECK(!zrx_journal_rule_at(&file, 0, 17), "at");
	CHECK(!zrx_journal_rule(&file, 1, &flow, 9), "rule");
	CHECK(!zrx_journal_rule_gone(&file, 1), "gone");
	CHECK(!zrx_journal_rule(&file, 1, &flow, RX_CLS_LOC_ANY), "its number again");
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

/* Journals of 0.1 say nothing of a lock: their owners are known by their numbers. */
static void test_owners(void)
{
	struct zrx_journal self = {0}, other;
	pid_t child = fork();

	if (!child)
		_exit(0);
	zrx_owner_self(&self.owner);
	CHECK(!zrx_journal_alive(&self), "its lock is gone");
	self.locked = 1;
	CHECK(zrx_journal_alive(&self), "its lock is held");
	other = self;
	other.released = 1;
	CHECK(!zrx_journal_alive(&other), "given up");
	other = self;
	other.locked = other.owner.locks = 0;
	CHECK(zrx_journal_alive(&other), "this process");
	other.owner.started++;
	CHECK(!zrx_journal_alive(&other), "a number used again");
	other.owner.persistent = 1;
	CHECK(zrx_journal_alive(&other), "persistent");
	other.owner.boot[0] = 'x';
	CHECK(!zrx_journal_alive(&other), "before the reboot");
	other.owner = self.owner;
	other.owner.locks = 0;
	other.owner.pid_space++;
	other.owner.pid = 1u << 30;
	CHECK(zrx_journal_alive(&other), "in doubt, alive");
	other.owner.pid_space = self.owner.pid_space;
	CHECK(!zrx_journal_alive(&other), "no such process");
	waitpid(child, NULL, 0);
}

/* As 0.1 wrote it. */
static void test_old_format(void)
{
	static const char *const lines[] = {"zcrx-journal 1", "owner 77 0 1234 4026531836 no-boot",
					    "nic 1 7 3 99",   "before 1 1 256 0 0",
					    "rss 2 0 1",      "ready",
					    "step rss",       "rule 0 4 0a000001 1 0a000002 80"};
	char text[1024] = "";
	struct zrx_journal read;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t start = strlen(text);

		snprintf(text + start, sizeof(text) - start, "%s ", lines[i]);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "#%08x\n",
			 zrx_journal_checksum(text + start, strlen(text) - start));
	}
	CHECK(!zrx_journal_parse(text, strlen(text), &read), "parse");
	CHECK(read.owner.pid == 77 && !read.owner.locks && read.rule_count == 1, "%u",
	      read.owner.locks);
	zrx_journal_free(&read);
}

/* The only journal there is, which goes. */
static void check_one_unlocked(int directory)
{
	struct zrx_journal_entry *entries;
	int count = zrx_journal_list(directory, zrx_journal_net_space(), 0, &entries);

	CHECK(count == 1, "%d journals", count);
	CHECK(count == 1 && !zrx_journal_alive(&entries[0].journal), "its owner is dead");
	for (int i = 0; i < count; i++)
		CHECK(!zrx_journal_remove(directory, entries[i].name), "remove");
	zrx_journal_list_free(entries, count);
}

static int is_locked(int directory, const char *name)
{
	struct zrx_journal journal = {0};
	int result = zrx_journal_load(directory, name, &journal);

	CHECK(!result && journal.owner.locks, "load: %d", result);
	zrx_journal_free(&journal);
	return (int)journal.locked;
}

/* Written anew again and again, it is never found unlocked, which would be a dead owner's. */
static void test_lock_is_kept(int directory)
{
	struct zrx_flow flow = {.family = 4, .peer_port = 1, .local_port = 5000};
	struct zrx_journal journal;
	struct zrx_journal_file file;
	int status = 0;
	pid_t child;

	fill(&journal);
	CHECK(!zrx_journal_begin(&file, directory, &journal), "begin");
	child = fork();
	if (!child) {
		int found = 1;

		for (int i = 0; i < 3000 && found; i++)
			found = is_locked(directory, file.name);
		_exit(!found);
	}
	while (!waitpid(child, &status, WNOHANG)) {
		CHECK(!zrx_journal_rule(&file, 0, &flow, 1), "rule");
		file.limit = 0;
		CHECK(!zrx_journal_rule_gone(&file, 0), "gone");
	}
	CHECK(!status, "seen unlocked");
	zrx_journal_close(&file);
	CHECK(!is_locked(directory, file.name), "closed");
	CHECK(!zrx_journal_remove(directory, file.name), "remove");
}

/* A forked child neither keeps its parent's journal locked nor unlocks it. */
static void test_lock_and_fork(int directory)
{
	struct zrx_journal journal;
	struct zrx_journal_file file;
	int status = 0, ends[2], told[2];
	pid_t child, grandchild;
	char byte;

	fill(&journal);
	CHECK(!zrx_journal_begin(&file, directory, &journal), "begin");
	child = fork();
	if (!child) {
		int inherited = file.fd;

		zrx_journal_close(&file);
		_exit(inherited >= 0);
	}
	waitpid(child, &status, 0);
	CHECK(!status, "inherited");
	CHECK(is_locked(directory, file.name), "a child has closed it");
	zrx_journal_close(&file);
	CHECK(!zrx_journal_remove(directory, file.name), "remove");

	CHECK(!pipe(ends) && !pipe(told), "pipe");
	child = fork();
	if (!child) {
		fill(&journal);
		if (zrx_journal_begin(&file, directory, &journal))
			_exit(1);
		grandchild = fork();
		if (!grandchild) { /* outlives its parent, until the pipe is closed */
			close(ends[1]);
			_exit(write(told[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 0);
		}
		if (read(told[0], &byte, 1) == 1)
			raise(SIGKILL);
		_exit(1);
	}
	waitpid(child, &status, 0);
	CHECK(WIFSIGNALED(status), "status %x", status);
	check_one_unlocked(directory);
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(told[i]);
	}
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
	zrx_journal_unlock(other);
	child = fork();
	if (!child) {
		close(lock); /* a forked child shares the lock; only a lock of its own is a test */
		other = zrx_journal_lock(directory, 1, 2);
		_exit(other >= 0 ? 0 : 1);
	}
	usleep(50000);
	CHECK(!waitpid(child, &status, WNOHANG), "the lock keeps others out");
	zrx_journal_unlock(lock);
	CHECK(waitpid(child, &status, 0) == child && !status, "and lets them in");
	zrx_journal_unlock(-1);
}

/* A child that is forked while it is held has the descriptor, too, and does not keep the lock. */
static void test_lock_of_child(int directory)
{
	int lock = zrx_journal_lock(directory, 1, 2), status;
	pid_t child = fork();

	if (!child) {
		pause();
		_exit(0);
	}
	zrx_journal_unlock(lock);
	lock = zrx_journal_lock(directory, 1, 2);
	CHECK(lock >= 0, "a child keeps the lock: %d", lock);
	zrx_journal_unlock(lock);
	kill(child, SIGKILL);
	CHECK(waitpid(child, &status, 0) == child, "wait");
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
	test_old_format();
	test_lock_is_kept(directory);
	test_lock_and_fork(directory);
	test_directory();
	test_lock(directory);
	test_lock_of_child(directory);
	scratch_close(directory);
}
