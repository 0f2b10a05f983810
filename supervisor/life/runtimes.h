/* runtimes.h - the runtimes that there are, each in a file of its own (runtime.h). */
#ifndef SUPERVISOR_RUNTIMES_H
#define SUPERVISOR_RUNTIMES_H

struct runtime;

extern const struct runtime runtime_wisp; /* a microVM in wisp-jailer's jail */
extern const struct runtime runtime_qemu; /* QEMU there, with devices of the host's */

#endif
