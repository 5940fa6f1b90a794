/* SPDX-License-Identifier: MIT */
/* What the tests of this folder share: a failed check says where, and the run ends in failure. */
#ifndef ZRX_TESTS_NIC_CHECK_H
#define ZRX_TESTS_NIC_CHECK_H

#include <stdio.h>
#include <string.h>

extern int checks_done;
extern int checks_failed;

#define CHECK(condition, ...)                                                           \
	do {                                                                            \
		checks_done++;                                                          \
		if (!(condition)) {                                                     \
			checks_failed++;                                                \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__);                                   \
			fputc('\n', stderr);                                            \
		}                                                                       \
	} while (0)

#define CHECK_HAS(text, part) CHECK(strstr(text, part), "\"%s\" lacks \"%s\"", text, part)

void test_probe(void);
void test_rss(void);
void test_flow(void);
void test_plan(void);
void test_journal(void);
void test_claim(void);
void test_foreign_rules(void);
void test_owners_elsewhere(void);
void test_share(void);
void test_faults(void);
void test_explain(void);
void test_inspect(void);
void test_demand(void);
void test_arrival(void);
void test_verdict(void);
void test_interfaces(void);

#endif
