/* SPDX-License-Identifier: MIT */
/* Generic netlink, one request at a time: enough to ask the families "ethtool" and "netdev". */
#ifndef ZRX_KERNEL_GENL_H
#define ZRX_KERNEL_GENL_H

#include <libmnl/libmnl.h>
#include <stdint.h>

#define ZRX_GENL_BUFFER 8192

/* One answer or notice; returns MNL_CB_OK to go on. Attributes: zrx_genl_attributes. */
typedef int (*zrx_genl_answer)(const struct nlmsghdr *message, void *context);

struct zrx_genl {
	struct mnl_socket *socket;
	uint16_t family;
	uint32_t group;         /* of the family: its only multicast group, or 0 */
	zrx_genl_answer notice; /* what the group hears while a call runs; may be NULL */
	void *notice_context;
	uint32_t sequence;
	char kernel_text[128]; /* the extended acknowledgement of the last failure; may be empty */
	/* The request under construction, later the answers: the kernel's largest dump part fits.
	 */
	_Alignas(8) char buffer[4 * ZRX_GENL_BUFFER];
};

/* Connect to a family by name. 0, -ENOENT if this kernel has none of that name, or -errno. */
int zrx_genl_open(struct zrx_genl *genl, const char *family);
void zrx_genl_close(struct zrx_genl *genl);

/* Begin a request; attributes are added with mnl_attr_put_*. flags: NLM_F_DUMP or 0. */
struct nlmsghdr *zrx_genl_request(struct zrx_genl *genl, uint8_t command, uint16_t flags);

/*
 * Hear the family's multicast group during the calls that follow, or (notice NULL) no longer. 0 or
 * -errno.
 */
int zrx_genl_listen(struct zrx_genl *genl, zrx_genl_answer notice, void *context);

/*
 * Send the request and take every answer to it. Returns 0 or a negative errno; kernel_text then
 * holds what the kernel said. answer may be NULL. Waits at most a few seconds.
 */
int zrx_genl_call(struct zrx_genl *genl, struct nlmsghdr *request, zrx_genl_answer answer,
		  void *context);

/* Sort the attributes of an answer, or of a nest, into table[0..highest]; others are passed over.
 */
void zrx_genl_attributes(const struct nlmsghdr *message, const struct nlattr **table,
			 uint16_t highest);
void zrx_genl_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t highest);

/* An unsigned number of 1, 2, 4 or 8 bytes (netlink's "uint" is 4 or 8); 0 if attribute is NULL. */
uint64_t zrx_genl_number(const struct nlattr *attribute);

#endif /* ZRX_KERNEL_GENL_H */
