/* image_source.c - a table of kinds, each a few steps in a folder of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/folder.h"
#include "supervisor/images/archive.h"
#include "supervisor/images/blob.h"
#include "supervisor/images/image_source.h"
#include "supervisor/images/oci.h"
#include "supervisor/life/confined.h"
#include "vmm/base/fd.h"

enum {
	PROGRAM_TIMEOUT_MS = 1800000,
	SPARE_MIB = 64,
	SPARE_INODES = 4096,
	INFO_BYTES = 16384,
	UUID_BYTES = 37,
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

#define SOURCE "source" /* the copy */
#define LAYOUT "layout"
#define DISK   "disk"
#define IMAGE  "layout:image" /* in the layout, as umoci names it, and skopeo */
#define TO     "oci:layout:image"

struct build {
	const struct config *c;
	struct progress *progress;
	int work;		   /* the folder */
	char path[PATH_MAX];	   /* of the source */
	char tag[256];		   /* ":TAG", or "" */
	uint64_t size_mib;	   /* asked for */
	struct archive_size size;  /* of what is in it */
	char digest[DIGEST_BYTES]; /* what its bytes follow from */
	char run[IMAGE_RUN_BYTES];
};

struct source_kind {
	const char *prefix;
	int (*copy)(struct build *b, struct error *err); /* NULL: it is the disk itself */
	int (*make)(struct build *b, const struct source_kind *kind, struct error *err);
};

static int run(struct build *b, const char *const argv[], struct error *err)
{
	const struct confined run = {
		.config = b->c,
		.argv = argv,
		.dir = b->work,
		.timeout_ms = PROGRAM_TIMEOUT_MS,
	};

	return confined_run(&run, err);
}

/* --- copying --- */

static int copy_one(struct build *b, int from_dir, const char *from, int to_dir, const char *to,
		    char *digest, struct error *err)
{
	int in = openat(from_dir, from, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int out = openat(to_dir, to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int r = 0;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		r = error_errno(err, "source", "wispd must be able to read it", "Cannot open %s",
				from);
	else if (!S_ISREG(st.st_mode))
		r = error_set(err, -EINVAL, "source", "give a file", "%s is not a regular file",
			      from);
	else if ((uint64_t)st.st_size > b->c->image_max_mib << 20)
		r = error_set(err, -EFBIG, "source", "raise image_max_mib", "%s is too large",
			      from);
	if (r == 0) {
		r = blob_copy_data(in, out, digest);
		if (r == 0 &&
		    fchown(out, (uid_t)b->c->import_uid_first, (gid_t)b->c->import_uid_first) < 0)
			r = -errno;
		if (r < 0)
			error_set(err, r, "source", NULL, "Cannot copy %s: %s", from, strerror(-r));
	}
	fd_close(out);
	fd_close(in);
	return r;
}

static int copy_file(struct build *b, struct error *err)
{
	return copy_one(b, AT_FDCWD, b->path, b->work, SOURCE, b->digest, err);
}

/* A folder that belongs to the stranger. */
static int make_folder(struct build *b, int parent, const char *name, struct error *err)
{
	int fd = -1;

	if (mkdirat(parent, name, 0755) == 0)
		fd = openat(parent, name, OPEN_FOLDER);
	if (fd < 0 ||
	    fchown(fd, (uid_t)b->c->import_uid_first, (gid_t)b->c->import_uid_first) < 0) {
		fd_close(fd);
		return error_errno(err, "state_dir", NULL, "Cannot make a folder for the import");
	}
	return fd;
}

/* Each regular file of one folder into another. */
static int copy_files(struct build *b, int from, int to, struct error *err)
{
	int again = openat(from, ".", OPEN_FOLDER), r = 0;
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;

	if (!dir)
		return fd_close(again), error_errno(err, "source", NULL, "Cannot read a folder");
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		struct stat st;

		if (fstatat(from, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			r = copy_one(b, from, entry->d_name, to, entry->d_name, NULL, err);
	}
	closedir(dir);
	return r;
}

static int copy_layout(struct build *b, struct error *err)
{
	int from = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), blobs = -1;
	int to = -1, to_blobs = -1, to_sums = -1, r;

	blobs = from < 0 ? -1 : openat(from, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = blobs < 0 ? error_set(err, -EINVAL, "source", "give a folder with an OCI image layout",
				  "Cannot open %s: %s", b->path, strerror(errno))
		      : (to = make_folder(b, b->work, SOURCE, err));
	if (r >= 0)
		r = copy_files(b, from, to, err);
	if (r >= 0)
		r = to_blobs = make_folder(b, to, "blobs", err);
	if (r >= 0)
		r = to_sums = make_folder(b, to_blobs, "sha256", err);
	if (r >= 0)
		r = copy_files(b, blobs, to_sums, err);
	fd_close(to_sums);
	fd_close(to_blobs);
	fd_close(to);
	fd_close(blobs);
	fd_close(from);
	return r;
}

/* --- a file system --- */

/* The same for the same content: what refers to a file system by it works in every copy. */
static void make_uuid(const char *digest, char uuid[UUID_BYTES])
{
	snprintf(uuid, UUID_BYTES, "%.8s-%.4s-4%.3s-8%.3s-%.12s", digest, digest + 8, digest + 12,
		 digest + 15, digest + 18);
}

static int make_ext4(struct build *b, const char *tree, struct error *err)
{
	uint64_t needed = b->size.bytes + b->size.bytes / 8 + ((uint64_t)SPARE_MIB << 20);
	char uuid[UUID_BYTES], options[128], size[32], inodes[32];
	const char *const argv[] = { "/usr/sbin/mke2fs",
				     "-q",
				     "-F",
				     "-t",
				     "ext4",
				     "-m",
				     "0",
				     "-U",
				     uuid,
				     "-E",
				     options,
				     "-N",
				     inodes,
				     "-d",
				     tree,
				     DISK,
				     size,
				     NULL };

	make_uuid(b->digest, uuid);
	snprintf(options, sizeof(options), "root_owner=0:0,hash_seed=%s", uuid);
	snprintf(size, sizeof(size), "%lluM",
		 (unsigned long long)(b->size_mib ? b->size_mib : needed >> 20));
	snprintf(inodes, sizeof(inodes), "%llu",
		 (unsigned long long)(b->size.entries + b->size.entries / 4 + SPARE_INODES));
	progress_tell(b->progress, "building", 60);
	return run(b, argv, err);
}

/* --- OCI --- */

static int fetch_layout(struct build *b, const struct source_kind *kind, struct error *err)
{
	char from[sizeof(b->tag) + 64];
	const char *const argv[] = { "/usr/bin/skopeo",
				     "--insecure-policy",
				     "--tmpdir",
				     ".",
				     "copy",
				     "--quiet",
				     from,
				     TO,
				     NULL };

	snprintf(from, sizeof(from), "%s" SOURCE "%s", kind->prefix, b->tag);
	return run(b, argv, err);
}

static int check_layers(struct build *b, const struct oci_image *oci, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < oci->nlayers && r == 0; i++) {
		char path[sizeof(LAYOUT) + 96];

		snprintf(path, sizeof(path), LAYOUT "/blobs/sha256/%s", oci->layers[i]);
		r = archive_check(b->c, b->work, path, &b->size, err);
	}
	return r;
}

static int make_of_oci(struct build *b, const struct source_kind *kind, struct error *err)
{
	static const char *const unpack[] = { "/usr/bin/umoci", "unpack", "--image", IMAGE,
					      "bundle",		NULL };
	struct oci_image *oci = calloc(1, sizeof(*oci));
	int r;

	if (!oci)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = fetch_layout(b, kind, err);
	if (r == 0)
		r = oci_read(b->work, LAYOUT, oci, err);
	if (r == 0) {
		memcpy(b->digest, oci->digest, sizeof(b->digest));
		memcpy(b->run, oci->run, sizeof(b->run));
		progress_tell(b->progress, "checking", 20);
		r = check_layers(b, oci, err);
	}
	free(oci);
	progress_tell(b->progress, "unpacking", 40);
	if (r == 0)
		r = run(b, unpack, err);
	return r < 0 ? r : make_ext4(b, "bundle/rootfs", err);
}

/* --- archives --- */

static int make_of_tar(struct build *b, const struct source_kind *kind, struct error *err)
{
	static const char *const unpack[] = { "/usr/bin/tar",
					      "--extract",
					      "--numeric-owner",
					      "--same-owner",
					      "--preserve-permissions",
					      "--directory",
					      "tree",
					      "--file",
					      SOURCE,
					      NULL };
	int r;

	(void)kind;
	progress_tell(b->progress, "checking", 20);
	r = archive_check(b->c, b->work, SOURCE, &b->size, err);
	if (r == 0)
		r = make_folder(b, b->work, "tree", err);
	if (r < 0)
		return r;
	fd_close(r);
	progress_tell(b->progress, "unpacking", 40);
	r = run(b, unpack, err);
	return r < 0 ? r : make_ext4(b, "tree", err);
}

/* --- disks --- */

struct info {
	char text[INFO_BYTES];
	size_t len;
};

static int add_info(void *ctx, char *line, struct error *err)
{
	struct info *info = ctx;
	size_t len = strlen(line);

	if (info->len + len >= sizeof(info->text))
		return error_set(err, -EBADMSG, "source", NULL, "The disk says too much");
	memcpy(info->text + info->len, line, len);
	info->len += len;
	return 0;
}

/* One that refers to other files would have the host's read. */
static int judge_info(struct build *b, const struct info *info, struct error *err)
{
	json_t *j = json_loadb(info->text, info->len, 0, NULL);
	json_t *data = json_object_get(
		json_object_get(json_object_get(j, "format-specific"), "data"), "data-file");
	json_int_t bytes = json_integer_value(json_object_get(j, "virtual-size"));
	int r = 0;

	if (!j || bytes <= 0)
		r = error_set(err, -EBADMSG, "source", "is it qcow2?", "The disk makes no sense");
	else if (data || json_object_get(j, "backing-filename"))
		r = error_set(err, -EINVAL, "source", "qemu-img convert makes one disk of it",
			      "The disk refers to another file");
	else if ((uint64_t)bytes > b->c->image_max_mib << 20)
		r = error_set(err, -EFBIG, "source", "raise image_max_mib",
			      "The disk is too large");
	json_decref(j);
	return r;
}

static int check_qcow2(struct build *b, struct error *err)
{
	static const char *const argv[] = {
		"/usr/bin/qemu-img", "info", "--output=json", "-f", "qcow2", SOURCE, NULL
	};
	struct info *info = calloc(1, sizeof(*info));
	const struct confined run = {
		.config = b->c,
		.argv = argv,
		.dir = b->work,
		.timeout_ms = PROGRAM_TIMEOUT_MS,
		.line = add_info,
		.ctx = info,
	};
	int r;

	if (!info)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = confined_run(&run, err);
	if (r == 0)
		r = judge_info(b, info, err);
	free(info);
	return r;
}

static int make_of_qcow2(struct build *b, const struct source_kind *kind, struct error *err)
{
	/* It is to open the copy, and nothing that it refers to. */
	static const char alone[] = "json:{\"driver\": \"qcow2\", \"backing\": null,"
				    " \"file\": {\"driver\": \"file\","
				    " \"filename\": \"" SOURCE "\"}}";
	static const char *const convert[] = {
		"/usr/bin/qemu-img", "convert", "-O", "raw", alone, DISK, NULL
	};
	int r;

	(void)kind;
	progress_tell(b->progress, "checking", 20);
	r = check_qcow2(b, err);
	progress_tell(b->progress, "unpacking", 40);
	return r < 0 ? r : run(b, convert, err);
}

/* --- all of them --- */

static const struct source_kind kinds[] = {
	{ "oci:", copy_layout, make_of_oci },	       { "oci-archive:", copy_file, make_of_oci },
	{ "docker-archive:", copy_file, make_of_oci }, { "tar:", copy_file, make_of_tar },
	{ "qcow2:", copy_file, make_of_qcow2 },	       { "raw:", NULL, NULL },
};

static const struct source_kind *find_kind(const char *source)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(source, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return &kinds[i];
	return NULL;
}

bool image_source_known(const char *source)
{
	const struct source_kind *kind = find_kind(source);

	return kind && source[strlen(kind->prefix)] == '/';
}

static int open_imports(const struct config *c, struct error *err)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/imports", c->state_dir);
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return error_errno(err, "state_dir", NULL, "Cannot make %s", path);
	fd = open(path, OPEN_FOLDER);
	return fd < 0 ? error_errno(err, "state_dir", NULL, "Cannot open %s", path) : fd;
}

/* The disk that was made, into the blobs. */
static int store(struct build *b, const char *path, struct image *image, struct error *err)
{
	uint64_t bytes = 0;
	int r;

	progress_tell(b->progress, "storing", 80);
	r = blob_import(b->c, path, image->rootfs, &bytes, err);
	image->bytes += bytes;
	return r;
}

static int store_made(struct build *b, struct image *image, struct error *err)
{
	int fd = confined_open(b->work, DISK, err), r;
	char path[32];

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = store(b, path, image, err);
	fd_close(fd);
	return r;
}

static int import_in(struct build *b, int imports, const struct source_kind *kind,
		     struct image *image, struct error *err)
{
	static _Atomic unsigned count;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "import-%u", count++ % 1000);
	b->work = make_folder(b, imports, name, err);
	r = b->work < 0 ? b->work : kind->copy(b, err);
	if (r == 0)
		r = kind->make(b, kind, err);
	if (r == 0)
		r = store_made(b, image, err);
	fd_close(b->work);
	folder_remove(imports, name);
	memcpy(image->run, b->run, sizeof(image->run));
	return r;
}

int image_source_import(const struct config *c, const char *source, uint64_t size_mib,
			struct progress *progress, struct image *image, struct error *err)
{
	const struct source_kind *kind = find_kind(source);
	struct build *b = NULL;
	int imports, r;

	if (!kind)
		return error_set(err, -ENOTSUP, "source", "an absolute path behind oci:, tar:, ...",
				 "There is no such kind of source: %.64s", source);
	b = calloc(1, sizeof(*b));
	if (!b)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	b->c = c;
	b->progress = progress;
	b->size_mib = size_mib;
	source += strlen(kind->prefix);
	snprintf(b->path, sizeof(b->path), "%.*s", (int)strcspn(source, ":"), source);
	snprintf(b->tag, sizeof(b->tag), "%s", source + strcspn(source, ":"));
	progress_tell(progress, "copying", 5);
	if (!kind->copy) {
		r = store(b, b->path, image, err);
	} else {
		r = imports = open_imports(c, err);
		if (r >= 0)
			r = import_in(b, imports, kind, image, err);
		fd_close(imports);
	}
	free(b);
	return r;
}

int image_source_sweep(const struct config *c, struct error *err)
{
	int imports = open_imports(c, err), removed = 0;
	DIR *dir = imports < 0 ? NULL : fdopendir(imports);
	struct dirent *entry;

	if (!dir)
		return imports < 0 ? imports : (fd_close(imports), -ENOMEM);
	while ((entry = readdir(dir)) != NULL)
		removed += entry->d_name[0] != '.' && folder_remove(dirfd(dir), entry->d_name) == 0;
	closedir(dir);
	return removed;
}
