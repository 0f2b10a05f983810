/* adopted.c - what engines have offered, in the books; and the control group of a process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/cell.h"

enum { LINE_BYTES = 4096 };

bool adopted(const struct instance *i)
{
	return strcmp(i->owner_engine, INSTANCE_OWN_ENGINE) != 0;
}

int adopted_make(struct truth *t, const struct instance *i, const char *ref, const char *actor,
		 struct error *err)
{
	int r = store_run(t->store, err, "INSERT INTO adopted (instance, ref) VALUES (?, ?)", "ss",
			  i->id, ref);

	return r < 0 ? r
		     : instance_tell(t, i, "instance.adopted", actor,
				     json_pack("{s:s, s:s}", "engine", i->owner_engine, "ref", ref),
				     NULL, err);
}

/* --- control groups --- */

/* The path of a line "4:cpu,cpuacct:/path", if it is the one: of the controller whose counters
 * are metered, or of version 2. */
static const char *path_in(char *line, bool v1)
{
	char *controllers = strchr(line, ':'), *path = NULL;
	char *rest = NULL;

	if (controllers)
		path = strchr(++controllers, ':');
	if (!path)
		return NULL;
	*path++ = '\0';
	if (!v1)
		return controllers[0] ? NULL : path;
	for (const char *c = strtok_r(controllers, ",", &rest); c; c = strtok_r(NULL, ",", &rest))
		if (strcmp(c, "cpuacct") == 0)
			return path;
	return NULL;
}

/* Below the mount, as the jailer's option has it: without a slash in front. */
static int find_group(pid_t pid, char ret[ADOPTED_GROUP_BYTES], struct error *err)
{
	const bool v1 = cell_has_accounting_v1();
	char name[64], line[LINE_BYTES];
	const char *path = NULL;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
	f = fopen(name, "re");
	if (!f)
		return error_set(err, -ESRCH, NULL, NULL, "The process has ended");
	while (!path && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		path = path_in(line, v1);
	}
	fclose(f);
	if (!path || path[0] != '/' || !path[1] || strstr(path, "/.") ||
	    strlen(path) >= ADOPTED_GROUP_BYTES)
		return error_set(err, -EINVAL, "process",
				 "let the engine give each task a control group of its own",
				 "It has no control group of its own: %.100s",
				 path ? path : "none");
	snprintf(ret, ADOPTED_GROUP_BYTES, "%s", path + 1);
	return 0;
}

/* --- processes --- */

int adopted_offer(struct truth *t, const struct instance *i, pid_t pid, bool groups,
		  const char *actor, struct error *err)
{
	char group[ADOPTED_GROUP_BYTES] = "";
	int64_t start;
	int r = process_start_of(pid, &start);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "The process has ended");
	if (groups)
		r = find_group(pid, group, err);
	if (r == 0)
		r = store_run(t->store, err,
			      "UPDATE adopted SET pid = ?2, pid_start = ?3, boot_id = ?4,"
			      " cgroup = ?5 WHERE instance = ?1",
			      "siiss", i->id, (int64_t)pid, start, ledger_boot_id(t->ledger),
			      group);
	return r < 0 ? r
		     : instance_tell(t, i, "instance.offered", actor,
				     json_pack("{s:I, s:I, s:s}", "pid", (json_int_t)pid, "start",
					       (json_int_t)start, "cgroup", group),
				     NULL, err);
}

int adopted_take(struct truth *t, const struct instance *i, struct process *ret, struct error *err)
{
	struct rows rows;
	pid_t pid = 0;
	int64_t start = 0;
	int r = store_select(t->store, &rows, err,
			     "SELECT pid, pid_start FROM adopted WHERE instance = ?"
			     " AND boot_id = ?",
			     "ss", i->id, ledger_boot_id(t->ledger));

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		pid = (pid_t)rows_int(&rows, 0);
		start = rows_int(&rows, 1);
	}
	rows_end(&rows);
	if (r < 0)
		return r;
	if (r == 0 || process_adopt(pid, start, ret) < 0)
		return error_set(err, -ESRCH, NULL, NULL, "The process that %s offered has ended",
				 i->owner_engine);
	return 0;
}

int adopted_ref(struct truth *t, const struct instance *i, char ret[ADOPTED_REF_BYTES],
		struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err, "SELECT ref FROM adopted WHERE instance = ?",
			     "s", i->id);

	ret[0] = '\0';
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		rows_text(&rows, 0, ret, ADOPTED_REF_BYTES);
	rows_end(&rows);
	return r < 0 ? r : 0;
}
