/* SPDX-License-Identifier: MIT */
/* Reading what a journal says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nic/claim/journal.h"

#define JOURNAL_RULES_MAX 1000000u

/* Which lines of the head have been seen. */
struct journal_parser {
	struct zrx_journal *journal;
	uint32_t seen;
};

#define JOURNAL_SAW_FORMAT (1u << 0)
#define JOURNAL_SAW_OWNER  (1u << 1)
#define JOURNAL_SAW_NIC    (1u << 2)
#define JOURNAL_SAW_BEFORE (1u << 3)
#define JOURNAL_SAW_RSS    (1u << 4)
#define JOURNAL_SAW_READY  (1u << 5)
#define JOURNAL_SAW_HEAD   (JOURNAL_SAW_READY - 1)

uint32_t zrx_journal_checksum(const char *line, size_t length)
{
	uint32_t sum = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ (unsigned char)line[i]) * 16777619u;
	return sum;
}

static int journal_parse_rss(const char *text, struct zrx_ethtool_rss *rss)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (end == text || count > ZRX_RSS_ENTRIES)
		return -EINVAL;
	rss->count = (uint32_t)count;
	for (unsigned long i = 0; i < count; i++) {
		text = end;
		rss->queue[i] = (uint32_t)strtoul(text, &end, 10);
		if (end == text)
			return -EINVAL;
	}
	return *end ? -EINVAL : 0;
}

static int journal_parse_head(struct journal_parser *parser, const char *word, const char *rest)
{
	struct zrx_nic_settings *before = &parser->journal->before;
	struct zrx_owner *owner = &parser->journal->owner;
	struct zrx_journal *journal = parser->journal;
	unsigned long long a, b, c;
	unsigned version;
	char lock[8];
	int count;

	if (!strcmp(word, "zcrx-journal")) {
		parser->seen |= JOURNAL_SAW_FORMAT;
		return sscanf(rest, "%u", &version) == 1 && version == 1 ? 0 : -EINVAL;
	}
	if (!strcmp(word, "owner")) {
		parser->seen |= JOURNAL_SAW_OWNER;
		count = sscanf(rest, "%u %u %llu %llu %39s %7s", &owner->pid, &owner->persistent,
			       &a, &b, owner->boot, lock);
		if (count < 5)
			return -EINVAL;
		owner->locks = count == 6 && !strcmp(lock, "locked");
		owner->started = a;
		owner->pid_space = b;
		return 0;
	}
	if (!strcmp(word, "nic")) {
		parser->seen |= JOURNAL_SAW_NIC;
		if (sscanf(rest, "%llu %u %u %llu", &a, &journal->ifindex, &journal->queue, &c) !=
		    4)
			return -EINVAL;
		journal->net_space = a;
		journal->created = c;
		return 0;
	}
	if (!strcmp(word, "before")) {
		parser->seen |= JOURNAL_SAW_BEFORE;
		return sscanf(rest, "%u %u %u %u %u", &before->split, &before->has_thresh,
			      &before->thresh, &before->ntuple, &before->hw_gro) == 5
			       ? 0
			       : -EINVAL;
	}
	if (!strcmp(word, "rss")) {
		parser->seen |= JOURNAL_SAW_RSS;
		return journal_parse_rss(rest, &before->rss);
	}
	if (!strcmp(word, "ready") && parser->seen == JOURNAL_SAW_HEAD) {
		parser->seen |= JOURNAL_SAW_READY;
		return 0;
	}
	return -EINVAL;
}

/* A number counts on, or is that of a rule that is gone. */
static int journal_parse_rule(struct zrx_journal *journal, const char *rest)
{
	struct zrx_journal_rule *rules = journal->rules;
	unsigned rule;
	int skip;

	if (sscanf(rest, "%u %n", &rule, &skip) != 1 || rule > journal->rule_count ||
	    rule > JOURNAL_RULES_MAX)
		return -EINVAL;
	if (rule < journal->rule_count && !rules[rule].gone)
		return -EINVAL;
	if (rule == journal->rule_count) {
		rules = realloc(journal->rules, (rule + 1ul) * sizeof(*rules));
		if (!rules)
			return -ENOMEM;
		journal->rules = rules;
	}
	memset(&rules[rule], 0, sizeof(rules[rule]));
	if (zrx_flow_read(rest + skip, &rules[rule].flow))
		return -EINVAL;
	if (rule == journal->rule_count)
		journal->rule_count++;
	return 0;
}

static uint32_t journal_step_of(const char *name)
{
	for (uint32_t i = 0; i < ZRX_STEPS; i++)
		if (!strcmp(name, zrx_nic_step_name(1u << i)))
			return 1u << i;
	return 0;
}

static int journal_parse_change(struct zrx_journal *journal, const char *word, const char *rest)
{
	unsigned rule, location;
	uint32_t step;

	if (!strcmp(word, "step") || !strcmp(word, "kept")) {
		step = journal_step_of(rest);
		journal->steps = *word == 's' ? journal->steps | step : journal->steps & ~step;
		return step ? 0 : -EINVAL;
	}
	if (!strcmp(word, "rule"))
		return journal_parse_rule(journal, rest);
	if (!strcmp(word, "at")) {
		if (sscanf(rest, "%u %u", &rule, &location) != 2 || rule >= journal->rule_count)
			return -EINVAL;
		journal->rules[rule].located = 1;
		journal->rules[rule].location = location;
		return 0;
	}
	if (!strcmp(word, "gone")) {
		if (sscanf(rest, "%u", &rule) != 1 || rule >= journal->rule_count)
			return -EINVAL;
		journal->rules[rule].gone = 1;
		return 0;
	}
	if (!strcmp(word, "port"))
		return sscanf(rest, "%u", &journal->port) == 1 && journal->port < 65536 ? 0
											: -EINVAL;
	if (!strcmp(word, "context"))
		return sscanf(rest, "%u", &journal->context) == 1 ? 0 : -EINVAL;
	if (!strcmp(word, "released")) {
		journal->released = 1;
		return 0;
	}
	return -EINVAL;
}

/* line is NUL-terminated, without its newline; it is cut apart. */
static int journal_parse_line(struct journal_parser *parser, char *line)
{
	char *mark = strrchr(line, '#'), *rest, *end;

	if (!mark || mark == line || mark[-1] != ' ')
		return -EINVAL;
	if (strtoul(mark + 1, &end, 16) != zrx_journal_checksum(line, (size_t)(mark - line)) ||
	    *end)
		return -EINVAL;
	mark[-1] = '\0';
	rest = strchr(line, ' ');
	if (rest)
		*rest++ = '\0';
	else
		rest = mark - 1;
	if (parser->seen & JOURNAL_SAW_READY)
		return journal_parse_change(parser->journal, line, rest);
	return journal_parse_head(parser, line, rest);
}

int zrx_journal_parse(const char *text, size_t size, struct zrx_journal *journal)
{
	struct journal_parser parser = {journal, 0};
	char *copy = malloc(size + 1), *line, *end;
	int result = 0;

	memset(journal, 0, sizeof(*journal));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, size);
	copy[size] = '\0';
	for (line = copy; !result && (end = memchr(line, '\n', (size_t)(copy + size - line)));
	     line = end + 1) {
		*end = '\0';
		result = journal_parse_line(&parser, line);
	}
	free(copy);
	if (result == -EINVAL)
		return -EUCLEAN;
	return result ? result : parser.seen & JOURNAL_SAW_READY ? 0 : -EAGAIN;
}

void zrx_journal_free(struct zrx_journal *journal)
{
	free(journal->rules);
	journal->rules = NULL;
	journal->rule_count = 0;
}
