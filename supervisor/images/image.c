/* image.c - the rows of images, and the blobs that they name. */
#include <dirent.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/blob.h"
#include "supervisor/images/image.h"
#include "supervisor/images/image_agent.h"
#include "supervisor/metering/meter.h"
#include "vmm/base/fd.h"

#define COLUMNS                                                                          \
	"digest, name, kernel, initrd, rootfs, rootfs_read_only, cmdline, bytes, agent," \
	" run, state, wanted, cause"

/* --- importing --- */

static void add(struct sha256_ctx *hash, const char *text)
{
	/* With its NUL, so that no two lists of texts are one. */
	sha256_update(hash, strlen(text) + 1, (const uint8_t *)text);
}

static void name_by_content(struct image *image)
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;

	sha256_init(&hash);
	add(&hash, "wisp image 1");
	add(&hash, image->kernel);
	add(&hash, image->initrd);
	add(&hash, image->rootfs);
	add(&hash, image->rootfs_read_only ? "ro" : "rw");
	add(&hash, image->cmdline);
	/* Not of others: their digests are as they were before there were agents. */
	if (image->agent)
		add(&hash, "agent");
	if (image->run[0])
		add(&hash, image->run);
	sha256_digest(&hash, sizeof(sum), sum);
	hex_encode(sum, sizeof(sum), image->digest);
}

int image_import_files(const struct config *c, const struct image_files *files, struct image *image,
		       struct error *err)
{
	const struct {
		const char *path, *field;
		char *digest;
	} parts[] = {
		{ files->kernel, "kernel", image->kernel },
		{ files->initrd, "initrd", image->initrd },
		{ files->rootfs, "rootfs", image->rootfs },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t bytes = 0;
		int r;

		if (!parts[i].path[0])
			continue;
		r = blob_import(c, parts[i].path, parts[i].digest, &bytes, err);
		if (r < 0) {
			snprintf(err->field, sizeof(err->field), "%s", parts[i].field);
			return r;
		}
		image->bytes += bytes;
	}
	if (image->agent) {
		int r = image_agent_inject(c, image, err);

		if (r < 0)
			return r;
	}
	name_by_content(image);
	return 0;
}

/* --- rows --- */

static int tell(struct truth *t, const char *type, const struct image *image, const char *actor,
		int64_t *seq, struct error *err)
{
	json_t *body = json_pack("{s:s, s:s, s:I}", "digest", image->digest, "name", image->name,
				 "bytes", (json_int_t)image->bytes);
	struct ledger_event e = { .type = type, .actor = actor, .body = body };
	int r = body ? ledger_append(t->ledger, &e, seq, err) : -ENOMEM;

	json_decref(body);
	return r;
}

static int refuse_used(struct truth *t, const struct image *image, struct error *err)
{
	int64_t users = 0;
	int r = store_number(
		t->store, &users, err,
		"SELECT (SELECT count(*) FROM instance WHERE image = ?1"
		"  AND state <> 11) + (SELECT count(*) FROM snapshot WHERE image = ?1)",
		"s", image->digest);

	if (r < 0 || users == 0)
		return r;
	return error_set(err, -EBUSY, "image", "delete them first",
			 "%lld instances and snapshots are made of image %s", (long long)users,
			 image->name);
}

static int drop(struct truth *t, const struct image *image, const char *actor, struct error *err)
{
	int r = refuse_used(t, image, err);

	if (r == 0)
		r = meter_let_go(t, METER_IMAGE_SPACE, image->digest, actor, err);
	if (r == 0)
		r = tell(t, "image.removed", image, actor, NULL, err);
	if (r == 0)
		r = store_run(t->store, err, "DELETE FROM image WHERE digest = ?", "s",
			      image->digest);
	return r < 0 ? r : 0;
}

static const char *const state_names[] = {
	[IMAGE_PUBLISHED] = "published",
	[IMAGE_PROBING] = "probing",
	[IMAGE_FAILED] = "failed",
};

/* Who has the name makes room for this one. */
static int take_name(struct truth *t, const char *name, const char *digest, const char *actor,
		     struct error *err)
{
	struct error none;
	struct image old;
	int r = image_find(t, name, &old, &none);

	return r == 0 && strcmp(old.digest, digest) != 0 ? drop(t, &old, actor, err) : 0;
}

/* What is there by this digest: 1: just that; 0: it does not stand in the way. */
static int meet(struct truth *t, const struct image *image, const char *actor, struct error *err)
{
	struct image old = { 0 };
	struct error none;

	if (image_find(t, image->digest, &old, &none) < 0)
		return 0;
	if (old.state == IMAGE_FAILED)
		return drop(t, &old, actor, err);
	if (old.state == IMAGE_PROBING)
		return error_set(err, -EBUSY, "name", "wait for its end",
				 "The same image is being probed");
	if (strcmp(old.name, image->name) == 0)
		return 1;
	return error_set(err, -EEXIST, "name", "use that one",
			 "The same image is there under another name: %s", old.name);
}

static int insert(struct truth *t, const struct image *image, int64_t seq, struct error *err)
{
	bool probing = image->agent;
	int r = store_run(t->store, err,
			  "INSERT INTO image (" COLUMNS ", created_seq)"
			  " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,'',?)",
			  "sssssisiisssi", image->digest, probing ? image->digest : image->name,
			  image->kernel, image->initrd, image->rootfs,
			  (int64_t)image->rootfs_read_only, image->cmdline, (int64_t)image->bytes,
			  (int64_t)image->agent, image->run,
			  state_names[probing ? IMAGE_PROBING : IMAGE_PUBLISHED], image->name, seq);

	return r < 0 ? r : 0;
}

int image_add(struct truth *t, const struct image *image, const char *actor, bool *there,
	      struct error *err)
{
	int64_t seq = 0;
	int r = meet(t, image, actor, err);

	*there = r > 0;
	if (r != 0)
		return r < 0 ? r : 0;
	if (!image->agent)
		r = take_name(t, image->name, image->digest, actor, err);
	if (r == 0)
		r = tell(t, "image.imported", image, actor, &seq, err);
	return r < 0 ? r : insert(t, image, seq, err);
}

static int tell_outcome(struct truth *t, const char *type, const struct image *image, json_t *body,
			const char *actor, struct error *err)
{
	struct ledger_event e = { .type = type, .actor = actor, .body = body };
	int r = body && json_object_set_new(body, "digest", json_string(image->digest)) == 0
			? ledger_append(t->ledger, &e, NULL, err)
			: -ENOMEM;

	json_decref(body);
	return r;
}

int image_publish(struct truth *t, const struct image *image, int64_t boot_ms, const char *actor,
		  struct error *err)
{
	int r = take_name(t, image->wanted, image->digest, actor, err);

	if (r == 0)
		r = tell_outcome(t, "image.published", image,
				 json_pack("{s:s, s:I}", "name", image->wanted, "boot_ms",
					   (json_int_t)boot_ms),
				 actor, err);
	if (r == 0)
		r = store_run(
			t->store, err,
			"UPDATE image SET state = 'published', name = wanted WHERE digest = ?", "s",
			image->digest);
	return r < 0 ? r : 0;
}

int image_fail(struct truth *t, const struct image *image, const char *cause, const char *actor,
	       struct error *err)
{
	int r = tell_outcome(t, "image.failed", image, json_pack("{s:s}", "cause", cause), actor,
			     err);

	if (r == 0)
		r = store_run(t->store, err,
			      "UPDATE image SET state = 'failed', cause = ? WHERE digest = ?", "ss",
			      cause, image->digest);
	return r < 0 ? r : meter_let_go(t, METER_IMAGE_SPACE, image->digest, actor, err);
}

int image_remove(struct truth *t, const char *which, const char *actor, struct error *err)
{
	struct image image;
	int r = image_find(t, which, &image, err);

	return r < 0 ? r : drop(t, &image, actor, err);
}

static void read_row(const struct rows *r, struct image *image)
{
	*image = (struct image){ .rootfs_read_only = rows_int(r, 5) != 0,
				 .bytes = (uint64_t)rows_int(r, 7),
				 .agent = rows_int(r, 8) != 0 };
	rows_text(r, 0, image->digest, sizeof(image->digest));
	rows_text(r, 1, image->name, sizeof(image->name));
	rows_text(r, 2, image->kernel, sizeof(image->kernel));
	rows_text(r, 3, image->initrd, sizeof(image->initrd));
	rows_text(r, 4, image->rootfs, sizeof(image->rootfs));
	rows_text(r, 6, image->cmdline, sizeof(image->cmdline));
	rows_text(r, 9, image->run, sizeof(image->run));
	rows_text(r, 11, image->wanted, sizeof(image->wanted));
	rows_text(r, 12, image->cause, sizeof(image->cause));
	while (image->state < IMAGE_FAILED &&
	       strcmp(rows_string(r, 10), state_names[image->state]) != 0)
		image->state++;
}

int image_find(struct truth *t, const char *which, struct image *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM image WHERE name = ?1 OR digest = ?1", "s",
			     which);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		read_row(&rows, ret);
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, "image",
				 "wispctl image ls lists what there is; image add makes one",
				 "There is no image %.64s", which);
	return r < 0 ? r : 0;
}

json_t *image_describe(const struct image *image)
{
	json_t *run = image->run[0] ? json_loads(image->run, 0, NULL) : json_null();

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:I, s:o}",
			 "name", image->name, "digest", image->digest, "state",
			 state_names[image->state], "wanted", image->wanted, "cause", image->cause,
			 "kernel", image->kernel, "initrd", image->initrd, "rootfs", image->rootfs,
			 "rootfs_read_only", image->rootfs_read_only, "agent", image->agent,
			 "cmdline", image->cmdline, "bytes", (json_int_t)image->bytes, "run",
			 run ? run : json_null());
}

json_t *image_list(struct truth *t, struct error *err)
{
	json_t *list = json_array();
	struct image image;
	struct rows rows;
	int r = store_select(t->store, &rows, err, "SELECT " COLUMNS " FROM image ORDER BY name",
			     "");

	while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &image);
		json_array_append_new(list, image_describe(&image));
	}
	if (r >= 0)
		rows_end(&rows);
	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}

/* --- sweeping --- */

static bool is_named(struct truth *t, const char *blob)
{
	struct error err;
	int64_t n = 1;

	(void)store_number(t->store, &n, &err,
			   "SELECT count(*) FROM image WHERE ?1 IN (kernel, initrd, rootfs)", "s",
			   blob);
	return n != 0;
}

int image_sweep(struct truth *t, const struct config *c, struct error *err)
{
	int folder = blob_open_folder(c, err), removed = 0;
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;

	if (!dir)
		return folder < 0 ? folder : (fd_close(folder), -ENOMEM);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && !is_named(t, entry->d_name) &&
		    unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			removed++;
	}
	closedir(dir);
	return removed;
}
