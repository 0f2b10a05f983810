/* survey.h - which processes live in which jail: the kernel's word, not a file's.
 *
 * A process belongs to a jail when the jail's folder "root" is its root. Any thread.
 */
#ifndef SUPERVISOR_SURVEY_H
#define SUPERVISOR_SURVEY_H

#include <sys/types.h>

typedef void (*survey_fn)(void *ctx, const char *id, pid_t pid);

/* Calls fn for each process that has <jails>/<id>/root for its root; jails: a folder, which
 * stays the caller's. 0 or a negative errno. */
int survey_jails(int jails, survey_fn fn, void *ctx);

#endif
