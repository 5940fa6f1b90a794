/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "nic_model.h"
#include "sim.h"
#include "tcp_model.h"
#include "uring.h"
#include "zcrx_model.h"

#define CHUNKS_MAX   4096u
#define PARTS_MAX    64u
#define HEAD_OFFSET  64u
#define TAIL_OFFSET  128u
#define DRIVER_BATCH 64u
#define SKBS_MOST    20u

enum place { FREE_LIST, POOL, IN_USE };

struct chunk {
	enum place place;
	uint32_t users;  /* completions not yet given back */
	uint32_t frags;  /* segments that wait in sockets, and the driver while it fills it */
	uint32_t pooled; /* it came by way of the driver */
};

/* An area of the kernel's. */
struct part {
	uint8_t *memory;
	uint32_t first; /* of its chunks, in the count of all */
	uint32_t count;
	uint64_t token;
};

static struct ifq {
	uint8_t *area; /* the first one's memory; NULL: not registered */
	uint32_t shift;
	struct part parts[PARTS_MAX];
	uint32_t part_count;
	uint32_t count;
	struct chunk chunks[CHUNKS_MAX];
	uint32_t stack[2][CHUNKS_MAX]; /* of FREE_LIST and POOL */
	uint32_t stacked[2];
	uint32_t users;
	/* refill ring */
	uint32_t *head, *tail;
	struct zrx_uapi_rqe *entries;
	uint32_t entry_count, taken;
	/* the chunk that the driver is filling */
	int32_t filling;
	uint32_t filled;
	uint32_t nodev;
	uint32_t came_back; /* by a flush, since a copy last found no chunk */
	/* events */
	uint32_t wanted, fired, due;
	uint64_t user_data;
	uint64_t stats_offset;
	struct zrx_uapi_zcrx_stats *stats; /* NULL: not asked for */
} ifq;

void sim_zcrx_begin(void)
{
	ifq = (struct ifq){.filling = -1};
}

static const struct part *part_of(uint32_t index)
{
	const struct part *part = ifq.parts;

	while (index - part->first >= part->count)
		part++;
	return part;
}

static uint8_t *chunk_memory(uint32_t index)
{
	const struct part *part = part_of(index);

	return part->memory + ((uint64_t)(index - part->first) << ifq.shift);
}

static uint32_t chunk_bytes(void)
{
	return 1u << ifq.shift;
}

/* ---- where chunks are ---- */

static void put(uint32_t index, enum place place)
{
	uint8_t *memory = chunk_memory(index);

	sim_check_unused(memory, chunk_bytes(), "put back");
	memset(memory, 0xd5, chunk_bytes()); /* the kernel's: it may hold anything */
	ifq.chunks[index] = (struct chunk){.place = place, .pooled = place == POOL};
	ifq.stack[place][ifq.stacked[place]++] = index;
}

static int32_t get(enum place place)
{
	uint32_t index;

	if (!ifq.stacked[place])
		return -1;
	index = ifq.stack[place][--ifq.stacked[place]];
	ifq.chunks[index].place = IN_USE;
	ifq.chunks[index].pooled = place == POOL;
	return (int32_t)index;
}

/* The last reference is gone. */
static void put_if_unused(uint32_t index, int to_driver)
{
	const struct chunk *chunk = &ifq.chunks[index];

	if (chunk->users || chunk->frags)
		return;
	if (chunk->pooled && (to_driver || sim_chance(sim.kernel.pool_keeps)))
		put(index, POOL);
	else
		put(index, FREE_LIST);
}

void sim_zcrx_unplace(int32_t index)
{
	if (!ifq.area)
		return; /* the area is gone, the socket lived on */
	ifq.chunks[index].frags--;
	put_if_unused((uint32_t)index, 0);
}

static void finish_filling(void)
{
	if (ifq.filling < 0)
		return;
	ifq.chunks[ifq.filling].frags--;
	put_if_unused((uint32_t)ifq.filling, 0);
	ifq.filling = -1;
}

void sim_zcrx_relent(void)
{
	int32_t index;

	if (!ifq.area || ifq.stacked[FREE_LIST] || !sim_chance(30))
		return;
	finish_filling();
	index = get(POOL);
	if (index >= 0) {
		sim_trace("the page pool lets chunk %d go", index);
		put((uint32_t)index, FREE_LIST);
	}
}

int sim_zcrx_starved(const struct sim_socket *socket)
{
	return ifq.area && socket->segment_count && socket->segments[socket->first].chunk < 0 &&
	       !ifq.users && !ifq.stacked[FREE_LIST] && !ifq.stacked[POOL];
}

int sim_zcrx_came_back(void)
{
	return ifq.area && ifq.came_back && ifq.stacked[FREE_LIST];
}

/*
 * Kernels up to 6.18 do this while the driver still posts what comes back, and the NIC writes into
 * it; newer ones have stopped the queue, so that nothing is written any more.
 */
static void give_back_all(void)
{
	for (uint32_t i = 0; i < ifq.count; i++) {
		if (!ifq.chunks[i].users)
			continue;
		ifq.chunks[i].users = 0;
		put_if_unused(i, 1);
	}
	ifq.users = 0;
	if (ifq.tail) /* what lies in the refill ring is void */
		ifq.taken = __atomic_load_n(ifq.tail, __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < sim_socket_count; i++)
		sim_socket_arrive(&sim_sockets[i]);
}

void sim_zcrx_scrub(void)
{
	if (ifq.area && !ifq.nodev && !sim.kernel.stops_queue_first)
		give_back_all();
	ifq.area = NULL;
}

uint32_t sim_zcrx_user_references(void)
{
	return ifq.area ? ifq.users : 0;
}

/* ---- the refill ring ---- */

int sim_zcrx_refill_full(void)
{
	return ifq.area && ifq.tail && sim_zcrx_pending() == ifq.entry_count;
}

uint32_t sim_zcrx_pending(void)
{
	uint32_t pending;

	if (!ifq.area || !ifq.tail)
		return 0;
	pending = __atomic_load_n(ifq.tail, __ATOMIC_ACQUIRE) - ifq.taken;
	if (pending > ifq.entry_count)
		sim_fail("the refill ring has %u entries, tail - head is %u", ifq.entry_count,
			 pending);
	return pending;
}

static uint32_t entry_chunk(const struct zrx_uapi_rqe *entry)
{
	uint64_t index = (entry->off & ~ZRX_UAPI_AREA_MASK) >> ifq.shift;

	for (uint32_t i = 0; i < ifq.part_count && !entry->pad; i++) {
		const struct part *part = &ifq.parts[i];

		if ((entry->off & ZRX_UAPI_AREA_MASK) == part->token && index < part->count)
			return part->first + (uint32_t)index;
	}
	sim_fail("a refill entry that is of none of the areas: off %llx",
		 (unsigned long long)entry->off);
}

static void take_entry(int to_driver)
{
	struct zrx_uapi_rqe *entry = &ifq.entries[ifq.taken & (ifq.entry_count - 1)];
	uint32_t index = entry_chunk(entry);

	if (!ifq.chunks[index].users)
		sim_fail("a refill entry for chunk %u, of which no buffer is out", index);
	memset(entry, 0xd5, sizeof(*entry)); /* worth nothing from now on */
	ifq.taken++;
	ifq.users--;
	ifq.chunks[index].users--;
	put_if_unused(index, to_driver);
	sim_progressed();
}

static uint32_t take_entries(uint32_t most, int to_driver)
{
	uint32_t count = sim_zcrx_pending();

	if (count > most)
		count = most;
	for (uint32_t i = 0; i < count; i++)
		take_entry(to_driver);
	__atomic_store_n(ifq.head, ifq.taken, __ATOMIC_RELEASE);
	return count;
}

static int flush(void)
{
	uint32_t count = take_entries(ifq.entry_count, 0);

	ifq.came_back |= count && ifq.stacked[FREE_LIST];
	sim_trace("flush takes %u entries", count);
	return 0;
}

/*
 * A driver takes from the ring only when packets come. Where the kernel can flush it, none but
 * those of the streams do: nobody may wait for room in it. Where it cannot, copies wait for
 * others'.
 */
int sim_zcrx_driver_step(void)
{
	return ifq.area && !ifq.nodev && !sim.kernel.flush &&
	       take_entries(sim_between(1, DRIVER_BATCH), 1);
}

/* ---- the NIC ---- */

static int32_t driver_chunk(void)
{
	int32_t index = get(POOL);

	if (index < 0 && take_entries(DRIVER_BATCH, 1))
		index = get(POOL);
	if (index < 0) {
		index = get(FREE_LIST);
		if (index >= 0)
			ifq.chunks[index].pooled = 1;
	}
	if (index < 0 && ifq.wanted & ~ifq.fired & 1u << ZRX_UAPI_EVENT_ALLOC_FAIL) {
		ifq.fired |= 1u << ZRX_UAPI_EVENT_ALLOC_FAIL;
		ifq.due |= 1u << ZRX_UAPI_EVENT_ALLOC_FAIL;
	}
	return index;
}

int sim_zcrx_place(struct sim_socket *socket, uint64_t offset, struct sim_segment *segment)
{
	if (!ifq.area)
		return 1;
	if (ifq.filling >= 0 && (ifq.filled == chunk_bytes() || sim_chance(50)))
		finish_filling();
	if (ifq.filling < 0) {
		ifq.filling = driver_chunk();
		ifq.filled = 0;
		if (ifq.filling < 0)
			return 0;
		ifq.chunks[ifq.filling].frags++;
	}
	if (segment->length > chunk_bytes() - ifq.filled)
		segment->length = chunk_bytes() - ifq.filled;
	segment->chunk = ifq.filling;
	segment->where = ifq.filled;
	ifq.chunks[ifq.filling].frags++;
	sim_payload_fill(socket, offset, chunk_memory((uint32_t)ifq.filling) + ifq.filled,
			 segment->length);
	ifq.filled += segment->length;
	return 1;
}

/* ---- receiving ---- */

static int complete(struct sim_request *request, uint32_t index, uint32_t offset, uint32_t length)
{
	const struct part *part = part_of(index);
	struct sim_completion completion = {
		.user_data = request->user_data,
		.res = (int32_t)length,
		.flags = IORING_CQE_F_MORE,
		.off = part->token | (((uint64_t)(index - part->first) << ifq.shift) + offset),
	};

	if (!sim_uring_post(&completion))
		return 0;
	ifq.chunks[index].users++;
	ifq.users++;
	return 1;
}

/* A part of the front segment, that is in kernel memory: into a chunk of its own. */
static int copy(struct sim_request *request, uint32_t most)
{
	struct sim_segment *segment = sim_socket_front(request->socket);
	uint32_t length = segment->length;
	int32_t index = get(FREE_LIST);

	if (index < 0) {
		ifq.came_back = 0;
		return -ENOMEM;
	}
	if (length > sim.kernel.page_bytes)
		length = sim.kernel.page_bytes;
	if (length > most)
		length = most;
	sim_payload_fill(request->socket, request->socket->consumed, chunk_memory((uint32_t)index),
			 length);
	if (!complete(request, (uint32_t)index, 0, length)) {
		put((uint32_t)index, FREE_LIST);
		return -ENOSPC;
	}
	if (ifq.stats) {
		ifq.stats->copy_count++;
		ifq.stats->copy_bytes += length;
	}
	return (int)length;
}

static int place(struct sim_request *request, uint32_t most)
{
	struct sim_segment *segment = sim_socket_front(request->socket);
	uint32_t length = segment->length < most ? segment->length : most;

	if (!complete(request, (uint32_t)segment->chunk, segment->where, length))
		return -ENOSPC;
	return (int)length;
}

/* Returns bytes, or what stopped it before the first. *cut: it was stopped early. */
static int read_socket(struct sim_request *request, int *cut)
{
	uint32_t skbs = sim_chance(20) ? sim_between(1, SKBS_MOST) : UINT32_MAX;
	int total = 0;

	*cut = 0;
	while (skbs-- && sim_socket_front(request->socket)) {
		uint32_t most = request->limited ? request->left : UINT32_MAX;
		int result = sim_socket_front(request->socket)->chunk < 0 ? copy(request, most)
									  : place(request, most);

		if (result < 0) {
			*cut = 1;
			return total ? total : result;
		}
		sim_socket_take(request->socket, (uint32_t)result);
		total += result;
		if (request->limited)
			request->left -= (uint32_t)result;
		if (request->limited && !request->left)
			break;
	}
	if (sim_socket_front(request->socket))
		request->woken = 1; /* more than one call takes */
	return total ? total : sim_socket_end(request->socket);
}

void sim_zcrx_receive(struct sim_request *request)
{
	int result, cut, polled = request->polled;

	if (!ifq.area || request->opcode != ZRX_UAPI_OP_RECV_ZC)
		sim_fail("a zero-copy receive without an area");
	request->woken = 0;
	request->polled = 1;
	result = read_socket(request, &cut);
	if (request->limited && !request->left) {
		sim_uring_finish(request, 0, 0);
	} else if (result == -EAGAIN) {
		return;
	} else if (result <= 0) {
		sim_uring_finish(request, result, 0);
	} else {
		/*
		 * Stopped early by a poll's wake, older kernels wait for the next wake. When it is
		 * stopped as it is submitted, polling begins, and finds the bytes. A reset that was
		 * there when bytes were read has woken it before: only of an end it is looked
		 * again.
		 */
		int reset = request->socket->error != 0;

		request->woken |= (request->socket->finished && !reset) || !polled ||
				  (cut && sim.kernel.requeues_early_stop);
		if ((cut || reset) && !request->woken)
			sim_trace("request %llx goes silent",
				  (unsigned long long)request->user_data);
	}
}

/* ---- events ---- */

int sim_zcrx_notice_due(void)
{
	return ifq.area && ifq.due;
}

void sim_zcrx_notices(void)
{
	for (uint32_t type = 0; ifq.area && ifq.due; type++) {
		if (ifq.due & 1u << type)
			sim_uring_notify(ifq.user_data, (int32_t)type);
		ifq.due &= ~(1u << type);
	}
}

static int arm_event(uint32_t type)
{
	if (!(ifq.fired & 1u << type))
		return -EINVAL;
	ifq.fired &= ~(1u << type);
	return 0;
}

/* ---- registration ---- */

static uint32_t control_opcodes(void)
{
	if (sim.kernel.add_area)
		return 4;
	if (sim.kernel.events)
		return 3;
	return sim.kernel.flush ? 2 : 0;
}

static int query(struct zrx_uapi_query_hdr *header)
{
	struct zrx_uapi_query_zcrx zcrx = {
		.register_flags = sim.kernel.nodev ? ZRX_UAPI_REG_NODEV | ZRX_UAPI_REG_IMPORT : 0,
		.area_flags = ZRX_UAPI_AREA_DMABUF,
		.nr_ctrl_opcodes = control_opcodes(),
		.features = (sim.kernel.rx_page_size ? ZRX_UAPI_FEATURE_RX_PAGE_SIZE : 0) |
			    (sim.kernel.events ? ZRX_UAPI_FEATURE_EVENT : 0),
	};
	struct zrx_uapi_query_zcrx_event event = {
		.event_flags = ZRX_UAPI_EVENT_FLAG_STATS,
		.stats_size = sizeof(struct zrx_uapi_zcrx_stats),
	};
	void *data = (void *)(uintptr_t)header->query_data;

	if (!sim.kernel.query)
		return -EINVAL;
	if (header->query_op == ZRX_UAPI_QUERY_ZCRX)
		memcpy(data, &zcrx, header->size < sizeof(zcrx) ? header->size : sizeof(zcrx));
	else if (header->query_op == ZRX_UAPI_QUERY_ZCRX_EVENT && sim.kernel.events)
		memcpy(data, &event, header->size < sizeof(event) ? header->size : sizeof(event));
	else
		header->result = -EOPNOTSUPP;
	return 0;
}

static int refuse(const struct zrx_uapi_ifq_reg *registration)
{
	if (registration->flags & ZRX_UAPI_REG_NODEV && !sim.kernel.nodev)
		return -EINVAL;
	if (registration->rx_buf_len && !sim.kernel.rx_page_size)
		return -EINVAL;
	if (registration->rx_buf_len && sim_chance(30))
		return sim_chance(50) ? -EOPNOTSUPP : -ERANGE;
	if (registration->event_desc && !sim.kernel.events)
		return -EINVAL;
	if (!registration->rq_entries || registration->rq_entries > ZRX_UAPI_RQ_MAX_ENTRIES ||
	    registration->rq_entries & (registration->rq_entries - 1))
		return -EINVAL;
	return sim_chance(sim.kernel.short_memory) ? -ENOMEM : 0;
}

void sim_zcrx_mapped(uint8_t *region)
{
	ifq.head = (void *)(region + HEAD_OFFSET);
	ifq.tail = (void *)(region + TAIL_OFFSET);
	ifq.entries = (void *)(region + sim.kernel.page_bytes);
	if (ifq.stats_offset)
		ifq.stats = (void *)(region + ifq.stats_offset);
	/* Close to the wrap of 32 bits, so that arithmetic on indexes is exercised. */
	*ifq.head = *ifq.tail = ifq.taken = 0u - sim_below(64);
}

static void add_part(const struct zrx_uapi_area_reg *area)
{
	struct part *part = &ifq.parts[ifq.part_count++];

	*part = (struct part){
		.memory = (void *)(uintptr_t)area->addr,
		.first = ifq.count,
		.count = (uint32_t)(area->len >> ifq.shift),
		.token = area->rq_area_token,
	};
	sim_memory_check(part->memory, area->len, "registered");
	ifq.count += part->count;
	for (uint32_t i = part->first; i < ifq.count; i++)
		put(i, FREE_LIST);
	if (!ifq.nodev) /* one lies behind the other */
		sim_nic_bind(ifq.area, (uint64_t)(part->memory + area->len - ifq.area));
}

static int register_ifq(struct zrx_uapi_ifq_reg *registration)
{
	struct zrx_uapi_area_reg *area = (void *)(uintptr_t)registration->area_ptr;
	struct zrx_uapi_region_desc *region = (void *)(uintptr_t)registration->region_ptr;
	uint32_t bytes =
		registration->rx_buf_len ? registration->rx_buf_len : sim.kernel.page_bytes;
	const struct zrx_uapi_event_desc *events =
		(const void *)(uintptr_t)registration->event_desc;
	int result = refuse(registration);

	if (result)
		return result;
	if (area->len / bytes > CHUNKS_MAX ||
	    region->size < sim.kernel.page_bytes + registration->rq_entries * sizeof(*ifq.entries))
		return -EINVAL;
	sim_zcrx_begin();
	ifq.area = (void *)(uintptr_t)area->addr;
	ifq.nodev = registration->flags & ZRX_UAPI_REG_NODEV;
	ifq.shift = (uint32_t)__builtin_ctz(bytes);
	ifq.entry_count = registration->rq_entries;
	registration->offsets =
		(struct zrx_uapi_offsets){HEAD_OFFSET, TAIL_OFFSET, sim.kernel.page_bytes, 0, {0}};
	registration->zcrx_id = 0;
	if (events) {
		ifq.wanted = events->type_mask;
		ifq.user_data = events->user_data;
		ifq.stats_offset = events->stats_offset;
	}
	if (region->user_addr)
		sim_zcrx_mapped((void *)(uintptr_t)region->user_addr);
	area->rq_area_token = sim.kernel.area_token;
	add_part(area);
	return 0;
}

/* No id is used twice; the kernel tells it before it knows whether there will be such an area. */
static int add_area(const struct zrx_uapi_ctrl *ctrl)
{
	struct zrx_uapi_area_reg *area = (void *)(uintptr_t)ctrl->u.add_area.area_ptr;

	for (uint32_t i = 0; i < sizeof(ctrl->u.add_area.resv) / sizeof(uint64_t); i++)
		if (ctrl->u.add_area.resv[i])
			return -EINVAL;
	if (area->rq_area_token)
		return -EINVAL;
	area->rq_area_token = ifq.parts[ifq.part_count - 1].token +
			      ((uint64_t)sim_between(1, 3) << ZRX_UAPI_AREA_SHIFT);
	if (area->flags || area->dmabuf_fd || !area->len ||
	    (area->addr | area->len) & (sim.kernel.page_bytes - 1))
		sim_fail("an area is added that is none");
	if (sim_chance(sim.kernel.refuses_growth) || sim_chance(sim.kernel.short_memory)) {
		sim_growth_refused("zcrx");
		return sim_chance(50) ? -ENOMEM : -ERANGE;
	}
	if (ifq.part_count == PARTS_MAX || ifq.count + (area->len >> ifq.shift) > CHUNKS_MAX)
		sim_fail("an area that is larger than this model");
	add_part(area);
	return 0;
}

static int control(const struct zrx_uapi_ctrl *ctrl)
{
	if (!ifq.area)
		return -ENXIO;
	if (ctrl->op == ZRX_UAPI_CTRL_FLUSH_RQ && sim.kernel.flush)
		return flush();
	if (ctrl->op == ZRX_UAPI_CTRL_ARM_EVENT && sim.kernel.events)
		return arm_event(ctrl->u.arm_event.event_type);
	if (ctrl->op == ZRX_UAPI_CTRL_ADD_AREA && sim.kernel.add_area)
		return add_area(ctrl);
	return -EOPNOTSUPP;
}

int sim_zcrx_register(unsigned opcode, void *argument, unsigned count)
{
	switch (opcode) {
	case ZRX_UAPI_REGISTER_QUERY:
		return query(argument);
	case ZRX_UAPI_REGISTER_ZCRX_IFQ:
		return count == 1 ? register_ifq(argument) : -EINVAL;
	case ZRX_UAPI_REGISTER_ZCRX_CTRL:
		return control(argument);
	default:
		sim_fail("register operation %u is not modelled", opcode);
	}
}
