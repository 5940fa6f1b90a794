/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_nic.h"

static struct fake_nic *fake_of(struct zrx_nic_device *device)
{
	return (struct fake_nic *)device;
}

/* What becomes of this call: 0 go on, FAKE_*. */
static int fake_fate(struct fake_nic *fake)
{
	if (++fake->calls != fake->fail_call)
		return 0;
	if (fake->fail_how == FAKE_DIE_BEFORE)
		_exit(0);
	if (fake->fail_how == FAKE_FAIL_CLEAN || fake->fail_how == FAKE_FAIL_DONE)
		snprintf(fake->base.kernel_text, sizeof(fake->base.kernel_text), "as told");
	return fake->fail_how;
}

static int fake_bound_count(const struct fake_nic *fake)
{
	int count = 0;

	for (int i = 0; i < FAKE_QUEUES; i++)
		count += !!fake->bound[i];
	return count;
}

/* A call that reads: it can fail, or be the last of its process. */
static int fake_read(struct zrx_nic_device *device)
{
	int fate = fake_fate(fake_of(device));

	if (fate == FAKE_DIE_AFTER)
		_exit(0);
	if (fake_of(device)->gone)
		return -ENODEV;
	return fate == FAKE_FAIL_CLEAN || fate == FAKE_FAIL_DONE ? -EIO : 0;
}

/* A call that changes a setting, if the kernel's rules (refusal: 0 or -errno) let it. */
static int fake_write(struct zrx_nic_device *device, int refusal, void *setting, const void *value,
		      size_t size)
{
	int fate = fake_fate(fake_of(device));

	if (fate == FAKE_FAIL_CLEAN)
		return -EIO;
	if (fake_of(device)->gone)
		return -ENODEV;
	if (fate != FAKE_LIE && refusal)
		return refusal;
	if (fate != FAKE_LIE)
		memcpy(setting, value, size);
	if (fate == FAKE_DIE_AFTER)
		_exit(0);
	return fate == FAKE_FAIL_DONE ? -EIO : 0;
}

static int fake_driver(struct zrx_nic_device *device, struct zrx_ethtool_driver *found)
{
	memset(found, 0, sizeof(*found));
	snprintf(found->driver, sizeof(found->driver), "%s", fake_of(device)->driver);
	snprintf(found->bus, sizeof(found->bus), "0000:00:01.0");
	return 0;
}

static int fake_channels(struct zrx_nic_device *device, struct zrx_ethtool_channels *found)
{
	(void)device;
	found->rx = found->max = FAKE_QUEUES;
	return 0;
}

static int fake_queues(struct zrx_nic_device *device, struct zrx_netdev_queue *found,
		       uint32_t capacity)
{
	struct fake_nic *fake = fake_of(device);
	int result = fake_read(device);

	if (result || fake->down)
		return result;
	for (uint32_t i = 0; i < FAKE_QUEUES && i < capacity; i++) {
		memset(&found[i], 0, sizeof(found[i]));
		found[i].id = i;
		found[i].napi_id = fake->one_poller ? 100 : 100 + i;
		found[i].bound = fake->bound[i];
	}
	return FAKE_QUEUES;
}

static int fake_xdp(struct zrx_nic_device *device, uint32_t *attached)
{
	*attached = fake_of(device)->xdp;
	return fake_read(device);
}

static int fake_mtu(struct zrx_nic_device *device, uint32_t *mtu)
{
	*mtu = fake_of(device)->mtu;
	return fake_read(device);
}

static int fake_rings(struct zrx_nic_device *device, struct zrx_ethtool_rings *rings)
{
	struct fake_nic *fake = fake_of(device);

	memset(rings, 0, sizeof(*rings));
	rings->rx = fake->rx_ring;
	rings->rx_max = 8192;
	rings->jumbo = fake->jumbo_ring;
	rings->buf_len = fake->buf_len;
	rings->split = fake->state.split ? fake->state.split : fake->split_default;
	rings->has_thresh = 1;
	rings->thresh = fake->state.thresh;
	return fake->no_rings ? -EOPNOTSUPP : fake_read(device);
}

static int fake_split_set(struct zrx_nic_device *device, uint32_t split, uint32_t *changed)
{
	struct fake_nic *fake = fake_of(device);
	int refusal = fake->no_split                                    ? -EOPNOTSUPP
		      : split != ZRX_SPLIT_ON && fake_bound_count(fake) ? -EINVAL
		      : split == ZRX_SPLIT_OFF && fake->no_disable      ? -EINVAL
									: 0;

	*changed = split != fake->state.split;
	return fake_write(device, refusal, &fake->state.split, &split, sizeof(split));
}

static int fake_thresh_set(struct zrx_nic_device *device, uint32_t thresh)
{
	struct fake_nic *fake = fake_of(device);

	return fake_write(device, thresh && fake_bound_count(fake) ? -EINVAL : 0,
			  &fake->state.thresh, &thresh, sizeof(thresh));
}

static uint32_t *fake_feature_of(struct fake_nic *fake, const char *feature)
{
	return strcmp(feature, ZRX_NIC_NTUPLE) ? &fake->state.hw_gro : &fake->state.ntuple;
}

static int fake_feature(struct zrx_nic_device *device, const char *feature, uint32_t *state)
{
	*state = *fake_feature_of(fake_of(device), feature) ? ZRX_FEATURE_STATE_ON : 0;
	return fake_read(device);
}

static int fake_feature_set(struct zrx_nic_device *device, const char *feature, int on)
{
	struct fake_nic *fake = fake_of(device);
	uint32_t value = (uint32_t)on;
	int refusal = fake->no_ntuple && on && !strcmp(feature, ZRX_NIC_NTUPLE) ? -EOPNOTSUPP : 0;
	int result =
		fake_write(device, refusal, fake_feature_of(fake, feature), &value, sizeof(value));

	if (!fake->state.ntuple)
		memset(fake->state.rule_used, 0, sizeof(fake->state.rule_used));
	return result;
}

static int fake_rss(struct zrx_nic_device *device, struct zrx_ethtool_rss *rss)
{
	*rss = fake_of(device)->state.rss;
	return fake_read(device);
}

static int fake_rss_set(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss)
{
	struct fake_nic *fake = fake_of(device);
	struct zrx_ethtool_rss plain = {.count = fake->state.rss.count};

	for (uint32_t i = 0; i < plain.count; i++)
		plain.queue[i] = i % FAKE_QUEUES;
	return fake_write(device, 0, &fake->state.rss, rss ? rss : &plain, sizeof(plain));
}

/* The context's index, or -errno. */
static int fake_context_of(const struct fake_nic *fake, uint32_t context)
{
	if (fake->no_contexts)
		return -EOPNOTSUPP;
	return context && context <= FAKE_CONTEXTS && fake->state.context_used[context - 1]
		       ? (int)context - 1
		       : -ENOENT;
}

static int fake_context(struct zrx_nic_device *device, uint32_t context,
			struct zrx_ethtool_rss *rss)
{
	struct fake_nic *fake = fake_of(device);
	int index = fake_context_of(fake, context), result = fake_read(device);

	if (result || index < 0)
		return result ? result : index;
	*rss = fake->state.contexts[index];
	return 0;
}

static void fake_replace(struct fake_nic *fake)
{
	for (uint32_t i = 0; fake->replace_at_context && i < FAKE_RULES; i++) {
		fake->state.rules[i].flow_type &= ~(uint32_t)FLOW_RSS;
		fake->state.rules[i].ring_cookie = FAKE_FOREIGN_QUEUE;
		if (fake->replace_at_context == 1)
			fake->state.rules[i].h_u.tcp_ip4_spec.pdst ^= 1;
	}
	fake->replace_at_context = 0;
}

int fake_foreign(const struct fake_nic *fake)
{
	int count = 0;

	for (uint32_t i = 0; i < FAKE_RULES; i++)
		count += fake->state.rule_used[i] && !(fake->state.rules[i].flow_type & FLOW_RSS) &&
			 fake->state.rules[i].ring_cookie == FAKE_FOREIGN_QUEUE;
	return count;
}

/* As the kernel does: the lowest number that is free. */
static int fake_context_add(struct zrx_nic_device *device, const struct zrx_ethtool_rss *rss,
			    uint32_t *context)
{
	struct fake_nic *fake = fake_of(device);
	uint32_t index = 0, used = 1;
	int refusal = fake->no_contexts ? -EOPNOTSUPP : 0;

	while (index < FAKE_CONTEXTS && fake->state.context_used[index])
		index++;
	if (index == FAKE_CONTEXTS)
		return -ENOSPC;
	fake->state.contexts[index] = *rss;
	*context = index + 1;
	fake_replace(fake);
	return fake_write(device, refusal, &fake->state.context_used[index], &used, sizeof(used));
}

static int fake_context_set(struct zrx_nic_device *device, uint32_t context,
			    const struct zrx_ethtool_rss *rss)
{
	struct fake_nic *fake = fake_of(device);
	int index = fake_context_of(fake, context);

	return index < 0 ? index
			 : fake_write(device, 0, &fake->state.contexts[index], rss, sizeof(*rss));
}

static int fake_context_remove(struct zrx_nic_device *device, uint32_t context)
{
	struct fake_nic *fake = fake_of(device);
	int index = fake_context_of(fake, context), refusal = 0;
	uint32_t used = 0;

	if (index < 0)
		return index;
	for (uint32_t i = 0; i < FAKE_RULES; i++)
		if (fake->state.rule_used[i] && fake->state.rules[i].flow_type & FLOW_RSS &&
		    fake->state.rule_context[i] == context)
			refusal = -EBUSY;
	return fake_write(device, refusal, &fake->state.context_used[index], &used, sizeof(used));
}

static int fake_rules(struct zrx_nic_device *device, struct zrx_ethtool_rule_table *table)
{
	struct fake_nic *fake = fake_of(device);

	memset(table, 0, sizeof(*table));
	table->size = FAKE_RULES;
	table->any = fake->chooses;
	for (uint32_t i = 0; i < FAKE_RULES; i++)
		if (fake->state.rule_used[i])
			table->location[table->count++] = i;
	return fake_read(device);
}

static uint32_t fake_rule_count(const struct fake_nic *fake)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FAKE_RULES; i++)
		count += fake->state.rule_used[i];
	return count;
}

static int fake_rule(struct zrx_nic_device *device, uint32_t location,
		     struct ethtool_rx_flow_spec *rule, uint32_t *context)
{
	struct fake_nic *fake = fake_of(device);
	int result = fake_read(device);

	if (result)
		return result;
	if (location >= FAKE_RULES || !fake->state.rule_used[location]) {
		fake->crashes += !fake->chooses && !fake_rule_count(fake);
		return fake->chooses ? -EINVAL : -ENOENT;
	}
	*rule = fake->state.rules[location];
	if (context)
		*context = rule->flow_type & FLOW_RSS ? fake->state.rule_context[location] : 0;
	return 0;
}

static int fake_rule_refusal(const struct fake_nic *fake, const struct ethtool_rx_flow_spec *rule,
			     uint32_t *place)
{
	*place = rule->location;
	if (!fake->state.ntuple)
		return -EPERM;
	if (fake->chooses != (rule->location == RX_CLS_LOC_ANY))
		return -EINVAL;
	if (fake->no_ipv6 && rule->flow_type == TCP_V6_FLOW)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; !fake->replaces && i < FAKE_RULES; i++)
		if (fake->state.rule_used[i] &&
		    (fake->state.rules[i].flow_type & ~(uint32_t)FLOW_RSS) == rule->flow_type &&
		    !memcmp(&fake->state.rules[i].h_u, &rule->h_u, sizeof(rule->h_u)))
			return -EEXIST;
	for (uint32_t i = 0; fake->chooses && i < FAKE_RULES; i++)
		if (!fake->state.rule_used[i])
			*place = i;
	if (fake->chooses && *place >= FAKE_RULES)
		return -ENOMEM; /* as bnxt says it */
	return *place < FAKE_RULES ? 0 : -ENOSPC;
}

static int fake_rule_add(struct zrx_nic_device *device, struct ethtool_rx_flow_spec *rule,
			 uint32_t context)
{
	struct fake_nic *fake = fake_of(device);
	uint32_t place, used = 1;
	int refusal = fake_rule_refusal(fake, rule, &place), known;

	if (!refusal && context)
		refusal = fake->no_context_rules               ? -EOPNOTSUPP
			  : fake_context_of(fake, context) < 0 ? -EINVAL
							       : 0;
	known = !refusal;

	if (known) {
		fake->state.rules[place] = *rule;
		fake->state.rules[place].location = place;
		fake->state.rules[place].flow_type |= context ? FLOW_RSS : 0;
		fake->state.rule_context[place] = context;
	}
	refusal = fake_write(device, refusal, &fake->state.rule_used[known ? place : 0], &used,
			     sizeof(used));
	if (!refusal)
		rule->location = place;
	return refusal;
}

static int fake_rule_remove(struct zrx_nic_device *device, uint32_t location)
{
	struct fake_nic *fake = fake_of(device);
	uint32_t used = 0;

	if (location >= FAKE_RULES || !fake->state.rule_used[location])
		return -ENOENT;
	return fake_write(device, 0, &fake->state.rule_used[location], &used, sizeof(used));
}

static void fake_pause(struct zrx_nic_device *device, uint32_t milliseconds)
{
	struct fake_nic *fake = fake_of(device);

	(void)milliseconds;
	if (++fake->pauses == fake->unbind_after)
		memset(fake->bound, 0, sizeof(fake->bound));
}

static const struct zrx_nic_ops fake_ops = {
	.driver = fake_driver,
	.channels = fake_channels,
	.queues = fake_queues,
	.xdp = fake_xdp,
	.mtu = fake_mtu,
	.rings = fake_rings,
	.split_set = fake_split_set,
	.thresh_set = fake_thresh_set,
	.feature = fake_feature,
	.feature_set = fake_feature_set,
	.rss = fake_rss,
	.rss_set = fake_rss_set,
	.context = fake_context,
	.context_add = fake_context_add,
	.context_set = fake_context_set,
	.context_remove = fake_context_remove,
	.rules = fake_rules,
	.rule = fake_rule,
	.rule_add = fake_rule_add,
	.rule_remove = fake_rule_remove,
	.pause_ms = fake_pause,
};

struct fake_nic *fake_new(void)
{
	struct fake_nic *fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (fake == MAP_FAILED)
		abort();
	fake->base.ops = &fake_ops;
	fake->base.ifindex = 4242;
	snprintf(fake->base.name, sizeof(fake->base.name), "fake0");
	fake->driver = "fake";
	fake->split_default = ZRX_SPLIT_OFF;
	fake->state.thresh = 256;
	fake->mtu = 1500;
	fake->rx_ring = 512;
	fake->state.rss.count = 32;
	for (uint32_t i = 0; i < fake->state.rss.count; i++)
		fake->state.rss.queue[i] = i % FAKE_QUEUES;
	return fake;
}

void fake_free(struct fake_nic *fake)
{
	munmap(fake, sizeof(*fake));
}

int fake_differs(const struct fake_state *a, const struct fake_state *b)
{
	if (a->split != b->split || a->thresh != b->thresh || a->ntuple != b->ntuple ||
	    a->hw_gro != b->hw_gro || memcmp(&a->rss, &b->rss, sizeof(a->rss)) ||
	    memcmp(a->rule_used, b->rule_used, sizeof(a->rule_used)))
		return 1;
	for (int i = 0; i < FAKE_RULES; i++)
		if (a->rule_used[i] && (memcmp(&a->rules[i], &b->rules[i], sizeof(a->rules[i])) ||
					a->rule_context[i] != b->rule_context[i]))
			return 1;
	for (int i = 0; i < FAKE_CONTEXTS; i++)
		if (a->context_used[i] != b->context_used[i] ||
		    (a->context_used[i] && !zrx_rss_equal(&a->contexts[i], &b->contexts[i])))
			return 1;
	return 0;
}
