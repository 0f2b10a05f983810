/* sample.h - what the counters of one VMM say at a moment.
 *
 * Three sources, none of which the guest can reach:
 *
 *   processor, memory   its control group's files, of version 1 or 2
 *   network             its taps: whole frames, as the kernel counts them, and nftables by
 *                       class (network/classes.h)
 *   disk                the lines of metrics that the VMM writes, the last one at its end
 *   space               the blocks that its root disk has, where that is its own
 *
 * A guest that has taken its VMM over can write what it likes into those lines: they are
 * checked number by number. What they say of the network is taken only where an interface has
 * no tap; else it is kept beside what the kernel says, and reconcile.h compares the two.
 *
 * Any thread. Nothing here fails: what cannot be read is said to be so.
 */
#ifndef SUPERVISOR_SAMPLE_H
#define SUPERVISOR_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/life/launch.h"

enum counter {
	COUNTER_CPU_USED,    /* us */
	COUNTER_MEMORY_PEAK, /* bytes */
	COUNTER_MEMORY_NOW,  /* bytes */
	COUNTER_DISK_READ,   /* bytes */
	COUNTER_DISK_WRITTEN,
	COUNTER_DISK_OPERATIONS,
	COUNTER_NET_IN, /* bytes that came to the guest */
	COUNTER_NET_OUT,
	COUNTER_SAID_IN, /* by the VMM, where there are taps */
	COUNTER_SAID_OUT,
	COUNTER_IN_WORLD, /* of the bytes above, by class: network/classes.h */
	COUNTER_OUT_WORLD,
	COUNTER_IN_INTERNAL,
	COUNTER_OUT_INTERNAL,
	COUNTER_IN_DROPPED, /* frames that a class has, and the guest did not take */
	COUNTERS_COUNT,
};

enum counter_kind {
	COUNTER_TOTAL, /* since the VMM began; less than before: it began anew */
	COUNTER_ADDED, /* what was added since the sample before */
	COUNTER_LEVEL, /* as it is */
};

struct counter_info {
	const char *name; /* of the meter (billing/plan.h), where there is one */
	enum counter_kind kind;
	bool metered;
};

extern const struct counter_info counters[COUNTERS_COUNT];

enum reading {
	READING_NONE, /* nobody measures it */
	READING_LOST, /* it should be there, and is not */
	READING_DARK, /* it happens, and nobody can tell how much: passt's classes */
	READING_DONE,
};

enum link_value {
	LINK_IN,
	LINK_OUT,
	LINK_IN_DROPPED,
	LINK_IN_WORLD, /* this one and those behind it: by class */
	LINK_OUT_WORLD,
	LINK_IN_INTERNAL,
	LINK_OUT_INTERNAL,
	LINK_VALUES,
};

/* Where each is added up. */
extern const enum counter link_sums[LINK_VALUES];

/* What passed through one tap since it was made, seen from the guest; below 0: not known. */
struct sample_link {
	int64_t index; /* of this tap alone, even if another gets its name */
	int64_t value[LINK_VALUES];
};

struct sample {
	struct {
		enum reading reading;
		int64_t value;
	} counter[COUNTERS_COUNT];
	int64_t lines_from, lines_to; /* the part of the lines that was read */
	bool by_links;		      /* link_sums are those of these links: meter.c adds up */
	unsigned nlinks;
	struct sample_link link[LAUNCH_NETS_MAX];
	int64_t disk_mib; /* that its root disk takes; -1: it cannot be told */
};

/* lines_from: lines_to of the sample before, 0 for the first of a VMM. */
void sample_take(const struct launch *l, int64_t lines_from, struct sample *ret);

/* The control groups of one VMM, and the processor time of what serves it (companion.h); mounts: a
 * file like /proc/self/mounts. */
void sample_read_groups(const char *mounts, const char *parent, const char *id, struct sample *ret);

/* What the whole lines from lines_from on add; sets lines_to. */
void sample_read_lines(int fd, int64_t lines_from, struct sample *ret);

#endif
