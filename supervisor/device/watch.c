/* watch.c - reading /dev/kmsg, a record at a time, and looking at interrupts now and then. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"
#include "supervisor/device/claims.h"
#include "supervisor/device/fault.h"
#include "supervisor/device/steer.h"
#include "supervisor/device/watch.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/wispd.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	RECORD_BYTES = 8192, /* the longest that the kernel gives */
	RECORDS_AT_ONCE = 64,
	DEVICES_MAX = 64,
	QUIET_US = 10000000, /* between two events of one device */
	STEER_US = 2000000,
};

/* A device of which an event was written. */
struct told {
	char address[PCI_ADDRESS_BYTES];
	uint64_t at_us;
	unsigned since; /* faults that were not told of */
};

struct device_watch {
	struct wispd *d;
	int fd;
	sd_event_source *source, *timer;
	struct told told[DEVICES_MAX];
};

/* The device's entry; a new one in place of the oldest. */
static struct told *find(struct device_watch *w, const char *address)
{
	struct told *oldest = &w->told[0];

	for (unsigned i = 0; i < DEVICES_MAX; i++) {
		struct told *t = &w->told[i];

		if (strcmp(t->address, address) == 0)
			return t;
		if (t->at_us < oldest->at_us)
			oldest = t;
	}
	*oldest = (struct told){ 0 };
	memcpy(oldest->address, address, PCI_ADDRESS_BYTES);
	return oldest;
}

static void tell(struct device_watch *w, const struct fault *f)
{
	struct told *t = find(w, f->address);
	char instance[INSTANCE_ID_BYTES], why[CAUSE_BYTES];
	uint64_t now = clock_now_us();
	struct error err;
	int r;

	if (!f->leaving && t->at_us && now - t->at_us < QUIET_US) {
		t->since++;
		return;
	}
	r = store_begin(w->d->truth.store, &err);
	if (r == 0)
		r = claims_tell_fault(w->d, f, t->since, instance, &err);
	if (r == 0)
		r = wispd_commit(w->d, &err);
	if (r < 0) {
		store_rollback(w->d->truth.store);
		log_guest("%s: %s (not written down: %s)", f->address, f->text, err.text);
		return;
	}
	t->at_us = now;
	t->since = 0;
	/* The host waits for its VMM, which can only let it go by its end. */
	if (!f->leaving)
		return;
	snprintf(why, sizeof(why), "its device %s was removed from the host", f->address);
	lifecycle_break(w->d->lifecycle, instance, why);
}

static int on_records(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct device_watch *w = arg;
	char record[RECORD_BYTES + 1];
	struct fault f;

	(void)source;
	(void)events;
	for (unsigned i = 0; i < RECORDS_AT_ONCE; i++) {
		ssize_t n = read(fd, record, RECORD_BYTES);

		/* Some were overwritten before we could read them. */
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		if (fault_parse(record, &f))
			tell(w, &f);
	}
	return 0;
}

/* Where the interrupts of an instance's devices are to go; "": near the device. */
static void find_cpus(struct device_watch *w, const char *instance, char list[TOPOLOGY_LIST_BYTES])
{
	struct place place;
	struct error err;
	cpu_set_t rest;

	list[0] = '\0';
	if (seats_find(&w->d->truth, instance, &place, &err) <= 0 || !place.nvcpus)
		return;
	place_rest(&place.cpus, place.vcpu, place.nvcpus, &rest);
	topology_list(&rest, list, TOPOLOGY_LIST_BYTES);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct device_watch *w = arg;
	char address[PCI_ADDRESS_BYTES], cpus[TOPOLOGY_LIST_BYTES];
	struct error err;
	struct rows rows;

	(void)usec;
	sd_event_source_set_time_relative(source, STEER_US);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (store_select(w->d->truth.store, &rows, &err,
			 "SELECT address, instance FROM device_claim WHERE used = 1", "") < 0)
		return 0;
	while (rows_next(&rows, &err) > 0) {
		rows_text(&rows, 0, address, sizeof(address));
		find_cpus(w, rows_string(&rows, 1), cpus);
		steer_interrupts(w->d->config.device_root, address, cpus);
	}
	rows_end(&rows);
	return 0;
}

int device_watch_create(struct wispd *d, struct device_watch **ret, struct error *err)
{
	struct device_watch *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	w->d = d;
	w->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (w->fd >= 0 && lseek(w->fd, 0, SEEK_END) == 0)
		r = sd_event_add_io(d->loop, &w->source, w->fd, EPOLLIN, on_records, w);
	else
		log_info("the kernel's log cannot be watched for faults of devices");
	/* A file that is none of the kernel's cannot be waited for. */
	if (r >= 0 || r == -EPERM)
		r = sd_event_add_time_relative(d->loop, &w->timer, CLOCK_MONOTONIC, STEER_US,
					       STEER_US / 2, on_timer, w);
	if (r < 0) {
		device_watch_destroy(w);
		return error_set(err, r, NULL, NULL, "Cannot watch devices: %s", strerror(-r));
	}
	*ret = w;
	return 0;
}

void device_watch_destroy(struct device_watch *w)
{
	if (!w)
		return;
	sd_event_source_disable_unref(w->timer);
	sd_event_source_disable_unref(w->source);
	fd_close(w->fd);
	free(w);
}
