/* SPDX-License-Identifier: MIT */
#include "views.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAYLOAD_BYTES 65521u

struct view {
	struct zrx_buffer buffer; /* its area is NULL: not in use */
	uint64_t place;           /* of its bytes in the payload */
};

static const unsigned char *payload;
static size_t payload_bytes;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static struct view *views;
static uint64_t capacity, hint; /* hint: none below it is free */

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void views_init(int payload_fd)
{
	struct stat stat;

	if (fstat(payload_fd, &stat))
		abort();
	payload_bytes = (size_t)stat.st_size;
	payload = mmap(NULL, payload_bytes, PROT_READ, MAP_SHARED, payload_fd, 0);
	if (payload == MAP_FAILED)
		abort();
}

void views_end(void)
{
	free(views);
}

size_t views_check(const void *data, size_t length, uint64_t place)
{
	const unsigned char *bytes = data, *wanted = payload + place % PAYLOAD_BYTES;
	size_t good = 0, most = payload_bytes - place % PAYLOAD_BYTES;

	if (length <= most && !memcmp(bytes, wanted, length))
		return length;
	while (good < most && bytes[good] == wanted[good])
		good++;
	return good;
}

static void grow(void)
{
	uint64_t more = capacity ? capacity : 256;

	views = must(realloc(views, (capacity + more) * sizeof(*views)));
	memset(views + capacity, 0, more * sizeof(*views));
	capacity += more;
}

uint64_t views_keep(const struct zrx_buffer *buffer, uint64_t place)
{
	uint64_t id;

	pthread_mutex_lock(&lock);
	while (hint < capacity && views[hint].buffer.area)
		hint++;
	if (hint == capacity)
		grow();
	id = hint++;
	views[id] = (struct view){*buffer, place};
	pthread_mutex_unlock(&lock);
	return id;
}

/* Copies the views that are listed; `ids` are their numbers. Returns how many there are. */
static uint32_t look_up(char *list, struct view **found, uint64_t **ids)
{
	uint32_t count = 0, room = (uint32_t)strlen(list) / 2 + 1;
	char *rest = NULL;

	*found = must(calloc(room, sizeof(**found)));
	*ids = must(calloc(room, sizeof(**ids)));
	pthread_mutex_lock(&lock);
	for (char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		(*ids)[count] = strtoull(word, NULL, 10);
		if ((*ids)[count] < capacity)
			(*found)[count] = views[(*ids)[count]];
		count++;
	}
	pthread_mutex_unlock(&lock);
	return count;
}

static void forget(const uint64_t *ids, uint32_t count)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < count; i++) {
		if (ids[i] < capacity)
			views[ids[i]].buffer.area = NULL;
		hint = ids[i] < hint ? ids[i] : hint;
	}
	pthread_mutex_unlock(&lock);
}

/* Reports those that have changed (out NULL: none), and returns how many these are. */
static uint32_t recheck(FILE *out, const struct view *found, const uint64_t *ids, uint32_t count)
{
	uint32_t changed = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct zrx_buffer *buffer = &found[i].buffer;
		size_t good = views_check(buffer->data, buffer->length, found[i].place);

		changed += good != buffer->length;
		if (out && good != buffer->length)
			fprintf(out, "changed %" PRIu64 " %zu\n", ids[i], good);
	}
	return changed;
}

int views_release(FILE *out, char *list, int *again)
{
	struct view *found;
	uint64_t *ids;
	uint32_t count = look_up(list, &found, &ids);
	struct zrx_buffer *buffers = must(calloc(count + 1, sizeof(*buffers)));
	int result;

	recheck(out, found, ids, count);
	for (uint32_t i = 0; i < count; i++)
		buffers[i] = found[i].buffer;
	result = zrx_buffer_release(buffers, count);
	if (again)
		*again = zrx_buffer_release(buffers, count);
	forget(ids, count);
	free(buffers);
	free(found);
	free(ids);
	return result;
}

int views_fork(char *list)
{
	struct view *found;
	uint64_t *ids;
	uint32_t count = look_up(list, &found, &ids);
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		int result = recheck(NULL, found, ids, count) ? 3 : 0;

		for (uint32_t i = 0; i < count; i++)
			result |= zrx_buffer_release(&found[i].buffer, 1) ? 4 : 0;
		_exit(result);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		status = -1;
	free(found);
	free(ids);
	return status;
}
