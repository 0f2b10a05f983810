/* heartbeat.c - a timer, and one event for the whole host.
 *
 * The loop learns of a VMM's end by its pidfd, before it comes back to this timer: what the
 * books say is alive now is. One event a host keeps the ledger small: ten thousand VMMs
 * cost it as much as one, and none costs nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/heartbeat.h"
#include "supervisor/ledger.h"
#include "supervisor/store.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { ACCURACY_US = 100000 };

struct heartbeat {
	struct wispd *d;
	sd_event_source *timer;
};

static int append(struct wispd *d, int64_t alive, struct error *err)
{
	json_t *body = json_pack("{s:I}", "alive", (json_int_t)alive);
	const struct ledger_event e = {
		.type = "meter.confirmed",
		.actor = "wispd",
		.body = body,
	};
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = ledger_append(d->truth.ledger, &e, NULL, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	json_decref(body);
	return r;
}

/* States that a VMM may live in: starting (2) to stopping (7). */
static void confirm(struct wispd *d)
{
	struct error err;
	int64_t alive;
	int r = store_number(d->truth.store, &alive, &err,
			     "SELECT count(*) FROM instance WHERE state BETWEEN 2 AND 7", "");

	if (r == 0 && alive > 0)
		r = append(d, alive, &err);
	if (r < 0)
		log_error("what runs could not be confirmed: %s", err.text);
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct heartbeat *h = arg;

	confirm(h->d);
	sd_event_source_set_time(source, now_us + h->d->config.confirm_interval_ms * 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int heartbeat_create(struct wispd *d, struct heartbeat **ret, struct error *err)
{
	struct heartbeat *h = calloc(1, sizeof(*h));
	int r = -ENOMEM;

	if (h) {
		h->d = d;
		r = sd_event_add_time_relative(d->loop, &h->timer, CLOCK_BOOTTIME,
					       d->config.confirm_interval_ms * 1000, ACCURACY_US,
					       on_timer, h);
	}
	if (r < 0) {
		free(h);
		return error_set(err, r, NULL, NULL, "Cannot make a timer: %s", strerror(-r));
	}
	*ret = h;
	return 0;
}

void heartbeat_destroy(struct heartbeat *h)
{
	if (!h)
		return;
	confirm(h->d);
	sd_event_source_unref(h->timer);
	free(h);
}
