/* kind_size.c - what an instance has got beyond its shape and its image (books/size.h).
 *
 * A disk that was grown is made so before each start; the guest's kernel is told that memory
 * may come and go, and wisp-init to grow the root file system. Not where the guest goes on
 * from a snapshot: that knows its disk.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/books/size.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/root_disk.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	return size_drop(&d->truth, i, err);
}

/* In front: what follows "--" is a command of the guest's. */
static void tell_kernel(struct launch *l, const char *word)
{
	char rest[sizeof(l->cmdline)];

	memcpy(rest, l->cmdline, sizeof(rest));
	snprintf(l->cmdline, sizeof(l->cmdline), "%s%s%.*s", word, rest[0] ? " " : "",
		 (int)(sizeof(l->cmdline) - LAUNCH_WORD_BYTES), rest);
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct resize q = { 0 };
	int r = size_disk(&d->truth, i->id, &l->disk_mib, err);

	if (r == 0 && l->runtime->set_memory)
		r = size_memory_max(&d->truth, i, &l->mem_max_mib, err);
	if (r == 0)
		r = size_memory_room(&d->truth, i, &l->mem_room_mib, err);
	if (r == 0)
		r = size_find(&d->truth, i->id, &q, err);
	if (r < 0)
		return r;
	l->resize.mem_from_mib = q.mem_from_mib;
	l->resize.mem_mib = q.mem_mib;
	l->resize.disk_mib = q.disk_mib;
	l->resize.timeout_ms = q.timeout_ms;
	if (l->mem_max_mib > l->mem_mib)
		tell_kernel(l, "memhp_default_state=online_movable");
	if (l->disk_mib && l->agent)
		tell_kernel(l, "wisp.grow");
	return 0;
}

static int attach(struct launch *l, struct error *err)
{
	bool grown = l->disk_mib && root_disk_is_own(l) && !l->load.snapshot[0];

	return grown ? root_disk_grow(l, l->disk_mib, err) : 0;
}

const struct kind kind_size = {
	.name = "size",
	.release = release,
	.load = load,
	.attach = attach,
};
