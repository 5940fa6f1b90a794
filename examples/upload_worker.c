/* SPDX-License-Identifier: MIT */
/* What the threads of the receivers do: they receive uploads, hash and answer them. */
#include "upload_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#define BATCH       128
#define BUCKET_BITS 10

struct upload {
	struct upload *next;
	uint64_t stream;
	int socket;
	EVP_MD_CTX *hash;
};

/* A receiver's thread. Its uploads are its own: no lock is needed. */
struct worker {
	struct server *server;
	struct zrx_receiver *receiver;
	pthread_t thread;
	struct upload *uploads[1 << BUCKET_BITS];
};

static void fail(struct server *server)
{
	server->failed = 1;
	eventfd_write(server->failures, 1);
}

/*
 * All streams of a listening socket have the same tag, so they are told apart by their handles.
 * Returns where the upload is linked, or would be.
 */
static struct upload **upload_find(struct worker *worker, uint64_t stream)
{
	struct upload **at = &worker->uploads[(stream * 0x9E3779B97F4A7C15u) >> (64 - BUCKET_BITS)];

	while (*at && (*at)->stream != stream)
		at = &(*at)->next;
	return at;
}

static void upload_free(struct upload *upload)
{
	EVP_MD_CTX_free(upload->hash);
	close(upload->socket);
	free(upload);
}

static void upload_begin(struct worker *worker, const struct zrx_event *event)
{
	struct upload *upload = calloc(1, sizeof(*upload));
	EVP_MD_CTX *hash = EVP_MD_CTX_new();

	if (!upload || !hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL)) {
		say("an upload is refused", "no memory");
		zrx_receiver_remove(worker->receiver, event->stream);
		close(event->error); /* its last event follows nevertheless */
		EVP_MD_CTX_free(hash);
		free(upload);
		return;
	}
	*upload = (struct upload){.stream = event->stream, .socket = event->error, .hash = hash};
	*upload_find(worker, event->stream) = upload;
}

static void upload_answer(struct upload *upload)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char line[2 * EVP_MAX_MD_SIZE + 2];
	unsigned bytes = 0;

	EVP_DigestFinal_ex(upload->hash, digest, &bytes);
	for (unsigned i = 0; i < bytes; i++)
		snprintf(&line[2 * i], 3, "%02x", digest[i]);
	strcpy(&line[2 * bytes], "\n");
	if (fputs(line, stdout) == EOF)
		say("standard output", strerror(errno));
	/* Nothing was sent before, so there is room for it: no peer can make this thread wait. */
	if (send(upload->socket, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		say("an upload is not answered", strerror(errno));
}

static void upload_end(struct worker *worker, const struct zrx_event *event)
{
	struct upload **at = upload_find(worker, event->stream), *upload = *at;

	if (upload) {
		if (event->kind == ZRX_EVENT_END)
			upload_answer(upload);
		else
			say("an upload has failed", strerror(-event->error));
		*at = upload->next;
		upload_free(upload);
	}
	worker->server->ended++;
}

/* A connection that could not be added, or the listening socket itself. */
static void refuse(struct server *server, const struct zrx_event *event)
{
	if (!(event->flags & ZRX_ADDED_LISTENER)) {
		say("a connection is refused", strerror(-event->error));
	} else if (!server->draining) {
		say("listening has failed", strerror(-event->error));
		fail(server);
	}
}

static void take_event(struct worker *worker, const struct zrx_event *event)
{
	struct upload *upload;

	switch (event->kind) {
	case ZRX_EVENT_ADDED:
		upload_begin(worker, event);
		break;
	case ZRX_EVENT_DATA:
		upload = *upload_find(worker, event->stream);
		if (upload)
			EVP_DigestUpdate(upload->hash, event->buffer.data, event->buffer.length);
		break;
	case ZRX_EVENT_END:
	case ZRX_EVENT_ERROR:
		if (event->stream)
			upload_end(worker, event);
		else
			refuse(worker->server, event);
		break;
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct server *server = worker->server;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_event events[BATCH];

	while (!server->stopping) {
		int count = zrx_receiver_receive(worker->receiver, events, BATCH, -1);

		if (count == -EINTR)
			continue;
		if (count < 0) {
			zrx_receiver_error(worker->receiver, &error);
			say_error("a receiver has failed", &error);
			fail(server);
			break;
		}
		for (int i = 0; i < count; i++)
			take_event(worker, &events[i]);
		zrx_event_release(events, (uint32_t)count); /* the whole batch in one call */
	}
	for (size_t i = 0; i < 1 << BUCKET_BITS; i++)
		for (struct upload *upload = worker->uploads[i], *next; upload; upload = next) {
			next = upload->next;
			upload_free(upload);
			server->cut_off++;
		}
	/* A receiver that is closed cannot be woken any more, so the waking comes first. */
	pthread_mutex_lock(&server->closing);
	pthread_mutex_unlock(&server->closing);
	zrx_receiver_close(worker->receiver);
	return NULL;
}

int workers_start(struct server *server)
{
	uint32_t count = zrx_group_count(server->group);

	server->workers = calloc(count, sizeof(*server->workers));
	if (!server->workers)
		return say("workers", "no memory"), -1;
	pthread_mutex_lock(&server->closing);
	for (; server->started < count; server->started++) {
		struct worker *worker = &server->workers[server->started];
		int result;

		worker->server = server;
		worker->receiver = zrx_group_receiver(server->group, server->started);
		result = pthread_create(&worker->thread, NULL, work, worker);
		if (result)
			return say("cannot start a thread", strerror(result)), -1;
	}
	return 0;
}

void workers_stop(struct server *server)
{
	server->stopping = 1;
	for (uint32_t i = 0; i < server->started; i++)
		zrx_receiver_wake(server->workers[i].receiver);
	if (server->workers)
		pthread_mutex_unlock(&server->closing);
	for (uint32_t i = 0; i < server->started; i++)
		pthread_join(server->workers[i].thread, NULL);
	free(server->workers);
}
