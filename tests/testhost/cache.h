/* cache.h - the folder in which the test host keeps what it fetched. */
#ifndef TESTS_TESTHOST_CACHE_H
#define TESTS_TESTHOST_CACHE_H

#include <stddef.h>

struct error;

/* Makes ${WISP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wisp}/testhost and writes
 * its absolute path. 0, or a negative errno and *e. */
int cache_folder(char *path, size_t len, struct error *e);

/* A new, empty folder beside the others, to be filled and then published. */
int cache_scratch(const char *folder, char *path, size_t len, struct error *e);

/* Gives a filled scratch folder its name, all at once. Where that name exists,
 * somebody else was faster with the same content: theirs stays, ours goes. */
int cache_publish(const char *scratch, const char *folder, const char *name, struct error *e);

/* Makes folder/current a link to name, all at once. */
int cache_point(const char *folder, const char *name, struct error *e);

/* Removes a folder and all in it, as far as possible. */
void cache_remove(const char *path);

#endif
