/* host_wispd.h - a wispd of a benchmark's own, and what it leaves on the host. */
#ifndef BENCHES_HOST_WISPD_H
#define BENCHES_HOST_WISPD_H

#include <jansson.h>
#include <limits.h>
#include <stdint.h>

#include "api/client/libwisp.h"
#include "benches/spawn.h"
#include "vmm/base/error.h"

struct host_wispd {
	struct spawn process;
	struct wisp *client;
	char dir[PATH_MAX];	   /* all that is its own */
	char jails[PATH_MAX + 32]; /* where its VMMs live, a folder each */
	char group[64];		   /* the control group above theirs: this process's own */
};

/* What a life of an instance may leave. */
struct host_leavings {
	int64_t jails, mounts, cgroups, links;
	int64_t rules;	     /* lines that nft lists */
	int64_t files;	     /* and folders: in its own, and in jails */
	int64_t descriptors; /* wispd's own */
};

/* What it has used until now. */
struct host_use {
	int64_t cpu_us;	       /* processor time, its own */
	int64_t children_us;   /* of the programs that it has seen the end of, with their VMMs */
	int64_t written_bytes; /* to files */
};

/* Starts one with its folders below dir, as root, and waits until it answers. */
int host_wispd_start(const char *dir, struct host_wispd *ret, struct error *err);
/* Ends it; its VMMs are to be gone before. */
void host_wispd_end(struct host_wispd *h);

/* One request; *ret, which may be NULL, is the caller's. A status other than 2xx is an
 * error. */
int host_wispd_call(struct host_wispd *h, const char *verb, const char *path, const char *body,
		    json_t **ret, struct error *err);
/* Waits for the operation in an answer, which must come to a good end. */
int host_wispd_await(struct host_wispd *h, const json_t *answer, struct error *err);
/* Asks until this member of an object has at least (or, most below 0, at most) this value. */
int host_wispd_await_number(struct host_wispd *h, const char *path, const char *member,
			    int64_t least, int64_t most, struct error *err);

/* Until no VMM has a folder any more. */
int host_wispd_await_no_jail(struct host_wispd *h, struct error *err);

void host_wispd_count(const struct host_wispd *h, struct host_leavings *ret);
/* Processor time of all VMMs that have come and gone, as the kernel has it: of the group above
 * theirs, without those that are there now. -1: it cannot be told. */
int64_t host_wispd_cpu_us(const struct host_wispd *h);
/* Processor time of wispd itself. */
int64_t host_wispd_own_cpu_us(const struct host_wispd *h);
/* What a process has written to files. */
int64_t host_written_bytes(pid_t pid);
void host_wispd_use(const struct host_wispd *h, struct host_use *ret);
/* Resident memory; -1: it cannot be told. */
int64_t host_wispd_rss_kib(const struct host_wispd *h);

#endif
