/* pool.h - warm pools as they are written down, and the blanks in them.
 *
 * A pool says of which image and shape so many VMMs are to be kept ready, for one tenant or
 * (tenant "") for all. A blank is an instance that has no name yet: it has the id, the user,
 * the folder with the files, the interfaces with their addresses, and the process that an
 * instance will have whose it becomes. So a take (take.h) changes rows only, and whatever is found by an id is found before and after.
 *
 * Like all rows, a blank's is there before the thing is, and goes after the thing has gone.
 *
 * Loop thread; (T) as in instance.h. Errors as of store.h, and -ENOENT.
 */
#ifndef SUPERVISOR_POOL_H
#define SUPERVISOR_POOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/life/launch.h"

enum { POOL_SIZE_MAX = 4096, POOL_KEEP_S_MAX = 3600 };

struct pool {
	int64_t n;
	char tenant[NAME_BYTES], name[NAME_BYTES];
	char image[DIGEST_BYTES]; /* as it was said: a name may come to mean another one */
	char shape[NAME_BYTES];
	char cmdline[CMDLINE_BYTES];
	char networks[LEASE_NETWORKS_BYTES]; /* an interface in each (lease.h); "": none */
	int64_t least, most;		     /* how many */
	int64_t keep_s; /* how long the demand of a moment is provided for (demand.h) */
	bool leaving;	/* removed; its row is there until its blanks have gone */
};

/* What its blanks are made of at present. */
struct pool_plan {
	char image[DIGEST_BYTES];
	int64_t shape_version, vcpus, mem_mib;
	char snapshot[LAUNCH_SNAPSHOT_BYTES]; /* that it goes on from (golden.h); "": it boots */
};

struct blank {
	char id[INSTANCE_ID_BYTES];
	int64_t pool;
	struct pool_plan plan;
	char cmdline[CMDLINE_BYTES];
	int64_t disk_mib; /* below 0: it cannot be told */
	char boot_id[40]; /* "": it has no process */
	pid_t pid;
	int64_t pid_start;
};

/* (T) -EEXIST: the name is taken. n is chosen here. */
int pool_create(struct truth *t, struct pool *p, const char *actor, struct error *err);
/* (T) Writes least, most and keep_s. */
int pool_resize(struct truth *t, const struct pool *p, const char *actor, struct error *err);
/* (T) Makes it leave. The second: it has no blanks any more. */
int pool_leave(struct truth *t, const struct pool *p, const char *actor, struct error *err);
int pool_forget(struct truth *t, int64_t n, struct error *err);

/* One that a tenant can use, his own before the host's; NULL: of any. */
int pool_find(struct truth *t, const char *tenant, const char *name, struct pool *ret,
	      struct error *err);
/* One of which a tenant can take such an instance, in these networks: 1, or 0. name: this pool,
 * "": any. */
int pool_match(struct truth *t, const struct instance *i, const char *networks, const char *name,
	       struct pool *ret, struct error *err);

/* Calls fn for each, leaving ones too, that a tenant can use (NULL: all), until it returns a
 * negative number, which is returned. fn may change nothing in the store. */
typedef int (*pool_fn)(void *ctx, const struct pool *p);
int pool_each(struct truth *t, const char *tenant, pool_fn fn, void *ctx, struct error *err);

/* But for the snapshot. -ENOENT: its image or shape is not there, and *err says which. */
int pool_plan(struct truth *t, const struct pool *p, struct pool_plan *ret, struct error *err);

/* The caller owns the reference. */
json_t *pool_describe(const struct pool *p);

/* --- blanks --- */

/* (T) Its id is chosen here. */
int blank_create(struct truth *t, struct blank *b, struct error *err);
/* (T) Writes the process, or what its folder takes, down. */
int blank_update(struct truth *t, const struct blank *b, struct error *err);
/* (T) 1: it is gone; 0: it was gone before. */
int blank_forget(struct truth *t, const char *id, struct error *err);

typedef int (*blank_fn)(void *ctx, const struct blank *b);
int blank_each(struct truth *t, blank_fn fn, void *ctx, struct error *err);
/* 1 or 0. */
int blank_exists(struct truth *t, const char *id, struct error *err);

/* The instance that it may become, as far as that is known. */
void blank_instance(const struct blank *b, struct instance *ret);

#endif
