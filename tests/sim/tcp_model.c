/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "sim.h"
#include "tcp_model.h"
#include "uring.h"
#include "zcrx_model.h"

#define WINDOW (48u << 10)

struct sim_socket sim_sockets[SIM_SOCKETS];
uint32_t sim_socket_count;
static uint64_t next_cookie;

void sim_sockets_begin(void)
{
	memset(sim_sockets, 0, sizeof(sim_sockets));
	sim_socket_count = 0;
	next_cookie = sim_random();
}

struct sim_socket *sim_socket_new(uint64_t total, enum sim_finish finish)
{
	struct sim_socket *socket;

	if (sim_socket_count == SIM_SOCKETS)
		return NULL;
	socket = &sim_sockets[sim_socket_count++];
	*socket = (struct sim_socket){.cookie = next_cookie++, .total = total, .finish = finish};
	return socket;
}

/* ---- listening ---- */

uint32_t sim_listener_poll(const struct sim_listener *listener)
{
	if (listener->error)
		return POLLERR | POLLHUP;
	return listener->waiting_count ? POLLIN : 0;
}

void sim_listener_connect(struct sim_listener *listener, struct sim_socket *socket)
{
	listener->waiting[listener->waiting_count++] = socket;
	sim_trace("socket %u: a peer connects", (unsigned)(socket - sim_sockets));
	sim_progressed();
	sim_uring_work();
}

static struct sim_socket *take_waiting(struct sim_listener *listener)
{
	struct sim_socket *socket = listener->waiting[0];

	memmove(listener->waiting, listener->waiting + 1,
		--listener->waiting_count * sizeof(listener->waiting[0]));
	return socket;
}

/* Why a connection cannot be accepted now; 0: it can. */
static int refuse_accept(struct sim_listener *listener)
{
	static const int shortages[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};

	if (sim_chance(1))
		listener->error = -EINVAL;
	if (listener->error)
		return listener->error;
	if (!listener->waiting_count)
		return -EAGAIN;
	if (sim_chance(sim.kernel.short_memory))
		return shortages[sim_below(4)];
	if (sim_chance(sim.kernel.interrupted))
		return -EINTR;
	if (!sim_chance(3))
		return 0;
	take_waiting(listener); /* its peer has gone already */
	return -ECONNABORTED;
}

int zrx_sys_accept(int fd)
{
	struct sim_listener *listener = sim_fd_object(fd, SIM_FD_LISTENER);
	int result;

	if (!listener || listener->blocking)
		sim_fail("accept on descriptor %d, which %s", fd,
			 listener ? "may block" : "does not listen");
	sim_world_accepts();
	result = refuse_accept(listener);
	if (!result) {
		result = sim_fd_new(SIM_FD_SOCKET, take_waiting(listener));
		listener->accepted++;
		sim_progressed();
	}
	sim_trace("accept: %d", result);
	return result;
}

int zrx_sys_set_blocking(int fd, int blocking)
{
	struct sim_listener *listener = sim_fd_object(fd, SIM_FD_LISTENER);
	int was;

	if (!listener)
		sim_fail("descriptor %d, which does not listen, is set non-blocking", fd);
	was = (int)listener->blocking;
	listener->blocking = (uint32_t)blocking;
	return was;
}

/* ---- payload ---- */

static uint64_t word_at(const struct sim_socket *socket, uint64_t index)
{
	uint64_t x = (socket->cookie + index) * 0xff51afd7ed558ccdull;

	return (x ^ x >> 29) * 0xc4ceb9fe1a85ec53ull;
}

static uint8_t byte_at(const struct sim_socket *socket, uint64_t offset)
{
	return (uint8_t)(word_at(socket, offset >> 3) >> (offset & 7) * 8);
}

void sim_payload_fill(const struct sim_socket *socket, uint64_t offset, uint8_t *memory,
		      size_t length)
{
	while (length && (offset & 7)) {
		*memory++ = byte_at(socket, offset++);
		length--;
	}
	for (; length >= 8; length -= 8, memory += 8, offset += 8) {
		uint64_t word = word_at(socket, offset >> 3);

		memcpy(memory, &word, 8);
	}
	while (length--)
		*memory++ = byte_at(socket, offset++);
}

int sim_payload_is(const struct sim_socket *socket, uint64_t offset, const uint8_t *memory,
		   size_t length)
{
	while (length && (offset & 7)) {
		if (*memory++ != byte_at(socket, offset++))
			return 0;
		length--;
	}
	for (; length >= 8; length -= 8, memory += 8, offset += 8) {
		uint64_t word = word_at(socket, offset >> 3);

		if (memcmp(memory, &word, 8))
			return 0;
	}
	while (length--) {
		if (*memory++ != byte_at(socket, offset++))
			return 0;
	}
	return 1;
}

/* ---- arrival ---- */

static uint32_t arrival_bytes(const struct sim_socket *socket)
{
	uint32_t page = sim.kernel.page_bytes;
	uint64_t left = socket->total - socket->arrived;
	uint32_t bytes;

	if (sim_chance(60))
		bytes = sim_between(1, 64);
	else
		bytes = sim_between(1, sim_chance(80) ? page : 3 * page);
	return bytes < left ? bytes : (uint32_t)left;
}

static int arrive_data(struct sim_socket *socket)
{
	struct sim_segment segment = {.length = arrival_bytes(socket), .chunk = -1};

	if (socket->segment_count == SIM_SEGMENTS || socket->arrived - socket->consumed >= WINDOW)
		return 0;
	if (socket->on_queue && !sim_chance(sim.kernel.copies) &&
	    !sim_zcrx_place(socket, socket->arrived, &segment))
		return 0; /* dropped: the peer sends it again */
	socket->segments[(socket->first + socket->segment_count++) % SIM_SEGMENTS] = segment;
	socket->arrived += segment.length;
	sim_trace("socket %u: %u bytes arrive%s", (unsigned)(socket - sim_sockets), segment.length,
		  segment.chunk >= 0 ? " in the area" : "");
	return 1;
}

int sim_socket_arrive(struct sim_socket *socket)
{
	if (socket->finished)
		return 0;
	if (socket->arrived < socket->total) {
		if (!arrive_data(socket))
			return 0;
	} else {
		if (socket->finish == SIM_FINISH_IDLE)
			return 0;
		socket->finished = 1;
		socket->error = socket->finish == SIM_FINISH_RESET ? -ECONNRESET : 0;
		sim_trace("socket %u: %s arrives", (unsigned)(socket - sim_sockets),
			  socket->error ? "a reset" : "the end");
	}
	sim_progressed();
	sim_uring_socket_wakes(socket);
	return 1;
}

/* ---- reading ---- */

struct sim_segment *sim_socket_front(struct sim_socket *socket)
{
	return socket->segment_count ? &socket->segments[socket->first] : NULL;
}

void sim_socket_take(struct sim_socket *socket, uint32_t length)
{
	struct sim_segment *segment = sim_socket_front(socket);

	segment->length -= length;
	segment->where += length;
	socket->consumed += length;
	if (!segment->length) {
		if (segment->chunk >= 0)
			sim_zcrx_unplace(segment->chunk);
		socket->first = (socket->first + 1) % SIM_SEGMENTS;
		socket->segment_count--;
	}
	sim_progressed();
}

int sim_socket_end(struct sim_socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	if (error)
		return error;
	return socket->finished ? 0 : -EAGAIN;
}

uint32_t sim_socket_poll(const struct sim_socket *socket)
{
	uint32_t mask = socket->segment_count ? POLLIN : 0;

	if (socket->finished)
		mask |= POLLIN | POLLRDHUP;
	if (socket->finished && socket->finish == SIM_FINISH_RESET)
		mask |= POLLHUP;
	if (socket->error)
		mask |= POLLERR;
	return mask;
}

int64_t sim_socket_read(struct sim_socket *socket, uint8_t *memory, size_t length)
{
	size_t done = 0;

	if (length > 1 && sim_chance(sim.kernel.short_read))
		length = sim_between(1, (uint32_t)length);
	/* The memory is the kernel's meanwhile. */
	memset(memory, 0xd5, length);
	while (done < length && socket->segment_count) {
		struct sim_segment *segment = sim_socket_front(socket);
		uint32_t part = segment->length;

		if (part > length - done)
			part = (uint32_t)(length - done);
		sim_payload_fill(socket, socket->consumed, memory + done, part);
		sim_socket_take(socket, part);
		done += part;
	}
	return done ? (int64_t)done : sim_socket_end(socket);
}

/* ---- the seam ---- */

int zrx_sys_socket_option(int fd, int level, int name, void *value, uint32_t *length)
{
	struct sim_socket *socket = sim_fd_object(fd, SIM_FD_SOCKET);
	int protocol = IPPROTO_TCP, listens = sim_fd_kind(fd) == SIM_FD_LISTENER;

	if (name == SO_INCOMING_NAPI_ID && level == SOL_SOCKET)
		sim_world_asked(fd);
	if (!socket && !listens)
		return sim_fd_kind(fd) == SIM_FD_FREE ? -EBADF : -ENOTSOCK;
	if (level == SOL_SOCKET && name == SO_PROTOCOL)
		memcpy(value, &protocol, sizeof(protocol));
	else if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
		memcpy(value, &listens, sizeof(listens));
	else if (level == IPPROTO_TCP && name == TCP_ULP)
		*length = 0;
	else if (!socket)
		sim_fail("option %d/%d of a listener is not modelled", level, name);
	else if (level == SOL_SOCKET && name == SO_COOKIE)
		memcpy(value, &socket->cookie, sizeof(socket->cookie));
	else if (level == IPPROTO_TCP && name == TCP_INFO)
		((struct tcp_info *)value)->tcpi_state = TCP_ESTABLISHED;
	else if (level == SOL_SOCKET && name == SO_INCOMING_NAPI_ID && socket->napi_id)
		memcpy(value, &socket->napi_id, sizeof(socket->napi_id));
	else if (level == SOL_SOCKET && name == SO_INCOMING_NAPI_ID)
		return -ENOPROTOOPT; /* a kernel without busy polling */
	else
		sim_fail("socket option %d/%d is not modelled", level, name);
	return 0;
}

int64_t zrx_sys_recv(int fd, void *memory, size_t length)
{
	struct sim_socket *socket = sim_fd_object(fd, SIM_FD_SOCKET);

	if (!socket)
		sim_fail("recv on descriptor %d, which is no socket", fd);
	sim_check_unused(memory, length, "received into");
	sim_memory_check(memory, length, "received into");
	sim_world_maybe();
	if (sim_chance(sim.kernel.interrupted))
		return -EINTR;
	return sim_socket_read(socket, memory, length);
}

int zrx_sys_socket_pending(int fd)
{
	struct sim_socket *socket = sim_fd_object(fd, SIM_FD_SOCKET);

	if (!socket)
		sim_fail("pending bytes of descriptor %d, which is no socket", fd);
	sim_world_maybe();
	return (int)(socket->arrived - socket->consumed);
}

int zrx_sys_socket_polls(int fd)
{
	struct sim_socket *socket = sim_fd_object(fd, SIM_FD_SOCKET);

	if (!socket)
		sim_fail("a poll of descriptor %d, which is no socket", fd);
	sim_world_maybe();
	return sim_socket_poll(socket) != 0;
}

static struct sim_socket *buffered(int fd)
{
	struct sim_socket *socket = sim_fd_object(fd, SIM_FD_SOCKET);

	if (!socket)
		sim_fail("receive buffer of descriptor %d, which is no socket", fd);
	return socket;
}

int zrx_sys_receive_buffer(int fd, int *fixed)
{
	const struct sim_socket *socket = buffered(fd);

	*fixed = (int)socket->buffer_fixed;
	return (int)socket->buffer;
}

/* Refused, or granted in part, where the caller may not go beyond rmem_max. */
int zrx_sys_receive_buffer_fix(int fd, uint32_t bytes)
{
	struct sim_socket *socket = buffered(fd);

	if (sim_chance(sim.kernel.short_memory))
		return -EPERM;
	socket->buffer = sim_chance(sim.kernel.short_memory) ? bytes / 2 : bytes;
	socket->buffer_fixed = 1;
	return (int)socket->buffer;
}

int zrx_sys_receive_buffer_loosen(int fd)
{
	buffered(fd)->buffer_fixed = 0;
	return 0;
}
