/* adopted.h - instances whose processes an engine makes: Slurm, Kubernetes, Nomad.
 *
 * Such an instance is admitted, wired, metered and taken down as any other, but the process
 * that stands for its VMM is its engine's child, and stays in that one's control group:
 *
 *   made      with the name of its engine, and that one's own word for it (a job, a pod)
 *   launched  a process offers itself; its number, start and group are written down in the
 *             transaction that moves the instance to "starting"
 *   spawned   when all is attached, it is written down as one of wispd's own would be
 *   executed  only then is it told the command line, and becomes the VMM's jailer
 *
 * So there is no VMM here either that is not written down. What was offered by a process
 * that has ended since, or in another boot, is worth nothing.
 *
 * Loop thread. Errors as of store.h. Those marked (T) want a transaction open.
 */
#ifndef SUPERVISOR_ADOPTED_H
#define SUPERVISOR_ADOPTED_H

#include <stdbool.h>

#include "supervisor/books/instance.h"
#include "supervisor/life/process.h"

enum { ADOPTED_REF_BYTES = 128, ADOPTED_GROUP_BYTES = 256 };

/* Whether an engine makes its processes. */
bool adopted(const struct instance *i);

/* (T) It is new, and its engine calls it so. */
int adopted_make(struct truth *t, const struct instance *i, const char *ref, const char *actor,
		 struct error *err);
/* (T) This process is to become its VMM's jailer. groups: whether it must have a control group;
 * -EINVAL: it has none of its own. -ESRCH: it has ended. */
int adopted_offer(struct truth *t, const struct instance *i, pid_t pid, bool groups,
		  const char *actor, struct error *err);

/* What was offered last, to be watched. -ESRCH: it has ended. */
int adopted_take(struct truth *t, const struct instance *i, struct process *ret, struct error *err);

/* What its engine calls it; "": no engine has it. */
int adopted_ref(struct truth *t, const struct instance *i, char ret[ADOPTED_REF_BYTES],
		struct error *err);

#endif
