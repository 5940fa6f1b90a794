/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "error.h"

#include <errno.h>

static void test_set(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK_EQUAL(zrx_error_set(&error, -EBUSY, ZRX_STAGE_QUEUE, "wait", "queue %d", 7), -EBUSY);
	CHECK_EQUAL(error.code, -EBUSY);
	CHECK_EQUAL(error.stage, ZRX_STAGE_QUEUE);
	CHECK(!strcmp(error.message, "queue 7"));
	CHECK(!strcmp(error.hint, "wait"));
	zrx_error_kernel_text(&error, "no room");
	CHECK(!strcmp(error.kernel_text, "no room"));
	zrx_error_clear(&error);
	CHECK_EQUAL(error.size, sizeof(error));
	CHECK_EQUAL(error.code, 0);
	CHECK(!error.message[0] && !error.hint[0] && !error.kernel_text[0]);
	CHECK_EQUAL(zrx_error_set(NULL, -EPERM, 0, NULL, "nobody listens"), -EPERM);
}

static void test_long_texts_are_cut(void)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	zrx_error_set(&error, -EINVAL, ZRX_STAGE_OPTIONS, text, "%s", text);
	zrx_error_kernel_text(&error, text);
	CHECK_EQUAL(strlen(error.message), sizeof(error.message) - 1);
	CHECK_EQUAL(strlen(error.hint), sizeof(error.hint) - 1);
	CHECK_EQUAL(strlen(error.kernel_text), sizeof(error.kernel_text) - 1);
}

/* A caller from before a field was added. */
static void test_short_struct_is_not_overrun(void)
{
	struct zrx_error error;

	memset(&error, 0x55, sizeof(error));
	error.size = offsetof(struct zrx_error, message) + 16;
	zrx_error_set(&error, -EINVAL, ZRX_STAGE_AREA, "hint", "%s", "0123456789abcdefghij");
	CHECK_EQUAL(error.code, -EINVAL);
	CHECK(!memcmp(error.message, "0123456789abcdef\x55", 17));
	CHECK_EQUAL(error.hint[0], 0x55);
	zrx_error_kernel_text(&error, "text");
	CHECK_EQUAL(error.kernel_text[0], 0x55);
	zrx_error_clear(&error);
	CHECK_EQUAL(error.message[0], 0);
	CHECK_EQUAL(error.message[16], 0x55);
}

static void test_copy_out_needs_a_size(void)
{
	struct zrx_error from = ZRX_ERROR_INIT, to = {0};

	CHECK_EQUAL(zrx_error_copy(&to, &from), -EINVAL);
	CHECK_EQUAL(zrx_error_copy(NULL, &from), -EINVAL);
	to.size = sizeof(to) + 100; /* a newer caller: its tail is not ours to fill */
	from.code = -EIO;
	CHECK_EQUAL(zrx_error_copy(&to, &from), 0);
	CHECK_EQUAL(to.code, -EIO);
	CHECK_EQUAL(to.size, sizeof(to) + 100);
}

int main(void)
{
	test_set();
	test_long_texts_are_cut();
	test_short_struct_is_not_overrun();
	test_copy_out_needs_a_size();
	return 0;
}
