/* SPDX-License-Identifier: MIT */
/* All the framework there is: a check that fails ends the program, and says where. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

/* Integers of any type that fits long long. */
#define CHECK_EQUAL(actual, expected)                                                             \
	do {                                                                                      \
		long long actual_ = (long long)(actual), expected_ = (long long)(expected);       \
		if (actual_ != expected_) {                                                       \
			fprintf(stderr, "%s:%d: %s is %lld, not %s (%lld)\n", __FILE__, __LINE__, \
				#actual, actual_, #expected, expected_);                          \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)

/* The text is there, and holds the word. */
#define CHECK_SAYS(text, word)                                                                     \
	do {                                                                                       \
		if (!strstr(text, word)) {                                                         \
			fprintf(stderr, "%s:%d: \"%s\" does not say \"%s\"\n", __FILE__, __LINE__, \
				text, word);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#endif
