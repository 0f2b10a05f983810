/* jail_kit.h - jails made by wisp-jailer for a test, in the test's folder. */
#ifndef TESTS_INTEGRATION_JAIL_KIT_H
#define TESTS_INTEGRATION_JAIL_KIT_H

#include "tests/integration/session.h"

enum { JAIL_LIMIT_S = 60, JAIL_USER = 61234, JAIL_ARGS_MAX = 40 };

#define JAIL_USER_TEXT "61234"
#define JAIL_PARENT    "wisp-test" /* the control group of those that want one */

/* A group's set-up: the base folder, "base" in the test's. */
int jail_make_base(void **state);
const char *jail_base(void);

/* The file NAME of jail ID as the host sees it: base/wisp/ID/NAME. */
const char *jail_path(const char *id, const char *name);

/* Runs a command line of the shell, which must succeed. */
void jail_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Why jails cannot be made here: exit status 77 after a line that says so; else 0. */
int jail_missing(void);

/* wisp-jailer for jail ID with these options of its own, and behind "--" those of wisp's.
 * Both NULL-ended. */
struct session *jail_start(const char *id, const char *const *options, const char *const *rest);

/* --cleanup: the exit status; *output, if wanted, is valid until the next call. */
int jail_clean_up(const char *id, const char **output);

#endif
