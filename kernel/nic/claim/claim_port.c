/* SPDX-License-Identifier: MIT */
/* A claim that shares a port with others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "nic/claim/claim.h"
#include "nic/claim/share.h"

/* directory < 0: nobody has ever claimed anything. except: see zrx_sharers_find. */
static int port_look(int directory, uint32_t ifindex, uint16_t port, const char *except,
		     struct zrx_sharers *others)
{
	struct zrx_journal_entry *entries = NULL;
	int count = 0;

	if (directory >= 0)
		count = zrx_journal_list(directory, zrx_journal_net_space(), ifindex, &entries);
	zrx_sharers_find(entries, count, port, except, others);
	zrx_journal_list_free(entries, count);
	return count < 0 ? count : 0;
}

static int port_refused(const struct zrx_nic_device *device, const struct zrx_port_plan *plan,
			uint16_t port, int code, struct zrx_error *error)
{
	const char *name = device->name;
	char hint[200];

	snprintf(hint, sizeof(hint), "ethtool -n %s shows it, ethtool -N %s delete N removes it",
		 name, name);
	if (code == -EEXIST)
		return zrx_error_set(error, code, ZRX_STAGE_NIC, hint,
				     "%s: there is a flow rule for port %u already", name, port);
	if (code == -ENOSPC)
		return zrx_error_set(error, code, ZRX_STAGE_NIC,
				     "remove some rules (ethtool -N), or steer yourself "
				     "(ZRX_STEER_NONE)",
				     "%s: its table of flow rules is full", name);
	if (plan->context)
		return zrx_error_set(
			error, code, ZRX_STAGE_NIC,
			"give each receiver a port, or steer by connection "
			"(ZRX_STEER_CONNECTION)",
			"%s: port %u leads to another receiver's queue already, and an RSS context "
			"over both, with flow rules to it, cannot be had from the driver: %s",
			name, port, strerror(-code));
	return zrx_error_set(error, code, ZRX_STAGE_NIC,
			     "steer by connection (ZRX_STEER_CONNECTION), or yourself "
			     "(ZRX_STEER_NONE)",
			     "%s: the driver does not take a flow rule for port %u: %s", name, port,
			     code == -EIO ? "it reads back otherwise" : strerror(-code));
}

int zrx_claim_plan_port(struct zrx_nic_device *device, int directory, uint16_t port, uint32_t queue,
			struct zrx_port_plan *plan, struct zrx_error *error)
{
	struct zrx_sharers others;
	int result = port_look(directory, device->ifindex, port, NULL, &others);

	if (!result)
		result = zrx_share_plan(device, &others, queue, plan);
	return result ? port_refused(device, plan, port, result, error) : 0;
}

/* Back to what the others need. What fails is done by the sweep, which finds the port in our
 * journal. */
static void port_withdraw(struct zrx_claim *claim, struct zrx_sharers *sharers,
			  const struct zrx_sharers *others)
{
	sharers->alive = others->alive;
	if (!zrx_share_settle(claim->device, sharers) && !zrx_journal_port(&claim->file, 0))
		claim->port = 0;
}

void zrx_claim_leave_port(struct zrx_claim *claim)
{
	struct zrx_sharers sharers, others;
	uint16_t port = (uint16_t)claim->port;
	uint32_t ifindex = claim->device->ifindex;
	int lock = zrx_claim_lock(claim, NULL);

	if (lock < 0)
		return;
	if (!port_look(claim->directory, ifindex, port, NULL, &sharers) &&
	    !port_look(claim->directory, ifindex, port, claim->file.name, &others))
		port_withdraw(claim, &sharers, &others);
	zrx_journal_unlock(lock);
}

static int port_join(struct zrx_claim *claim, uint16_t port, struct zrx_port_plan *plan)
{
	struct zrx_sharers others, sharers;
	int result = port_look(claim->directory, claim->device->ifindex, port, claim->file.name,
			       &others);

	if (!result)
		result = zrx_share_plan(claim->device, &others, claim->queue, plan);
	if (!result)
		result = zrx_journal_port(&claim->file, port);
	if (result)
		return result;
	claim->port = port;
	sharers = others;
	zrx_queue_set_add(&sharers.alive, claim->queue);
	zrx_queue_set_add(&sharers.all, claim->queue);
	result = zrx_share_apply(claim->device, &sharers, plan, &claim->file);
	if (result)
		port_withdraw(claim, &sharers, &others);
	return result;
}

int zrx_claim_steer_port(struct zrx_claim *claim, uint16_t port, struct zrx_error *error)
{
	struct zrx_port_plan plan = {0};
	int lock = zrx_claim_lock(claim, error), result;

	if (lock < 0)
		return lock;
	result = port_join(claim, port, &plan);
	zrx_journal_unlock(lock);
	return result ? port_refused(claim->device, &plan, port, result, error) : 0;
}
