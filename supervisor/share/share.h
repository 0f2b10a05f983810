/* share.h - folders of the host that instances are given (virtio-fs), as they are written down.
 *
 * An operator's configuration names the folders that a tenant's guests may be given, and who
 * of the host's users they are there (config.h). What an instance has of them, or of folders
 * below, is rows for its life. Whether that is still allowed is asked at each start.
 *
 * Loop thread. Errors as of store.h. (T): within a transaction.
 */
#ifndef SUPERVISOR_SHARE_SHARE_H
#define SUPERVISOR_SHARE_SHARE_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/config.h"

enum {
	SHARES_MAX = 4,	      /* of an instance */
	SHARE_TAG_BYTES = 37, /* 36, as the device has it (virtio 1.2, 5.11.4) */
	SHARE_REQUEST_BYTES = CONFIG_FOLDER_BYTES + SHARE_TAG_BYTES + 3,
};

/* "/srv/data:tag", "/srv/data:tag:ro". */
struct share {
	char path[CONFIG_FOLDER_BYTES];
	char tag[SHARE_TAG_BYTES]; /* by which the guest mounts it */
	bool read_only;
};

/* -EINVAL: no path, or tag, that can be used. Any thread. */
int share_parse(const char *text, struct share *ret, struct error *err);

/* The tenant's folder that path is, or is below; *below: the rest of it. NULL: none. Of
 * several the longest. Any thread. */
const struct shared_folder *share_allowed(const struct config *c, const char *tenant,
					  const char *path, const char **below);

/* (T) -EINVAL, -EACCES: the tenant may not have it; -EEXIST: two of one tag; -ENOTSUP. */
int share_take(struct truth *t, const struct config *c, const struct instance *i,
	       const char q[][SHARE_REQUEST_BYTES], unsigned count, const char *actor,
	       struct error *err);
int share_drop(struct truth *t, const struct instance *i, struct error *err);

/* How many there are, in ret. */
int share_load(struct truth *t, const char *instance, struct share ret[SHARES_MAX],
	       struct error *err);
/* NULL and *err. */
json_t *share_list(struct truth *t, const char *instance, struct error *err);

#endif
