/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <unistd.h>

#include "check.h"

int checks_done;
int checks_failed;

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"probe", test_probe},
	{"rss", test_rss},
	{"flow", test_flow},
	{"plan", test_plan},
	{"journal", test_journal},
	{"claim", test_claim},
	{"share", test_share},
	{"faults", test_faults},
	{"explain", test_explain},
	{"inspect", test_inspect},
	{"demand", test_demand},
	{"verdict", test_verdict},
	{"interfaces", test_interfaces},
	{"arrival", test_arrival},
	{"rules", test_foreign_rules},
	{"owners", test_owners_elsewhere},
};

/* All tests, or those named. */
int main(int count, char **names)
{
	alarm(170);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		int wanted = count == 1, before = checks_done;

		for (int j = 1; j < count; j++)
			wanted |= !strcmp(names[j], tests[i].name);
		if (!wanted)
			continue;
		tests[i].run();
		printf("%-12s %d checks\n", tests[i].name, checks_done - before);
		fflush(stdout);
	}
	if (checks_failed)
		printf("%d of %d checks failed\n", checks_failed, checks_done);
	return checks_failed || !checks_done ? EXIT_FAILURE : EXIT_SUCCESS;
}
