/* SPDX-License-Identifier: MIT */
/*
 * A plugin of QEMU's that counts the instructions that each of the guest's processors executes, by
 * programs and by the kernel. Whenever one executes the marker, it writes a line: which processor,
 * and its two counts so far.
 *
 *     -plugin count.so,output=FILE
 *
 * Blocks of instructions are counted when they are entered: the few that a fault ends early count
 * as whole.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "marker.h"
#include "qemu.h"

#define EXPORTED   __attribute__((visibility("default")))
#define KERNEL_BIT (1ull << 63) /* of addresses, on x86-64 */

struct counts {
	uint64_t user;
	uint64_t kernel;
};

EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_install(uint64_t id, const void *about, int count, char **arguments);

int qemu_plugin_version = QEMU_INTERFACE;

static qemu_plugin_u64 user, kernel;
static FILE *output;

static void tell_counts(unsigned int processor, void *context)
{
	(void)context;
	fprintf(output, "%u %" PRIu64 " %" PRIu64 "\n", processor,
		qemu_plugin_u64_get(user, processor), qemu_plugin_u64_get(kernel, processor));
	fflush(output);
}

static int is_marker(const struct qemu_plugin_insn *instruction)
{
	static const uint8_t marker[] = MARKER_BYTES;
	uint8_t bytes[sizeof(marker)];

	return qemu_plugin_insn_data(instruction, bytes, sizeof(bytes)) == sizeof(marker) &&
	       !memcmp(bytes, marker, sizeof(marker));
}

static void count_block(struct qemu_plugin_tb *block, void *context)
{
	int by_kernel = !!(qemu_plugin_tb_vaddr(block) & KERNEL_BIT);
	size_t count = qemu_plugin_tb_n_insns(block);

	(void)context;
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, QEMU_INLINE_ADD,
							  by_kernel ? kernel : user, count);
	for (size_t i = 0; !by_kernel && i < count; i++) {
		struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);

		if (is_marker(instruction))
			qemu_plugin_register_vcpu_insn_exec_cb(instruction, tell_counts,
							       QEMU_NO_REGISTERS, NULL);
	}
}

int qemu_plugin_install(uint64_t id, const void *about, int count, char **arguments)
{
	static const char option[] = "output=";
	struct qemu_plugin_scoreboard *board = qemu_plugin_scoreboard_new(sizeof(struct counts));

	(void)about;
	if (count != 1 || strncmp(arguments[0], option, sizeof(option) - 1)) {
		fprintf(stderr, "count.so: takes output=FILE\n");
		return -1;
	}
	output = fopen(arguments[0] + sizeof(option) - 1, "we");
	if (!output) {
		perror(arguments[0]);
		return -1;
	}
	user = (qemu_plugin_u64){board, offsetof(struct counts, user)};
	kernel = (qemu_plugin_u64){board, offsetof(struct counts, kernel)};
	qemu_plugin_register_vcpu_tb_trans_cb(id, count_block, NULL);
	return 0;
}
