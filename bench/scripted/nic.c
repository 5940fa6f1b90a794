/* SPDX-License-Identifier: MIT */
/* No NIC: the queue of the scripted kernel is there at once, and takes every socket. */
#include "nic/nic.h"

int __wrap_zrx_nic_acquire(struct zrx_nic **nic, const struct zrx_options *options,
			   uint32_t *ifindex, uint32_t *queue, struct zrx_error *error)
{
	(void)options;
	(void)error;
	*nic = NULL;
	*ifindex = 1;
	*queue = 0;
	return 0;
}

int __wrap_zrx_nic_bound(struct zrx_nic *nic, struct zrx_error *error)
{
	(void)nic;
	(void)error;
	return 0;
}

int __wrap_zrx_nic_admit(struct zrx_nic *nic, int fd, struct zrx_error *error)
{
	(void)nic;
	(void)fd;
	(void)error;
	return 0;
}

int __wrap_zrx_nic_steer_add(struct zrx_nic *nic, int fd, uint32_t *rule, struct zrx_error *error)
{
	(void)nic;
	(void)fd;
	(void)error;
	*rule = ZRX_NIC_NO_RULE;
	return 0;
}

void __wrap_zrx_nic_retire(struct zrx_nic *nic)
{
	(void)nic;
}

int __wrap_zrx_nic_release(struct zrx_nic *nic, int registered)
{
	(void)nic;
	(void)registered;
	return 0;
}
