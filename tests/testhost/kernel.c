/* kernel.c - the Debian kernel that the test host boots.
 *
 * It is the package that the metapackage linux-image-amd64 depends on: fetched
 * with apt-get, unpacked with dpkg-deb, indexed with depmod, never installed. Its
 * image is decompressed here and once, because an emulated processor takes three
 * seconds for that at every boot.
 *
 *   CACHE/PACKAGE_VERSION/{boot,lib/modules/RELEASE}   one for each version
 *   CACHE/current                                      a link to the newest
 *
 * A Debian package of one name and version has one content, so that its name and
 * version are key enough.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/testhost/bzimage.h"
#include "tests/testhost/cache.h"
#include "tests/testhost/kernel.h"
#include "tests/testhost/process.h"
#include "tests/testhost/tail.h"
#include "vmm/base/error.h"

static const char metapackage[] = "linux-image-amd64";

enum { NAME_BYTES = 128 };

struct package {
	char name[NAME_BYTES];
	char version[NAME_BYTES];
	char key[2 * NAME_BYTES]; /* its folder in the cache */
};

/* The one kernel release whose modules lie in folder/lib/modules. */
static int find_release(const char *folder, char *ret, size_t len)
{
	char path[KERNEL_PATH_MAX];
	int r = -ENOENT;

	snprintf(path, sizeof(path), "%s/lib/modules", folder);

	DIR *dir = opendir(path);

	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir));) {
		if (d->d_name[0] == '.')
			continue;
		r = (size_t)snprintf(ret, len, "%s", d->d_name) < len ? 0 : -ENAMETOOLONG;
	}
	closedir(dir);
	return r;
}

/* The kernel's image in folder: the decompressed one where there is one. */
static int find_image(const char *folder, const char *release, struct kernel *ret, struct error *e)
{
	static const char *const kinds[] = { "vmlinux", "vmlinuz" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (snprintf(ret->image, sizeof(ret->image), "%s/boot/%s-%s", folder, kinds[i],
			     release) >= KERNEL_PATH_MAX)
			return error_set(e, -ENAMETOOLONG, "WISP_CACHE", NULL,
					 "the cache's path is too long");
		if (access(ret->image, R_OK) == 0)
			return 0;
	}
	return error_errno(e, NULL, "wisp-testhost prepare", "cannot read %s", ret->image);
}

/* The kernel unpacked in folder. */
static int load(const char *folder, struct kernel *ret, struct error *e)
{
	char release[NAME_BYTES];
	int r = find_release(folder, release, sizeof(release));

	if (r < 0)
		return error_set(e, r, NULL, "wisp-testhost prepare", "no kernel in %s", folder);

	if (snprintf(ret->modules, sizeof(ret->modules), "%s/lib/modules/%s", folder, release) >=
	    KERNEL_PATH_MAX)
		return error_set(e, -ENAMETOOLONG, "WISP_CACHE", NULL,
				 "the cache's path is too long");
	return find_image(folder, release, ret, e);
}

int kernel_find(struct kernel *ret, struct error *e)
{
	char folder[KERNEL_PATH_MAX - 16], current[KERNEL_PATH_MAX];
	int r = cache_folder(folder, sizeof(folder), e);

	if (r < 0)
		return r;
	snprintf(current, sizeof(current), "%s/current", folder);
	return load(current, ret, e);
}

/* From "Depends: NAME (= VERSION)", as apt-cache shows it. */
static int parse_depends(const char *text, struct package *p)
{
	static const char field[] = "\nDepends: ";
	const char *at = strstr(text, field);

	if (!at || sscanf(at + sizeof(field) - 1, "%127[a-z0-9.+-] (= %127[A-Za-z0-9.+~:-])",
			  p->name, p->version) != 2)
		return -ENOENT;
	/* '-' and digits may stand in both, '_' in neither. */
	snprintf(p->key, sizeof(p->key), "%.120s_%.120s", p->name, p->version);
	return 0;
}

static int ask_apt(struct interrupt *i, struct package *p, struct error *e)
{
	const char *const argv[] = { "apt-cache", "show", "--no-all-versions", metapackage, NULL };
	struct tail output = { 0 };
	int r = process_run(argv, NULL, "asking apt for the newest kernel", i, &output, e);

	if (r < 0)
		return r;
	r = parse_depends(tail_text(&output), p);
	return r == 0 ? 0
		      : error_set(e, r, NULL, "apt-get update",
				  "apt does not know what %s depends on", metapackage);
}

static int download(const struct package *p, const char *into, struct interrupt *i, struct error *e)
{
	char wanted[2 * NAME_BYTES + 1], label[2 * NAME_BYTES];
	/* apt's own user could not write into a cache in somebody's home. */
	const char *const argv[] = { "apt-get",	 "-q",	 "-o", "APT::Sandbox::User=root",
				     "download", wanted, NULL };
	struct tail output = { 0 };

	snprintf(wanted, sizeof(wanted), "%s=%s", p->name, p->version);
	snprintf(label, sizeof(label), "fetching %s", p->name);

	int r = process_run(argv, into, label, i, &output, e);

	if (r == -EIO)
		snprintf(e->hint, sizeof(e->hint), "apt-get update, then again");
	return r;
}

/* The package file that download() left in the folder. */
static int find_package(const char *folder, char *ret, size_t len)
{
	DIR *dir = opendir(folder);
	int r = -ENOENT;

	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir));) {
		const char *dot = strrchr(d->d_name, '.');

		if (dot && strcmp(dot, ".deb") == 0)
			r = (size_t)snprintf(ret, len, "%s/%s", folder, d->d_name) < len
				    ? 0
				    : -ENAMETOOLONG;
	}
	closedir(dir);
	return r;
}

/* Puts vmlinux beside vmlinuz. A kernel that is not compressed with xz stays as
 * it is; it boots, too, only later. */
static int decompress(const char *folder, const char *release, struct interrupt *i, struct error *e)
{
	char from[KERNEL_PATH_MAX], to[KERNEL_PATH_MAX];
	/* What follows the stream in a bzImage is not for xz. */
	const char *const argv[] = { "xz", "-d", "-q", "--single-stream", to, NULL };
	struct tail output = { 0 };

	if (snprintf(from, sizeof(from), "%s/boot/vmlinuz-%s", folder, release) >=
		    KERNEL_PATH_MAX ||
	    snprintf(to, sizeof(to), "%s/boot/vmlinux-%s.xz", folder, release) >= KERNEL_PATH_MAX)
		return error_set(e, -ENAMETOOLONG, "WISP_CACHE", NULL,
				 "the cache's path is too long");

	int r = bzimage_extract(from, to);

	if (r == -ENOEXEC)
		return 0;
	if (r < 0)
		return error_set(e, r, NULL, NULL, "cannot take the kernel out of %s: %s", from,
				 strerror(-r));
	return process_run(argv, NULL, "decompressing the kernel", i, &output, e);
}

static int index_modules(const char *folder, const char *release, struct interrupt *i,
			 struct error *e)
{
	const char *const argv[] = { "depmod", "-b", folder, release, NULL };
	struct tail output = { 0 };

	return process_run(argv, NULL, "indexing the kernel's modules", i, &output, e);
}

static int unpack(const char *folder, struct interrupt *i, struct error *e)
{
	char file[KERNEL_PATH_MAX], release[NAME_BYTES];
	const char *const argv[] = { "dpkg-deb", "-x", file, folder, NULL };
	struct tail output = { 0 };
	int r = find_package(folder, file, sizeof(file));

	if (r < 0)
		return error_set(e, r, NULL, NULL, "apt-get left no package in %s", folder);
	r = process_run(argv, NULL, "unpacking the kernel", i, &output, e);
	if (r < 0)
		return r;
	unlink(file);
	r = find_release(folder, release, sizeof(release));
	if (r < 0)
		return error_set(e, r, NULL, NULL, "the kernel's package has no modules");
	r = decompress(folder, release, i, e);
	return r < 0 ? r : index_modules(folder, release, i, e);
}

static int fetch(const struct package *p, const char *folder, struct interrupt *i, struct error *e)
{
	char scratch[KERNEL_PATH_MAX];
	int r = cache_scratch(folder, scratch, sizeof(scratch), e);

	if (r < 0)
		return r;
	r = download(p, scratch, i, e);
	if (r == 0)
		r = unpack(scratch, i, e);
	if (r == 0)
		r = cache_publish(scratch, folder, p->key, e);
	if (r < 0)
		cache_remove(scratch);
	return r;
}

int kernel_prepare(struct interrupt *i, struct kernel *ret, struct error *e)
{
	char folder[KERNEL_PATH_MAX / 2], path[KERNEL_PATH_MAX];
	struct package p;
	struct stat st;
	int r = cache_folder(folder, sizeof(folder), e);

	if (r == 0)
		r = ask_apt(i, &p, e);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/%s", folder, p.key);
	if (stat(path, &st) < 0)
		r = fetch(&p, folder, i, e);
	if (r == 0)
		r = cache_point(folder, p.key, e);
	return r < 0 ? r : load(path, ret, e);
}
