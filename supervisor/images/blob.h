/* blob.h - files by their content: state_dir/blobs/SHA-256.
 *
 * A blob is written under another name, flushed, and then given its own: it is there whole
 * or not at all, and never changes. Any thread; negative errno and *err.
 */
#ifndef SUPERVISOR_BLOB_H
#define SUPERVISOR_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/books/instance.h"
#include "supervisor/config.h"

/* Copies a regular file in; *bytes: its length. The same content twice is one blob. */
int blob_import(const struct config *c, const char *path, char digest[DIGEST_BYTES],
		uint64_t *bytes, struct error *err);

/* Everything from one file to another that is empty, holes left out; digest may be NULL.
 * Negative errno. */
int blob_copy_data(int from, int to, char *digest);

/* As name in the folder, replacing what is there: the very file, if it can be linked (which
 * nobody may write to), or a copy that owner may write to, sharing blocks if it can. */
int blob_link(const struct config *c, const char *digest, int folder, const char *name,
	      struct error *err);
int blob_copy(const struct config *c, const char *digest, int folder, const char *name, uid_t owner,
	      struct error *err);

/* The same from any file that is open, with this mode. */
int blob_copy_to(int from, int folder, const char *name, uid_t owner, mode_t mode,
		 struct error *err);

/* Everything of one file to another, which is empty; *shared: by sharing blocks. What is zero
 * is left out. */
int blob_copy_file(int from, int to, bool *shared);

/* The folder, made if it is missing; to be closed. */
int blob_open_folder(const struct config *c, struct error *err);

#endif
