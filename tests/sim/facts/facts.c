/* SPDX-License-Identifier: MIT */
/*
 * What the simulated kernel is allowed to do, shown by a real one: as far as it can be made to.
 * With --nodev the facts of zero-copy receive too, which then must not be passed over.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "facts.h"

#define MOMENT_MS 400

/* A full ring: the last completion of a multishot receive carries data, and what was not read
 * waits. */
static void full_ring_ends_multishot_with_data(void)
{
	struct rig rig;
	uint32_t bytes = 0;

	rig_open(&rig, 0);
	rig_buffers(&rig, 32, 64, 0);
	rig_send(&rig, 32 * 64);
	rig_receive(&rig, IORING_OP_RECV, 0);
	rig_turn(&rig);
	for (int i = 0;; i++) {
		struct io_uring_cqe cqe;

		if (!rig_has_completion(&rig))
			rig_turn(&rig); /* it overflowed */
		cqe = rig_completion(&rig, NULL);
		EXPECT(cqe.res == 64 && cqe.flags & IORING_CQE_F_BUFFER, "result %d, flags %x",
		       cqe.res, cqe.flags);
		bytes += (uint32_t)cqe.res;
		if (cqe.flags & IORING_CQE_F_MORE)
			continue;
		EXPECT(i == RING_ENTRIES, "the request ended after %d completions, the ring has %d",
		       i + 1, RING_ENTRIES);
		break;
	}
	EXPECT(bytes < 32 * 64 && !rig_has_completion(&rig), "everything was delivered");
	rig_close(&rig);
}

static void no_buffer_ends_multishot_without_data(void)
{
	struct rig rig;
	struct io_uring_cqe cqe;

	rig_open(&rig, 0);
	rig_buffers(&rig, 0, 64, 0);
	rig_receive(&rig, IORING_OP_RECV, 0);
	rig_turn(&rig);
	cqe = rig_completion(&rig, NULL);
	EXPECT(cqe.res == -ENOBUFS && !(cqe.flags & IORING_CQE_F_MORE), "result %d", cqe.res);
	rig_close(&rig);
}

static void buffers_are_consumed_bit_by_bit(void)
{
	struct rig rig;

	rig_open(&rig, 0);
	rig_buffers(&rig, 1, 64, ZRX_UAPI_PBUF_RING_INC);
	rig_receive(&rig, IORING_OP_RECV, 0);
	for (uint32_t part = 0; part < 2; part++) {
		struct io_uring_cqe cqe;

		rig_send(&rig, 10);
		rig_turn(&rig);
		cqe = rig_completion(&rig, NULL);
		EXPECT(cqe.res == 10 && cqe.flags & ZRX_UAPI_CQE_F_BUF_MORE, "result %d, flags %x",
		       cqe.res, cqe.flags);
	}
	rig_send(&rig, 44);
	rig_turn(&rig);
	EXPECT(!(rig_completion(&rig, NULL).flags & ZRX_UAPI_CQE_F_BUF_MORE),
	       "a full buffer has more room");
	rig_close(&rig);
}

static void *send_later(void *context)
{
	usleep(MOMENT_MS / 8 * 1000);
	rig_send(context, 1);
	return NULL;
}

/* Whether a poll is woken, or only looks again when its time is over. */
static int poll_is_woken(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	struct timespec before, after;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &before);
	poll(&polled, 1, MOMENT_MS);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	return polled.revents & POLLIN && ms < MOMENT_MS - 1;
}

/* A poll that sleeps on the ring is not woken by deferred work; one that comes later sees it. */
static void only_a_registered_eventfd_wakes_a_poller(void)
{
	struct rig rig;
	pthread_t sender;
	int event = eventfd(0, EFD_NONBLOCK);

	rig_open(&rig, 0);
	rig_buffers(&rig, 4, 64, 0);
	rig_receive(&rig, IORING_OP_RECV, 0);
	rig_turn(&rig);
	pthread_create(&sender, NULL, send_later, &rig);
	EXPECT(!poll_is_woken(rig.ring.ring_fd), "a sleeping poll of the ring is woken");
	pthread_join(sender, NULL);
	EXPECT(poll_is_woken(rig.ring.ring_fd), "a poll that comes later sees nothing");
	rig_turn(&rig);
	rig_completion(&rig, NULL);
	EXPECT(!io_uring_register_eventfd(&rig.ring, event), "no eventfd can be registered");
	pthread_create(&sender, NULL, send_later, &rig);
	EXPECT(poll_is_woken(event), "the registered eventfd stays silent");
	pthread_join(sender, NULL);
	close(event);
	rig_close(&rig);
}

static void cancel(struct rig *rig, uint64_t user_data)
{
	rig_request(rig, IORING_OP_ASYNC_CANCEL, -1, 2)->addr = user_data;
	rig_turn(rig);
}

static void cancel_ends_once(void)
{
	struct rig rig;
	int cancelled = 0, found = 0;

	rig_open(&rig, 0);
	rig_buffers(&rig, 4, 64, 0);
	rig_receive(&rig, IORING_OP_RECV, 0);
	rig_turn(&rig);
	cancel(&rig, 1);
	rig_turn(&rig);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe cqe = rig_completion(&rig, NULL);

		cancelled += cqe.user_data == 1 && cqe.res == -ECANCELED;
		found += cqe.user_data == 2 && cqe.res == 0;
	}
	EXPECT(cancelled && found && !rig_has_completion(&rig), "cancelled %d, found %d", cancelled,
	       found);
	cancel(&rig, 1);
	EXPECT(rig_completion(&rig, NULL).res == -ENOENT, "a second cancel finds something");
	rig_close(&rig);
}

/* ---- zero-copy receive without a device ---- */

static void open_nodev(struct rig *rig, uint32_t chunks)
{
	int result;

	rig_open(rig, IORING_SETUP_CQE32);
	result = rig_nodev(rig, chunks);
	EXPECT(!result, "no zcrx without a device: %s", strerror(-result));
}

static void full_ring_ends_zero_copy_with_enospc(void)
{
	struct rig rig;
	struct io_uring_cqe cqe;

	open_nodev(&rig, 32);
	rig_send(&rig, 12 * PAGE);
	rig_receive(&rig, ZRX_UAPI_OP_RECV_ZC, 0);
	rig_turn(&rig);
	rig_turn(&rig);
	for (int i = 0; i < RING_ENTRIES; i++)
		EXPECT(rig_completion(&rig, NULL).flags & IORING_CQE_F_MORE,
		       "completion %d is the last", i);
	rig_turn(&rig); /* it overflowed */
	cqe = rig_completion(&rig, NULL);
	EXPECT(cqe.res == -ENOSPC && !(cqe.flags & IORING_CQE_F_MORE), "result %d, flags %x",
	       cqe.res, cqe.flags);
	rig_receive(&rig, ZRX_UAPI_OP_RECV_ZC, 0);
	rig_turn(&rig);
	EXPECT(rig_completion(&rig, NULL).res > 0, "the rest is lost");
	rig_close(&rig);
}

/* Copies end with ENOMEM; returned chunks do not help before a flush. */
static void copies_need_a_flush(void)
{
	struct rig rig;
	uint64_t off[2];

	open_nodev(&rig, 2);
	rig_send(&rig, 4 * PAGE);
	rig_receive(&rig, ZRX_UAPI_OP_RECV_ZC, 0);
	rig_turn(&rig);
	rig_turn(&rig);
	for (int i = 0; i < 2; i++)
		EXPECT(rig_completion(&rig, &off[i]).res > 0, "chunk %d is not filled", i);
	EXPECT(rig_completion(&rig, NULL).res == -ENOMEM, "no shortage is told");
	for (int i = 0; i < 2; i++)
		rig_refill(&rig, off[i]);
	rig_receive(&rig, ZRX_UAPI_OP_RECV_ZC, 0);
	rig_turn(&rig);
	EXPECT(rig_completion(&rig, NULL).res == -ENOMEM,
	       "a copy takes chunks from the refill ring");
	EXPECT(!rig_flush(&rig), "no flush");
	rig_receive(&rig, ZRX_UAPI_OP_RECV_ZC, 0);
	rig_turn(&rig);
	EXPECT(rig_completion(&rig, NULL).res > 0, "a flush does not help");
	rig_close(&rig);
}

static void limit_ends_with_zero(void)
{
	struct rig rig;
	uint32_t bytes = 0;

	open_nodev(&rig, 8);
	rig_send(&rig, 1000);
	rig_receive(&rig, ZRX_UAPI_OP_RECV_ZC, 600);
	rig_turn(&rig);
	for (;;) {
		struct io_uring_cqe cqe = rig_completion(&rig, NULL);

		if (!(cqe.flags & IORING_CQE_F_MORE)) {
			EXPECT(cqe.res == 0, "result %d", cqe.res);
			break;
		}
		bytes += (uint32_t)cqe.res;
	}
	EXPECT(bytes == 600, "%u bytes of 600", bytes);
	rig_close(&rig);
}

int main(int argc, char **argv)
{
	int nodev = argc == 2 && !strcmp(argv[1], "--nodev");

	full_ring_ends_multishot_with_data();
	no_buffer_ends_multishot_without_data();
	buffers_are_consumed_bit_by_bit();
	only_a_registered_eventfd_wakes_a_poller();
	cancel_ends_once();
	if (nodev) {
		full_ring_ends_zero_copy_with_enospc();
		copies_need_a_flush();
		limit_ends_with_zero();
	}
	printf("facts: %d hold on this kernel\n", nodev ? 8 : 5);
	return 0;
}
