/* SPDX-License-Identifier: MIT */
/*
 * The NIC behind one receiver: chosen, set up and steered before and after its queue is bound to an
 * area, and put back when the receiver is closed. All the engine needs to know about NICs.
 *
 * Order of calls: acquire, (register the queue), bound, admit, steer_add and steer_remove as
 * sockets come and go, perhaps retire, (close the ring), release. The receiver's owner calls, or
 * whoever closes it; admit, steer_add, steer_remove and retire also the owners of other receivers
 * that share the queue, who wait for each other.
 */
#ifndef ZCRX_KERNEL_NIC_H
#define ZCRX_KERNEL_NIC_H

#include "zcrx.h"

struct zrx_nic;

#define ZRX_NIC_NO_RULE UINT32_MAX

/*
 * Make the interface named in the options ready for a zcrx registration on *queue of *ifindex: set
 * it up, or (ZRX_NIC_PREPARED) check that an administrator did. Without ZRX_QUEUE a free queue is
 * chosen. On failure nothing has changed. Blocks for as long as the driver takes, which may be
 * seconds.
 */
int zrx_nic_acquire(struct zrx_nic **nic, const struct zrx_options *options, uint32_t *ifindex,
		    uint32_t *queue, struct zrx_error *error);

/* After the registration: verify that the queue is bound, and steer by port if that was asked for.
 */
int zrx_nic_bound(struct zrx_nic *nic, struct zrx_error *error);

/*
 * Refuse (-EXDEV, stage socket) a socket whose bytes arrive at a queue that is bound to other
 * memory than the receiver's: the kernel would end its stream with EFAULT.
 */
int zrx_nic_admit(struct zrx_nic *nic, int fd, struct zrx_error *error);

/*
 * Lead the flow of the connected TCP socket fd to the queue. *rule is for steer_remove; it is
 * ZRX_NIC_NO_RULE where this NIC is not steered by connection. Call it before the socket's peer
 * sends: payload that another queue received is copied.
 */
int zrx_nic_steer_add(struct zrx_nic *nic, int fd, uint32_t *rule, struct zrx_error *error);
void zrx_nic_steer_remove(struct zrx_nic *nic, uint32_t rule);

/*
 * The queue stays bound, but nothing more is received: remove the flow rules, leave the port to
 * those who share it. What cannot be done now is done by release.
 */
void zrx_nic_retire(struct zrx_nic *nic);

/*
 * Undo everything, last step first, once the ring is closed: waits (bounded) until the kernel has
 * taken the queue from the area. registered: it had been given to it. Frees nic. NULL does nothing.
 * Returns 0, or -EBUSY if the queue is still bound, so that the NIC may write into the area.
 */
int zrx_nic_release(struct zrx_nic *nic, int registered);

/* The NUMA node of an interface's device; -1: it has none, or it is not told. */
int32_t zrx_nic_numa_node(const char *interface);

/*
 * The NAPI ids of these queues of an interface, as they are now; 0 where it is not told. Returns 0
 * or -errno. Does not block.
 */
int zrx_nic_napi_ids(const char *interface, const uint32_t *queues, uint32_t count,
		     uint32_t *napi_ids);

/* Their interrupts, likewise. */
int zrx_nic_interrupts(const char *interface, const uint32_t *queues, uint32_t count,
		       uint32_t *irqs);

/*
 * Why a registration on this queue failed: fills error with stage queue, the precondition that does
 * not hold and the command that mends it. errno_value is positive. Returns -errno_value.
 */
int zrx_nic_explain(const char *interface, uint32_t queue, int errno_value, uint32_t rx_buf_len,
		    struct zrx_error *error);

#endif /* ZCRX_KERNEL_NIC_H */
