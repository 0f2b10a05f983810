/* runtime.h - what runs an instance: one table of functions for each kind of VMM.
 *
 * wispd makes the process itself (process.h) from the command that a runtime gives, so that
 * it is written down before it runs; everything else that differs between VMMs is here.
 *
 * Any thread, one at a time for an instance, unless said otherwise; they may take as long as
 * the configuration's timeouts. 0 or a negative errno and *err. All bear to be repeated.
 */
#ifndef SUPERVISOR_RUNTIME_H
#define SUPERVISOR_RUNTIME_H

#include <jansson.h>

#include "supervisor/life/launch.h"
#include "supervisor/life/process.h"
#include "supervisor/metering/survey.h"
#include "vmm/base/error.h"

enum {
	RUNTIME_ARGS_MAX = 160,
	RUNTIME_ARGS_BYTES = 16384,
};

struct wispd;

/* Ways into a guest and to its VMM; all are Unix sockets that the VMM has made. */
enum runtime_way {
	RUNTIME_VSOCK,	 /* "CONNECT port", "OK", then that port of the guest's */
	RUNTIME_CONSOLE, /* the terminal hvc0 */
	RUNTIME_EVENTS,	 /* what the VMM says of itself, as QMP has it (monitor.h) */
};

/* A command line, and the texts in it. */
struct runtime_command {
	const char *argv[RUNTIME_ARGS_MAX + 1];
	char texts[RUNTIME_ARGS_BYTES];
	unsigned count;
	size_t used;
	bool gated; /* it waits at the gate of process_spawn() */
};

struct runtime {
	const char *name;
	size_t program;		 /* offset of its path in struct config */
	int64_t overhead_mib;	 /* that the VMM may need beside the guest's memory */
	bool devices;		 /* a guest can have functions of the host's */
	bool boards;		 /* its machines have firmware, other disks, many processors */
	const char *vcpu_thread; /* how the VMM names those of the guest's processors (pin.h) */
	bool tells;		 /* it has RUNTIME_EVENTS */
	/* RUNTIME_VSOCK is so many sockets, each for one connection at a time; 0: one for all. */
	unsigned lanes;

	/* The folder that the VMM will see, and everything that a start or a life leaves. */
	int (*prepare)(const struct launch *l, struct error *err);
	int (*remove)(const struct launch *l, struct error *err);
	/* That folder, for the kinds to put files in; a descriptor to be closed. */
	int (*open_folder)(const struct launch *l, struct error *err);
	/* Where the VMM's own words go; a descriptor to be closed. */
	int (*open_log)(const struct launch *l, struct error *err);
	/* What the guest's console has said; a descriptor to be closed. */
	int (*open_console)(const struct launch *l, struct error *err);

	/* What the VMM says that it did, as lines of metrics (vmm/metrics.h); a descriptor to be
	 * closed. NULL: it says nothing. */
	int (*open_lines)(const struct launch *l, struct error *err);

	/* A descriptor (O_PATH) of such a socket, seen to be the VMM's own: a guest that has
	 * taken its VMM over may have put anything there. Never waits. -ENOENT: it is not
	 * there (yet). NULL: this runtime has no way in. */
	int (*open_way)(const struct launch *l, enum runtime_way way, unsigned lane,
			struct error *err);

	/* Clears what the last life left in the way of a start. */
	int (*clear)(const struct launch *l, struct error *err);
	int (*command)(const struct launch *l, struct runtime_command *ret, struct error *err);
	/* The process runs: until it answers. NULL: it cannot be kept waiting, as pools do. */
	int (*await)(const struct launch *l, struct error *err);
	/* Makes a running guest of it, a new one or (l->load) a saved one, as soon as it answers. */
	int (*boot)(struct launch *l, struct error *err);
	int (*pause)(const struct launch *l, struct error *err);
	int (*resume)(const struct launch *l, struct error *err);
	int (*power_off)(const struct launch *l, struct error *err); /* asks the guest */
	/* Writes the state and the memory of one that stands still (snapshot/files.h); with
	 * l->save.live of one that may run, and does from the moment on that is saved. -EBUSY: it
	 * is still writing, as it was asked before. NULL: what it runs cannot be saved, nor begin
	 * with a snapshot. */
	int (*save)(const struct launch *l, struct error *err);

	/* Drives of a running machine with l->hotplug; NULL: it has no such thing. The second
	 * returns when the VMM has let it go, or has none, or has ended: -ETIMEDOUT, the guest
	 * does not let it go. The third: its file has grown. */
	int (*plug_drive)(const struct launch *l, const struct launch_drive *d, struct error *err);
	int (*unplug_drive)(const struct launch *l, const struct launch_drive *d,
			    struct error *err);
	int (*refresh_drive)(const struct launch *l, const struct launch_drive *d,
			     struct error *err);

	/* Memory of one that runs and was started with l->mem_max_mib (wisp_memory.h); NULL: it
	 * cannot change. */
	int (*set_memory)(const struct launch *l, struct launch_resize *q, struct error *err);

	/* Which processes live in jails of its own (survey.h). NULL: it cannot tell. */
	int (*survey)(const struct runtime *runtime, const struct config *c, survey_fn fn,
		      void *ctx, struct error *err);
	/* Loop thread, before anything is served: ends and removes what no instance has. */
	int (*sweep)(const struct runtime *runtime, struct wispd *d, struct error *err);
};

extern const struct runtime *const runtimes[]; /* NULL-ended */

/* By name; NULL: there is none. */
const struct runtime *runtime_find(const char *name);

/* A process for it, with its log, that waits at its gate (process.h). Loop thread. */
int runtime_spawn(const struct launch *l, struct process *ret, struct error *err);

/* Copies of these texts, ended by NULL, to the end. -E2BIG. */
int runtime_command_add(struct runtime_command *c, const char *const texts[], struct error *err);

#endif
