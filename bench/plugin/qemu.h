/* SPDX-License-Identifier: MIT */
/*
 * What the plugin uses of QEMU's interface for plugins, version 7 (QEMU 11): declared here because
 * QEMU's own header is not packaged with it.
 */
#ifndef BENCH_PLUGIN_QEMU_H
#define BENCH_PLUGIN_QEMU_H

#include <stddef.h>
#include <stdint.h>

#define QEMU_INTERFACE    7
#define QEMU_NO_REGISTERS 0
#define QEMU_INLINE_ADD   0

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard; /* an entry for each processor */

typedef struct { /* a number of 64 bits in each entry */
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;

typedef void (*qemu_translated)(struct qemu_plugin_tb *block, void *context);
typedef void (*qemu_executed)(unsigned int processor, void *context);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, qemu_translated callback, void *context);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *block, int operation,
						       qemu_plugin_u64 counter, uint64_t number);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
					    qemu_executed callback, int registers, void *context);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction, void *bytes, size_t most);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t entry_bytes);
uint64_t qemu_plugin_u64_get(qemu_plugin_u64 counter, unsigned int processor);

#endif
