/* root.c - the one device that the guest's root file system is on. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "devices/virtio/life.h"
#include "vmm/root.h"

/* NULL: the root is no drive. */
static const struct drive_config *root_drive(const struct slots *s)
{
	const struct drive_config *first = slots_config(s, SLOT_DRIVE, 0);

	return first && first->is_root_device ? first : NULL;
}

/* The same, with its place among the pmem devices. */
static const struct pmem_config *root_pmem(const struct slots *s, unsigned *index)
{
	const struct pmem_config *c;

	for (unsigned i = 0; (c = slots_config(s, SLOT_PMEM, i)) != NULL; i++) {
		*index = i;
		if (c->root_device)
			return c;
	}
	return NULL;
}

int root_check(const struct slots *s, enum slot_kind kind, const char *id, struct error *err)
{
	static const char hint[] = "give false, or replace that device";
	const char *field = kind == SLOT_DRIVE ? "is_root_device" : "root_device";
	const struct drive_config *drive = root_drive(s);
	unsigned index;
	const struct pmem_config *pmem = root_pmem(s, &index);

	if (drive && (kind != SLOT_DRIVE || strcmp(drive->drive_id, id) != 0))
		return error_set(err, -EINVAL, field, hint,
				 "A root block device already exists! It is drive \"%s\"",
				 drive->drive_id);
	if (pmem && (kind != SLOT_PMEM || strcmp(pmem->id, id) != 0))
		return error_set(err, -EINVAL, field, hint,
				 "A root pmem device already exist! It is pmem \"%s\"", pmem->id);
	return 0;
}

/* The device knows, whoever decided it. The slots have handed it over. */
static bool is_read_only(struct slots *s, const struct drive_config *drive)
{
	struct virtio_dev *dev;

	slots_find(s, SLOT_DRIVE, drive->drive_id, &dev);
	return virtio_dev_features(dev) & (UINT64_C(1) << VIRTIO_BLK_F_RO);
}

static int add_drive(struct slots *s, const struct drive_config *drive, struct cmdline *line,
		     struct error *err)
{
	int r;

	if (drive->partuuid[0])
		r = cmdline_addf(line, err, "root=PARTUUID=%s", drive->partuuid);
	else
		r = cmdline_add(line, err, "root=/dev/vda");
	return r < 0 ? r : cmdline_add(line, err, is_read_only(s, drive) ? "ro" : "rw");
}

int root_add_words(struct slots *s, struct cmdline *line, struct error *err)
{
	const struct drive_config *drive = root_drive(s);
	unsigned index;
	const struct pmem_config *pmem = root_pmem(s, &index);
	int r;

	if (drive)
		return add_drive(s, drive, line, err);
	if (!pmem)
		return 0;
	r = cmdline_addf(line, err, "root=/dev/pmem%u", index);
	return r < 0 ? r : cmdline_add(line, err, pmem->read_only ? "ro" : "rw");
}
