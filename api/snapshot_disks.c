/* snapshot_disks.c - whether a machine's disks are still what they were. In the manifest:
 *
 *	"disks": [{"kind": "drives", "id": "rootfs", "size_bytes": 1073741824,
 *		   "device": "8:1", "inode": 1234, "made_ns": 1769860000000000000,
 *		   "written_ns": 1769860800000000000}]
 *
 * The paths are in the manifest's config. The number of an inode is given again when its
 * file is gone; when it was made (0 where the file system does not know) tells the two apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/snapshot_disks.h"

enum { NS_PER_S = 1000000000 };

/* The collections in the API, and in the manifest's config. */
#define DRIVES "drives"
#define PMEM   "pmem"

struct disk {
	const char *kind, *id, *path;
};

/* The n-th disk of the description. False past the last. */
static bool disk_at(const struct machine_description *d, uint32_t n, struct disk *ret)
{
	if (n < d->ndrives) {
		*ret = (struct disk){ DRIVES, d->drives[n].drive_id, d->drives[n].path_on_host };
		return true;
	}
	n -= d->ndrives;
	if (n >= d->npmem)
		return false;
	*ret = (struct disk){ PMEM, d->pmem[n].id, d->pmem[n].path_on_host };
	return true;
}

/* What tells one file from another, and when it was written to. */
struct look {
	json_int_t size, inode, made_ns, written_ns;
	char device[24];
};

static json_int_t ns(const struct statx_timestamp *t)
{
	return (json_int_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

/* False for what has no such times: a back end's socket, a block device, nothing. */
static bool look(const struct disk *disk, struct look *ret)
{
	struct statx st;

	if (!disk->path[0] ||
	    statx(AT_FDCWD, disk->path, 0, STATX_BASIC_STATS | STATX_BTIME, &st) < 0 ||
	    !S_ISREG(st.stx_mode))
		return false;
	*ret = (struct look){
		.size = (json_int_t)st.stx_size,
		.inode = (json_int_t)st.stx_ino,
		.made_ns = st.stx_mask & STATX_BTIME ? ns(&st.stx_btime) : 0,
		.written_ns = ns(&st.stx_mtime),
	};
	snprintf(ret->device, sizeof(ret->device), "%u:%u", st.stx_dev_major, st.stx_dev_minor);
	return true;
}

/* 0 or -ENOMEM. */
static int append(json_t *list, const struct disk *disk)
{
	struct look l;
	json_t *entry;

	if (!look(disk, &l))
		return 0;
	entry = json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I}", "kind", disk->kind, "id", disk->id,
			  "size_bytes", l.size, "device", l.device, "inode", l.inode, "made_ns",
			  l.made_ns, "written_ns", l.written_ns);
	return json_array_append_new(list, entry) < 0 ? -ENOMEM : 0;
}

static int append_all(json_t *list, const struct vm *vm)
{
	const struct drive_config *drive;
	const struct pmem_config *pmem;
	int r = 0;

	for (unsigned n = 0; r == 0 && (drive = vm_drive(vm, n)) != NULL; n++)
		r = append(list, &(struct disk){ DRIVES, drive->drive_id, drive->path_on_host });
	for (unsigned n = 0; r == 0 && (pmem = vm_pmem(vm, n)) != NULL; n++)
		r = append(list, &(struct disk){ PMEM, pmem->id, pmem->path_on_host });
	return r;
}

json_t *snapshot_disks(const struct vm *vm)
{
	json_t *list = json_array();

	if (list && append_all(list, vm) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static bool has_text(const json_t *entry, const char *member, const char *text)
{
	const char *value = json_string_value(json_object_get(entry, member));

	return value && strcmp(value, text) == 0;
}

static json_int_t number(const json_t *entry, const char *member)
{
	return json_integer_value(json_object_get(entry, member));
}

static const json_t *find(const json_t *list, const struct disk *disk)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);

		if (has_text(entry, "kind", disk->kind) && has_text(entry, "id", disk->id))
			return entry;
	}
	return NULL;
}

static bool is_same_file(const json_t *entry, const struct look *l)
{
	return has_text(entry, "device", l->device) && number(entry, "inode") == l->inode &&
	       number(entry, "made_ns") == l->made_ns;
}

static int compare(const json_t *entry, const struct disk *disk, bool written_to, struct error *err)
{
	struct look l;

	/* What cannot be looked at cannot be opened either, which says more. */
	if (!look(disk, &l))
		return 0;
	if (l.size != number(entry, "size_bytes"))
		return error_set(err, -ESTALE, disk->kind,
				 "give the disk that was saved, or a copy",
				 "The file of \"%s\" has another size than when the state was "
				 "saved: %" PRId64 " bytes, and had %" PRId64,
				 disk->id, (int64_t)l.size, (int64_t)number(entry, "size_bytes"));
	if (written_to || !is_same_file(entry, &l) || number(entry, "written_ns") == l.written_ns)
		return 0;
	return error_set(err, -ESTALE, disk->kind,
			 "give a copy from when the state was saved; allow_changed_disks loads it "
			 "all the same",
			 "The file of \"%s\" was written to after the state was saved", disk->id);
}

int snapshot_check_disks(const json_t *list, const struct machine_description *d, bool written_to,
			 struct error *err)
{
	struct disk disk;
	int r = 0;

	for (uint32_t n = 0; r == 0 && disk_at(d, n, &disk); n++) {
		const json_t *entry = find(list, &disk);

		if (entry)
			r = compare(entry, &disk, written_to, err);
	}
	return r;
}
