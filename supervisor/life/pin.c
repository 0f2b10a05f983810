/* pin.c - cpusets of those that float, and the threads of those that have cores.
 *
 * A guest that floats is in a cpuset only since others have cores. Then its group gets the
 * controller, and its processors, while it runs; the kernel moves its threads. A group that the
 * jailer is about to make may come with what was shared a moment ago: it is written when its
 * VMM has booted. Groups of guests with cores are never written again: that would undo what
 * their threads are bound to.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "supervisor/books/seats.h"
#include "supervisor/device/tree.h"
#include "supervisor/life/pin.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	NAME_ROOM = 32,
};

static const char mounts[] = "/proc/self/mounts";

/* --- groups --- */

int pin_open_group(const struct config *c, const char *controller, const char *id)
{
	int mount = cgroup_open_mount(mounts, 1, controller), fd;
	char path[sizeof(c->cgroup) + INSTANCE_ID_BYTES + 2];

	if (mount < 0)
		mount = cgroup_open_mount(mounts, 2, NULL);
	if (mount < 0)
		return mount;
	snprintf(path, sizeof(path), "%s%s%s", c->cgroup, id[0] ? "/" : "", id);
	fd = openat(mount, path, OPEN_FOLDER);
	if (fd < 0)
		fd = -errno;
	fd_close(mount);
	return fd;
}

/* From the top to the groups' parent, so that they get it, too. Version 1 has no such thing. */
static void hand_down_cpuset(const struct config *c)
{
	int fd = cgroup_open_mount(mounts, 2, NULL);
	char path[sizeof(c->cgroup)], *rest = NULL;

	snprintf(path, sizeof(path), "%s", c->cgroup);
	for (char *part = strtok_r(path, "/", &rest); fd >= 0; part = strtok_r(NULL, "/", &rest)) {
		int next;

		(void)tree_write(fd, "cgroup.subtree_control", "+cpuset");
		next = part ? openat(fd, part, OPEN_FOLDER) : -1;
		fd_close(fd);
		fd = next;
	}
}

/* --- threads --- */

int pin_each_thread(const struct config *c, const char *id, pin_fn fn, void *ctx, struct error *err)
{
	int group = pin_open_group(c, "cpuset", id);
	char *text = NULL;

	if (group >= 0) {
		text = tree_file(group, "cgroup.threads");
		if (!text)
			text = tree_file(group, "tasks");
	}
	fd_close(group);
	if (!text)
		return error_set(err, group < 0 ? group : -EIO, NULL, NULL,
				 "Cannot list the threads of %s", id);
	for (char *at = text, *end; *at; at = end) {
		pid_t thread = (pid_t)strtol(at, &end, 10);
		char path[NAME_ROOM], name[NAME_ROOM];

		if (end == at)
			break;
		end += *end == '\n';
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)thread);
		if (tree_text(AT_FDCWD, path, name, sizeof(name)))
			fn(ctx, thread, name);
	}
	free(text);
	return 0;
}

struct binding {
	const struct launch_place *place;
	const char *pattern;
	cpu_set_t rest; /* for the VMM's own threads */
	unsigned bound;
	int fault;
};

static void bind(struct binding *b, pid_t thread, const cpu_set_t *set)
{
	/* One that has just ended needs nothing. */
	if (sched_setaffinity(thread, sizeof(*set), set) < 0 && errno != ESRCH && !b->fault)
		b->fault = -errno;
}

int pin_vcpu_of(const char *pattern, const char *name)
{
	size_t before = strcspn(pattern, "#");
	char *end;
	long n;

	if (strncmp(name, pattern, before) != 0 || name[before] < '0' || name[before] > '9')
		return -1;
	n = strtol(name + before, &end, 10);
	return strcmp(end, pattern + before + 1) == 0 && n < PLACE_VCPUS_MAX ? (int)n : -1;
}

static void bind_thread(void *ctx, pid_t thread, const char *name)
{
	struct binding *b = ctx;
	int vcpu = pin_vcpu_of(b->pattern, name);
	cpu_set_t one;

	if (vcpu < 0 || vcpu >= (int)b->place->nvcpus) {
		bind(b, thread, &b->rest);
		return;
	}
	CPU_ZERO(&one);
	CPU_SET(b->place->vcpu[vcpu], &one);
	bind(b, thread, &one);
	b->bound++;
}

int pin_threads(const struct launch *l, const char *pattern, struct error *err)
{
	struct binding b = { .place = &l->place, .pattern = pattern };
	cpu_set_t all;
	int r;

	if (!l->place.nvcpus)
		return 0;
	(void)topology_parse(l->place.cpus, &all);
	place_rest(&all, l->place.vcpu, l->place.nvcpus, &b.rest);
	r = pin_each_thread(l->config, l->id, bind_thread, &b, err);
	if (r == 0 && b.fault)
		r = error_set(err, b.fault, NULL, NULL, "Cannot bind the threads of %s: %s", l->id,
			      strerror(-b.fault));
	if (r == 0 && b.bound != l->place.nvcpus)
		r = error_set(err, -ESRCH, NULL, NULL,
			      "%s has threads for %u processors, not for %u", l->id, b.bound,
			      l->place.nvcpus);
	return r;
}

/* --- those that float --- */

struct pins {
	struct wispd *d;
	sd_event_source *soon;
	cpu_set_t shared; /* as it was written last; empty: never */
};

static bool everything_is_shared(const struct pins *p, const cpu_set_t *shared)
{
	return CPU_COUNT(&p->shared) == 0 && CPU_EQUAL(shared, &p->d->truth.topology->online);
}

/* Of an instance that may have a VMM, and no cores. */
static int follow(void *ctx, const struct instance *i)
{
	struct pins *p = ctx;
	char list[TOPOLOGY_LIST_BYTES];
	struct error err;
	struct place place;
	cpu_set_t cpus;
	int group, r;

	if (!states[i->state].alive || i->wish.profile != PLACE_SHARED ||
	    seats_find(&p->d->truth, i->id, &place, &err) < 0 ||
	    seats_shared(&p->d->truth, place.node, &cpus, &err) < 0)
		return 0;
	group = pin_open_group(&p->d->config, "cpuset", i->id);
	r = group < 0 ? group
		      : tree_write(group, "cpuset.cpus", topology_list(&cpus, list, sizeof(list)));
	fd_close(group);
	if (r < 0 && r != -ENOENT)
		log_warn("%s cannot be kept off the processors of others: %s", i->id, strerror(-r));
	return 0;
}

static void look(struct pins *p)
{
	struct wispd *d = p->d;
	struct error err;
	cpu_set_t shared;

	if (!d->config.cgroup[0] || !d->truth.topology ||
	    seats_shared(&d->truth, TOPOLOGY_ANY_NODE, &shared, &err) < 0 ||
	    everything_is_shared(p, &shared) || CPU_EQUAL(&shared, &p->shared))
		return;
	hand_down_cpuset(&d->config);
	if (instance_each(&d->truth, NULL, follow, p, &err) == 0)
		p->shared = shared;
}

void pins_settle(struct pins *p, const char *id)
{
	struct instance i;
	struct error err;

	if (p && CPU_COUNT(&p->shared) > 0 && instance_load(&p->d->truth, id, &i, &err) == 0)
		follow(p, &i);
}

static int on_soon(sd_event_source *source, void *arg)
{
	(void)source;
	look(arg);
	return 0;
}

void pins_wake(struct pins *p)
{
	if (p)
		sd_event_source_set_enabled(p->soon, SD_EVENT_ONESHOT);
}

int pins_create(struct wispd *d, struct pins **ret, struct error *err)
{
	struct pins *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (p) {
		p->d = d;
		r = sd_event_add_defer(d->loop, &p->soon, on_soon, p);
	}
	if (r < 0) {
		pins_destroy(p);
		return error_set(err, r, NULL, NULL, "Cannot watch processors: %s", strerror(-r));
	}
	*ret = p;
	return 0;
}

void pins_destroy(struct pins *p)
{
	if (!p)
		return;
	sd_event_source_disable_unref(p->soon);
	free(p);
}
