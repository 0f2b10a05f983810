/* probe_perf.h - what the kernel saw of one process: tracepoints through perf.
 *
 * A probe is for a process that has not yet called exec, and every thread that it
 * makes. Two kinds:
 *
 *   PROBE_FIRST  when the event first happened (CLOCK_MONOTONIC), to be disarmed
 *                as soon as it did so that nothing after it is slowed down
 *   PROBE_COUNT  how often the event happened, from the exec on
 *   PROBE_NOW    the same from now on, for a process that called exec long ago
 *
 * The kernel's side is perf_event_open(2); event numbers come from tracefs, which
 * is mounted privately (fsmount(2), attached nowhere) when it is not mounted.
 * Needs root, or CAP_PERFMON and a readable tracefs. One thread.
 */
#ifndef BENCHES_PROBE_PERF_H
#define BENCHES_PROBE_PERF_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

enum probe_kind { PROBE_FIRST, PROBE_COUNT, PROBE_NOW };

struct probe_spec {
	enum probe_kind kind;
	const char *event;  /* "kvm/kvm_entry", as under tracefs' events/ */
	const char *filter; /* as in the event's filter file; NULL: none */
};

struct probe;

/* A directory descriptor of tracefs, owned by the caller, or a negative errno and
 * *err. */
int probe_tracefs(struct error *err);

/* -ENOENT: this kernel has no such event (a module that is not loaded). */
int probe_create(int tracefs, pid_t pid, const struct probe_spec *spec, struct probe **ret,
		 struct error *err);

/* Accepts NULL. */
void probe_destroy(struct probe *p);

/* Fills up to room entries that become readable when a PROBE_FIRST has seen its
 * event; returns how many (none once disarmed). */
size_t probe_poll(const struct probe *p, struct pollfd *fds, size_t room);

/* Turns a probe off. What it saw stays. */
void probe_disarm(struct probe *p);

/* PROBE_FIRST: CLOCK_MONOTONIC in us, or -ENODATA when the event never came.
 * The others: the count, or a negative errno. */
int64_t probe_read(const struct probe *p);

#endif
