/* kind_engine.c - the control group of one whose processes an engine makes (adopted.h).
 *
 * Its VMM runs in a group below that of the process that was offered: what the engine limits and
 * counts holds for the VMM, too, and the VMM's own time can be told from the rest. In version 2
 * no controller is handed down to there, for the group above has a process, so memory is
 * read above.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jailer/cgroup.h"
#include "supervisor/books/store.h"
#include "supervisor/life/cell.h"
#include "supervisor/life/companion.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM adopted WHERE instance = ?", "s",
			  i->id);

	return r < 0 ? r : 0;
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT cgroup FROM adopted WHERE instance = ?", "s", i->id);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		rows_text(&rows, 0, l->group, sizeof(l->group));
	rows_end(&rows);
	return r < 0 ? r : 0;
}

static int make_group(const struct launch *l, const char *suffix, struct error *err)
{
	int mount = cgroup_open_mount("/proc/self/mounts", 2, NULL), r = 0;
	char path[sizeof(l->group) + INSTANCE_ID_BYTES + sizeof(COMPANION_GROUP)];

	snprintf(path, sizeof(path), "%s/%s%s", l->group, l->id, suffix);
	if (mount < 0 || (mkdirat(mount, path, 0755) < 0 && errno != EEXIST))
		r = error_errno(err, NULL, NULL, "Cannot make the control group %s", path);
	fd_close(mount);
	return r;
}

/* Of version 1 the jailer and keepers make them (cell.c). */
static int attach(struct launch *l, struct error *err)
{
	int r;

	if (!l->group[0] || cell_has_accounting_v1())
		return 0;
	r = make_group(l, "", err);
	return r < 0 ? r : make_group(l, COMPANION_GROUP, err);
}

/* What was in them has ended: kinds are undone backwards. */
static int detach(struct launch *l, struct error *err)
{
	int r = l->group[0] ? cgroups_remove_named(l->group, l->id, err) : 0;

	return r < 0 || !l->group[0] ? r : cell_remove_aside(l->group, l->id, err);
}

const struct kind kind_engine = {
	.name = "engine",
	.release = release,
	.load = load,
	.attach = attach,
	.detach = detach,
};
