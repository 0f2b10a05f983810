/* moddep.h - which kernel modules a module needs, and in which order.
 *
 * Reads modules.dep as depmod(8) writes it (modules.dep(5)): a line per module,
 * "PATH: PATH PATH...", paths relative to the kernel's module directory.
 */
#ifndef TESTS_TESTHOST_MODDEP_H
#define TESTS_TESTHOST_MODDEP_H

#include <stddef.h>

struct moddep;

/* Called with a path as modules.dep has it; a negative return ends the walk. */
typedef int (*moddep_fn)(void *arg, const char *path);

/* 0 and *ret, -EINVAL for a line without a colon, or -ENOMEM. text is copied. */
int moddep_parse(const char *text, size_t len, struct moddep **ret);

/* Accepts NULL. */
void moddep_destroy(struct moddep *d);

/* Gives fn the module called name ('-' and '_' are the same letter) and all it
 * needs, what is needed first, nothing that an earlier call on d has given.
 * -ENOENT: no such module, or a dependency that has no line; -ELOOP: modules that
 * need each other; else what fn returned. */
int moddep_take(struct moddep *d, const char *name, moddep_fn fn, void *arg);

#endif
