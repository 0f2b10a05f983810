/* tree.h - reading sysfs and procfs below a root: the host's own, or one that a test made.
 *
 * dir is a descriptor of a folder; names are paths below it. What is not there reads as
 * nothing: every attribute of a device may be missing. Any thread.
 */
#ifndef SUPERVISOR_DEVICE_TREE_H
#define SUPERVISOR_DEVICE_TREE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A folder; a descriptor, or a negative errno. */
int tree_open(int dir, const char *name);
/* The same to be listed, NULL: it is not there. closedir() is the caller's. */
DIR *tree_list(int dir, const char *name);

/* The file's text without its last newline, cut to size; "" and false when there is none. */
bool tree_text(int dir, const char *name, char *buf, size_t size);
/* The whole file, NUL-terminated, to be freed; NULL: none, or longer than a mebibyte. */
char *tree_file(int dir, const char *name);
/* A number as C writes them; fallback when there is none. */
int64_t tree_number(int dir, const char *name, int64_t fallback);
/* Where a link points to, as it says; "" and false when there is none. */
bool tree_link(int dir, const char *name, char *buf, size_t size);
/* The last part of that. */
bool tree_link_name(int dir, const char *name, char *buf, size_t size);
bool tree_has(int dir, const char *name);

/* Writes text in one call. 0 or a negative errno. */
int tree_write(int dir, const char *name, const char *text);

#endif
