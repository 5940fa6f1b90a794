/* SPDX-License-Identifier: MIT */
/* The public calls on NICs: inspect, demand, plan, apply, undo, restore. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>

#include "check.h"
#include "error.h"
#include "nic/claim/claim.h"
#include "nic/demand.h"
#include "nic/inspect.h"
#include "options.h"

int zrx_nic_inspect(const char *interface, uint32_t queue, struct zrx_nic_report *report,
		    struct zrx_error *error)
{
	struct zrx_nic_report found;
	struct zrx_nic_device *device;
	int result;

	zrx_error_clear(error);
	if (!report || report->size < offsetof(struct zrx_nic_report, ifindex))
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, "set report.size",
				     "the report has no size");
	result = zrx_nic_device_open(&device, interface, error);
	if (result)
		return result;
	found.checks = malloc(ZRX_NIC_CHECKS * sizeof(*found.checks));
	if (found.checks) {
		zrx_nic_report_make(device, queue, &found);
		result = zrx_check_copy_out(report, &found, sizeof(found));
	} else {
		result = zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	}
	free(found.checks);
	zrx_nic_device_close(device);
	return result;
}

/* The steps that the caller has room for, and how many there are. */
struct setup_steps {
	struct zrx_nic_step *steps;
	uint32_t capacity;
	uint32_t count;
};

static void setup_write_step(struct setup_steps *to, const char *setting, const char *command)
{
	struct zrx_nic_step step = {0};

	snprintf(step.setting, sizeof(step.setting), "%s", setting);
	snprintf(step.command, sizeof(step.command), "%s", command);
	if (to->count < to->capacity)
		to->steps[to->count] = step;
	to->count++;
}

static void setup_write_plan(const struct zrx_nic_plan *plan, const struct zrx_port_plan *port,
			     const char *name, struct setup_steps *to)
{
	const char *setting;
	char command[sizeof(to->steps->command)];

	for (uint32_t i = 0; i < ZRX_STEPS; i++) {
		uint32_t step = plan->steps & 1u << i;

		if (!step)
			continue;
		zrx_nic_step_command(step, plan, name, command, sizeof(command));
		setup_write_step(to, zrx_nic_step_name(step), command);
	}
	for (uint32_t i = 0; zrx_port_plan_step(port, i, name, &setting, command, sizeof(command));
	     i++)
		setup_write_step(to, setting, command);
}

static int setup_begin(const struct zrx_options *options, struct zrx_options *checked,
		       struct zrx_nic_device **device, struct zrx_error *error)
{
	int result;

	zrx_error_clear(error);
	result = zrx_options_check(checked, options, error);
	return result ? result : zrx_nic_device_open(device, checked->interface, error);
}

static int demand_of(struct zrx_nic_device *device, const struct zrx_options *options,
		     struct zrx_nic_demand *demand, struct zrx_error *error)
{
	struct zrx_check checks[ZRX_NIC_CHECKS];
	struct zrx_nic_report report = {.checks = checks};
	int result;

	zrx_nic_report_make(
		device, options->flags & ZRX_QUEUE ? options->queue : ZRX_NIC_FREE_QUEUE, &report);
	if (options->flags & ZRX_QUEUE && report.queue_count && report.queue >= report.queue_count)
		return zrx_error_set(error, -ERANGE, ZRX_STAGE_NIC, "choose a lower one",
				     "%s has no queue %u", device->name, options->queue);
	demand->queue = report.queue;
	result = zrx_demand_read(device, options->buffer_bytes, demand);
	if (result == -EOPNOTSUPP)
		return zrx_error_set(error, result, ZRX_STAGE_NIC,
				     "name a physical interface whose driver has receive queues",
				     "%s: the driver tells no receive rings", device->name);
	return result ? zrx_error_set(error, result, ZRX_STAGE_NIC, "try again",
				      "%s: its rings cannot be read: %s", device->name,
				      strerror(-result))
		      : 0;
}

int zrx_nic_demand(const struct zrx_options *options, struct zrx_nic_demand *demand,
		   struct zrx_error *error)
{
	struct zrx_nic_demand found = {.size = sizeof(found)};
	struct zrx_options checked;
	struct zrx_nic_device *device;
	int result;

	zrx_error_clear(error);
	if (!demand || demand->size < sizeof(demand->size))
		return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, "set demand.size",
				     "the demand has no size");
	result = setup_begin(options, &checked, &device, error);
	if (result)
		return result;
	result = demand_of(device, &checked, &found, error);
	zrx_nic_device_close(device);
	return result ? result : zrx_copy_out(demand, &found, sizeof(found));
}

int zrx_nic_plan(const struct zrx_options *options, struct zrx_nic_step *steps, uint32_t capacity,
		 uint32_t *queue, struct zrx_error *error)
{
	struct setup_steps to = {steps, steps ? capacity : 0, 0};
	struct {
		struct zrx_nic_plan nic;
		struct zrx_port_plan port;
	} * plan;
	struct zrx_options checked;
	struct zrx_nic_device *device;
	int result = setup_begin(options, &checked, &device, error);

	if (result)
		return result;
	plan = calloc(1, sizeof(*plan));
	result =
		plan ? zrx_claim_plan(device, NULL, &checked, queue, &plan->nic, &plan->port, error)
		     : zrx_error_set(error, -ENOMEM, ZRX_STAGE_NIC, NULL, "out of memory");
	if (!result) {
		setup_write_plan(&plan->nic, &plan->port, checked.interface, &to);
		result = (int)to.count;
	}
	free(plan);
	zrx_nic_device_close(device);
	return result;
}

int zrx_nic_apply(const struct zrx_options *options, uint32_t *queue, struct zrx_error *error)
{
	struct zrx_options checked;
	struct zrx_nic_device *device;
	struct zrx_claim claim;
	int result = setup_begin(options, &checked, &device, error);

	if (result)
		return result;
	result = zrx_claim_take(&claim, device, NULL, &checked, 1, error);
	if (!result && checked.steer == ZRX_STEER_PORT) {
		result = zrx_claim_steer_port(&claim, (uint16_t)checked.steer_port, error);
		if (result)
			zrx_claim_drop(&claim, NULL);
	}
	if (!result) {
		if (queue)
			*queue = claim.queue;
		zrx_claim_leave(&claim);
	}
	zrx_nic_device_close(device);
	return result;
}

/* Marks the persistent claims on a queue as ended; returns how many, or -EBUSY while one is
 * bound. */
static int setup_give_up(struct zrx_nic_device *device, int directory, uint32_t queue,
			 struct zrx_error *error)
{
	struct zrx_journal_entry *entries;
	int count = zrx_journal_list(directory, zrx_journal_net_space(), device->ifindex, &entries);
	struct zrx_netdev_queue found;
	int result = 0, given = 0;

	for (int i = 0; !result && i < count; i++) {
		const struct zrx_journal *journal = &entries[i].journal;

		if (entries[i].state || !journal->owner.persistent || journal->released ||
		    (queue != ZRX_NIC_FREE_QUEUE && journal->queue != queue))
			continue;
		/* A ring that has just been closed lets its queue go a little later. */
		if (!zrx_nic_device_queue(device, journal->queue, &found) &&
		    found.bound & ZRX_BOUND_IO_URING &&
		    zrx_claim_wait_unbound(device, journal->queue, ZRX_UNBIND_OTHER_MS))
			result = zrx_error_set(error, -EBUSY, ZRX_STAGE_QUEUE,
					       "close it, and release the buffers that are out",
					       "%s: a receiver is bound to queue %u", device->name,
					       journal->queue);
		else
			result = zrx_journal_append_released(directory, entries[i].name);
		given += !result;
	}
	if (count > 0)
		zrx_journal_list_free(entries, count);
	return count < 0 ? count : result ? result : given;
}

/* One interface, under its lock. give_up: end persistent claims on the queue first. */
static int setup_sweep(const char *interface, int directory, int give_up, uint32_t queue,
		       struct zrx_error *error)
{
	struct zrx_nic_device *device;
	uint64_t space = zrx_journal_net_space();
	int result = zrx_nic_device_open(&device, interface, error), given = 0, lock;
	uint32_t alive;

	if (result)
		return result;
	lock = zrx_journal_lock(directory, space, device->ifindex);
	if (lock < 0)
		result = zrx_error_set(error, lock, ZRX_STAGE_NIC, "run as root, or try again",
				       "%s: the lock of its set-ups cannot be had: %s", interface,
				       strerror(-lock));
	if (!result && give_up)
		result = given = setup_give_up(device, directory, queue, error);
	if (result >= 0)
		result = zrx_claim_sweep(device, directory, space, &alive, error);
	zrx_journal_unlock(lock);
	zrx_nic_device_close(device);
	return result < 0 || !give_up ? result : given;
}

/*
 * Where the journals are; -ENOENT if there are none. An interface that is named has to exist all
 * the same (NULL: none is).
 */
static int setup_journals(const char *interface, struct zrx_error *error)
{
	int directory = zrx_journal_directory_existing(NULL), result;
	struct zrx_nic_device *device;

	if (directory < 0 && directory != -ENOENT)
		zrx_error_set(error, directory, ZRX_STAGE_NIC, "run as root", "%s: %s",
			      ZRX_JOURNAL_DIRECTORY, strerror(-directory));
	if (directory != -ENOENT || !interface)
		return directory;
	result = zrx_nic_device_open(&device, interface, error);
	if (result)
		return result;
	zrx_nic_device_close(device);
	return -ENOENT;
}

int zrx_nic_undo(const char *interface, uint32_t queue, struct zrx_error *error)
{
	int directory, result;

	zrx_error_clear(error);
	directory = setup_journals(interface, error);
	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	result = setup_sweep(interface, directory, 1, queue, error);
	close(directory);
	return result;
}

/* The interface is gone: its journals are of no use. */
static int setup_forget(int directory, const struct zrx_journal_entry *entry)
{
	return zrx_journal_remove(directory, entry->name) ? 0 : 1;
}

static int setup_restore_all(int directory, struct zrx_error *error)
{
	struct zrx_journal_entry *entries;
	int count = zrx_journal_list(directory, zrx_journal_net_space(), 0, &entries);
	int result = count < 0 ? count : 0, restored = 0;
	char name[IF_NAMESIZE];

	for (int i = 0; i < count; i++) {
		int code, seen = 0;

		for (int j = 0; j < i; j++)
			seen |= entries[j].journal.ifindex == entries[i].journal.ifindex;
		if (!if_indextoname(entries[i].journal.ifindex, name))
			code = setup_forget(directory, &entries[i]);
		else
			code = seen ? 0 : setup_sweep(name, directory, 0, 0, result ? NULL : error);
		if (code < 0 && !result)
			result = code;
		restored += code > 0 ? code : 0;
	}
	if (count > 0)
		zrx_journal_list_free(entries, count);
	return result ? result : restored;
}

int zrx_nic_restore(const char *interface, struct zrx_error *error)
{
	int directory, result;

	zrx_error_clear(error);
	directory = setup_journals(interface, error);
	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	result = interface ? setup_sweep(interface, directory, 0, 0, error)
			   : setup_restore_all(directory, error);
	close(directory);
	return result;
}
