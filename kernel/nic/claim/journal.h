/* SPDX-License-Identifier: MIT */
/*
 * The journal of one set-up: what the NIC was like before, and each change, written before the
 * change is made. From it the next run undoes what a killed process left behind. Nothing is synced
 * to a disk: what is written survives the process, and what ends the kernel resets the NIC too.
 *
 * A process holds a lock (flock) on its journal for as long as the claim lasts. The kernel drops
 * the lock when the process ends, in whatever namespace it was.
 *
 * A text file that only grows, one fact to a line, each line with a checksum. A last line without
 * its end was being written when the process died: its change was not made, and the line does not
 * count.
 */
#ifndef ZRX_KERNEL_NIC_JOURNAL_H
#define ZRX_KERNEL_NIC_JOURNAL_H

#include "nic/claim/flow.h"
#include "nic/claim/settings.h"

#define ZRX_JOURNAL_DIRECTORY "/run/zcrx"

/* The process that made a set-up. Process numbers are used again, so the start time counts too. */
struct zrx_owner {
	uint32_t pid;
	uint32_t persistent; /* outlives its process: until it is undone on request */
	uint64_t started;    /* of the process, clock ticks since boot */
	uint64_t pid_space;  /* inode of its pid namespace */
	uint32_t locks;      /* it holds a lock on its journal; 0: written by 0.1 */
	char boot[40];       /* kernel.random.boot_id */
};

void zrx_owner_self(struct zrx_owner *owner);
int zrx_owner_same_boot(const struct zrx_owner *owner);

struct zrx_journal_rule {
	struct zrx_flow flow;
	uint32_t located; /* the NIC accepted it, at location */
	uint32_t location;
	uint32_t gone;
};

/* What a journal says. */
struct zrx_journal {
	struct zrx_owner owner;
	uint64_t created;   /* CLOCK_BOOTTIME, ns: set-ups are undone in reverse order */
	uint64_t net_space; /* the network namespace: zrx_journal_net_space */
	uint32_t ifindex;
	uint32_t queue;
	uint32_t steps;    /* begun: ZRX_STEP_* */
	uint32_t released; /* its owner has ended it */
	uint32_t locked;   /* when it was loaded */
	uint32_t port;     /* led to the queue, alone or shared with other claims; 0: none */
	uint32_t context;  /* the RSS context, made or joined, that leads it there; 0: none */
	struct zrx_nic_settings before;
	struct zrx_journal_rule *rules;
	uint32_t rule_count;
};

/*
 * Parse a whole file. Returns 0; -EAGAIN if it ends before its first change could have been made;
 * -EUCLEAN if a line in the middle is not what was written. Free with zrx_journal_free in each
 * case.
 */
int zrx_journal_parse(const char *text, size_t size, struct zrx_journal *journal);
void zrx_journal_free(struct zrx_journal *journal);

/* Whether the claim still counts: neither given up nor left by a process that is gone. */
int zrx_journal_alive(const struct zrx_journal *journal);

/* ---- files ---- */

/* An open journal that is being written, and is locked. It stays where it is in memory. */
struct zrx_journal_file {
	struct zrx_journal_file *next; /* of this process */
	int directory;
	int fd;
	uint32_t size;  /* bytes, whole lines */
	uint32_t gone;  /* rules that are over and still written */
	uint32_t limit; /* when there are more, the file is written anew */
	char name[96];
};

/* The directory, created if need be (NULL: ZRX_JOURNAL_DIRECTORY). Returns its fd or -errno. */
int zrx_journal_directory(const char *path);
/* The same without creating it: -ENOENT if nobody has set anything up yet. */
int zrx_journal_directory_existing(const char *path);

/*
 * Keeps every other set-up of this NIC out until it is let go; -EBUSY after some seconds. A lock
 * that is none (negative) may be let go, too.
 */
int zrx_journal_lock(int directory, uint64_t net_space, uint32_t ifindex);
void zrx_journal_unlock(int lock);

/* Start a journal: all that is known before the first change. journal->created is filled. */
int zrx_journal_begin(struct zrx_journal_file *file, int directory, struct zrx_journal *journal);
int zrx_journal_step(struct zrx_journal_file *file, uint32_t step);
/* The step changed nothing after all: undoing it would. */
int zrx_journal_kept(struct zrx_journal_file *file, uint32_t step);
/* location: where it is going to be; RX_CLS_LOC_ANY: the driver chooses, and zrx_journal_rule_at
 * follows. */
int zrx_journal_rule(struct zrx_journal_file *file, uint32_t rule, const struct zrx_flow *flow,
		     uint32_t location);
int zrx_journal_rule_at(struct zrx_journal_file *file, uint32_t rule, uint32_t location);
int zrx_journal_rule_gone(struct zrx_journal_file *file, uint32_t rule);
/* The claim shares a port from now on; 0: no longer. */
int zrx_journal_port(struct zrx_journal_file *file, uint32_t port);
int zrx_journal_context(struct zrx_journal_file *file, uint32_t context);
int zrx_journal_released(struct zrx_journal_file *file);
/* Lets the lock go. */
void zrx_journal_close(struct zrx_journal_file *file);

/* Create the file of this name, locked, and remember it: a forked child closes it. */
int zrx_journal_open(struct zrx_journal_file *file);
/*
 * Put another file, which fill writes, in its place; it is called name before that. Nobody finds
 * the journal missing, or unlocked.
 */
int zrx_journal_swap(struct zrx_journal_file *file, const char *name,
		     int (*fill)(int fd, const void *context), const void *context);
/* Whether somebody holds the lock on the journal behind fd. */
int zrx_journal_is_locked(int fd);

/* One journal by its name: as zrx_journal_parse, or -errno. */
int zrx_journal_load(int directory, const char *name, struct zrx_journal *journal);

/* The journals of one network namespace, oldest first. ifindex 0: of all its interfaces. */
struct zrx_journal_entry {
	char name[96];
	int state; /* as zrx_journal_parse returned it */
	struct zrx_journal journal;
};
/* *entries is an array for zrx_journal_list_free. Returns the count or -errno. */
int zrx_journal_list(int directory, uint64_t net_space, uint32_t ifindex,
		     struct zrx_journal_entry **entries);
void zrx_journal_list_free(struct zrx_journal_entry *entries, int count);
int zrx_journal_append_released(int directory, const char *name);
int zrx_journal_remove(int directory, const char *name);

/* A number that the calling thread's network namespace shares with no other one of this boot; 0: it
 * cannot be told. */
uint64_t zrx_journal_net_space(void);

/* Each line ends in " #" and its checksum in hex: of the line up to, and with, the blank before
 * '#'. */
uint32_t zrx_journal_checksum(const char *line, size_t length);

#endif /* ZRX_KERNEL_NIC_JOURNAL_H */
