/* image_probe.c - the probe's instance, and what its end means for the image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/image_probe.h"
#include "supervisor/images/import.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { PROBE_MIB = 512, PROBE_WAIT_MS = 600000, LOG_MAX_BYTES = 65536, NAME_DIGITS = 16 };

static const char actor[] = "wispd";

int image_probe_begin(struct wispd *d, const struct image *image, char id[INSTANCE_ID_BYTES],
		      struct error *err)
{
	struct instance i = {
		.tenant = PROBE_TENANT,
		.owner_engine = INSTANCE_OWN_ENGINE,
		.runtime = "wisp",
		.shape = "probe",
		.vcpus = 1,
		.mem_mib = PROBE_MIB,
		.labels = "{}",
		.start_wanted = true,
		.wait_ms = PROBE_WAIT_MS, /* for room on the host */
	};
	int r;

	snprintf(i.name, sizeof(i.name), "%.*s", NAME_DIGITS, image->digest);
	memcpy(i.image, image->digest, sizeof(i.image));
	r = store_run(d->truth.store, err,
		      "INSERT OR IGNORE INTO tenant (name, created_seq) VALUES (?, 0)", "s",
		      PROBE_TENANT);
	if (r >= 0)
		r = instance_create(&d->truth, &i, actor, err);
	if (r == 0)
		r = kinds_reserve(d, &i, err);
	if (r == 0)
		memcpy(id, i.id, sizeof(i.id));
	return r;
}

bool image_probe_is_over(const struct instance *i)
{
	return strcmp(i->tenant, PROBE_TENANT) == 0 &&
	       (i->state == STATE_RUNNING || i->state == STATE_FAILED || i->state == STATE_STOPPED);
}

/* --- its log --- */

static int open_logs(const struct config *c, struct error *err)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/probes", c->state_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "state_dir", NULL, "Cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "state_dir", NULL, "Cannot open %s", path) : fd;
}

/* The end of what was said; how much. */
static ssize_t read_console(struct wispd *d, const struct instance *i, char *text)
{
	struct launch *l = calloc(1, sizeof(*l));
	struct stat st = { 0 };
	ssize_t n = -1;
	struct error err;
	int fd = -1;

	if (l && lifecycle_load(d, i, l, &err) == 0)
		fd = l->runtime->open_console(l, &err);
	if (fd >= 0 && fstat(fd, &st) == 0)
		n = pread(fd, text, LOG_MAX_BYTES,
			  st.st_size > LOG_MAX_BYTES ? st.st_size - LOG_MAX_BYTES : 0);
	fd_close(fd);
	free(l);
	return n;
}

/* A log that cannot be kept changes nothing about the outcome. */
static void keep_log(struct wispd *d, const struct instance *i)
{
	struct error err = { .text = "out of memory" };
	char *text = malloc(LOG_MAX_BYTES);
	ssize_t n = text ? read_console(d, i, text) : -1;
	int logs = n >= 0 ? open_logs(&d->config, &err) : -1, fd = -1;

	if (logs >= 0)
		fd = openat(logs, i->image, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			    0600);
	if (fd < 0 || fd_pwrite_all(fd, text, (size_t)n, 0) < 0)
		log_warn("%s: what its console said is lost", i->id);
	fd_close(fd);
	fd_close(logs);
	free(text);
}

int image_probe_log(const struct config *c, const char *digest, char **ret, struct error *err)
{
	int logs = open_logs(c, err), fd;
	char *text = calloc(1, LOG_MAX_BYTES + 1);
	ssize_t n;

	if (logs < 0 || !text) {
		fd_close(logs);
		free(text);
		return logs < 0 ? logs : -ENOMEM;
	}
	fd = openat(logs, digest, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, LOG_MAX_BYTES);
	fd_close(fd);
	fd_close(logs);
	if (n < 0) {
		free(text);
		return error_set(err, -ENOENT, "image", "what fails has one", "There is no log");
	}
	*ret = text;
	return 0;
}

/* --- the outcome --- */

static int write_outcome(struct wispd *d, struct instance *i, struct error *err)
{
	const struct move deletion = { .actor = actor, .cause = "the probe is over" };
	bool good = i->state == STATE_RUNNING;
	struct image image;
	char message[sizeof(err->text)];
	int64_t boot_ms = (ledger_wall_ns() - i->created_wall_ns) / 1000000;
	int r = image_find(&d->truth, i->image, &image, err);

	snprintf(message, sizeof(message),
		 "its probe did not boot: %s; wispctl image log %s has what it said", i->cause,
		 i->image);
	if (r == 0)
		r = good ? image_publish(&d->truth, &image, boot_ms, actor, err)
			 : image_fail(&d->truth, &image, i->cause, actor, err);
	/* A name that is used meanwhile: the image is not, and that is said. */
	if (r == -EBUSY || r == -EEXIST) {
		snprintf(message, sizeof(message), "%s", err->text);
		r = image_fail(&d->truth, &image, err->text, actor, err);
		good = false;
	}
	if (r == 0)
		r = imports_probed(d->imports, i->image, good ? NULL : "probe_failed",
				   good ? "" : message, err);
	return r < 0 ? r : instance_move(&d->truth, i, STATE_DELETING, &deletion, err);
}

int image_probe_settle(struct wispd *d, struct instance *i, struct error *err)
{
	int r = store_begin(d->truth.store, err);

	if (i->state != STATE_RUNNING)
		keep_log(d, i);
	if (r == 0)
		r = write_outcome(d, i, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	else
		imports_forget(d->imports, i->image);
	return r;
}
