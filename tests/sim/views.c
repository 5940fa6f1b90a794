/* SPDX-License-Identifier: MIT */
/* The views that the application holds: unchanged until released, released once. */
#include <errno.h>
#include <string.h>

#include "app.h"

void app_hold(const struct zrx_buffer *buffer, const struct sim_socket *socket, uint64_t offset)
{
	if (app->view_count == APP_VIEWS)
		sim_fail("more than %u views are held", APP_VIEWS);
	app->views[app->view_count++] = (struct app_view){*buffer, socket, offset};
}

void app_check_view(const struct app_view *view, const char *when)
{
	if (!sim_payload_is(view->socket, view->offset, view->buffer.data, view->buffer.length))
		sim_fail("a view changed while it was held (%s): %u bytes at %llu of socket %u",
			 when, view->buffer.length, (unsigned long long)view->offset,
			 (unsigned)(view->socket - sim_sockets));
}

void app_check_views(void)
{
	for (uint32_t i = 0; i < app->view_count; i++)
		app_check_view(&app->views[i], "seen among all");
}

struct app_view app_take_view(void)
{
	uint32_t index = sim_chance(50) ? app->view_count - 1 : sim_below(app->view_count);
	struct app_view view = app->views[index];

	app->views[index] = app->views[--app->view_count];
	return view;
}

static void release_batch(const struct zrx_buffer *buffers, uint32_t count)
{
	struct zrx_event events[APP_BATCH];
	int result;

	app->releasing += count;
	if (sim_chance(50)) {
		memset(events, 0, sizeof(events));
		for (uint32_t i = 0; i < count; i++)
			events[i].buffer = buffers[i];
		result = zrx_event_release(events, count);
	} else {
		result = zrx_buffer_release(buffers, count);
	}
	app->releasing -= count;
	if (result)
		sim_fail("releasing %u buffers gives %d", count, result);
}

void app_release(uint32_t count)
{
	struct zrx_buffer batch[APP_BATCH];

	while (count && app->view_count) {
		uint32_t size = 0, most = sim_between(1, APP_BATCH);

		while (size < most && count && app->view_count) {
			struct app_view view = app_take_view();

			app_check_view(&view, "at its release");
			batch[size++] = view.buffer;
			count--;
		}
		sim_trace("release of %u%s", size, sim.inside ? " elsewhere" : "");
		release_batch(batch, size);
		sim_progressed();
	}
}

/* Twice, or something that never was a buffer: refused, and nothing changes. */
void app_release_wrongly(void)
{
	struct zrx_buffer twice[2];
	struct app_view view;
	int result;

	if (app->view_count < 2)
		return;
	view = app_take_view();
	twice[0] = twice[1] = view.buffer;
	app->releasing++;
	result = zrx_buffer_release(twice, 2);
	app->releasing--;
	if (result != -EALREADY)
		sim_fail("a second release in one batch gives %d", result);
	result = zrx_buffer_release(twice, 1);
	if (result != -EALREADY)
		sim_fail("a second release gives %d", result);
	twice[0].slot = UINT32_MAX;
	result = zrx_buffer_release(twice, 1);
	if (result != -EINVAL)
		sim_fail("the release of a buffer that never was gives %d", result);
	sim_progressed();
}

void sim_check_unused(const void *memory, size_t size, const char *why)
{
	const uint8_t *begin = memory;

	for (uint32_t at = 0; at < APPS; at++) {
		for (uint32_t i = 0; i < apps[at].view_count; i++) {
			const struct zrx_buffer *buffer = &apps[at].views[i].buffer;
			const uint8_t *view = buffer->data;

			if (view < begin + size && view + buffer->length > begin)
				sim_fail("memory is %s while a view of %u bytes is out in it", why,
					 buffer->length);
		}
	}
}

uint32_t sim_views_out(void)
{
	return app->view_count;
}
