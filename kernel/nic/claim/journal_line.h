/* SPDX-License-Identifier: MIT */
/* What the reader and the writer of journals share: each line ends in " #" and its checksum in hex.
 */
#ifndef ZRX_KERNEL_NIC_JOURNAL_LINE_H
#define ZRX_KERNEL_NIC_JOURNAL_LINE_H

#include <stddef.h>
#include <stdint.h>

/* Of the line up to, and with, the blank before '#'. */
uint32_t zrx_journal_checksum(const char *line, size_t length);

#endif /* ZRX_KERNEL_NIC_JOURNAL_LINE_H */
