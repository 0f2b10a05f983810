/* bench_api.h - what the parts of the API's benchmark share: a VMM that serves its API,
 * and calls that are timed. */
#ifndef BENCHES_BENCH_API_H
#define BENCHES_BENCH_API_H

#include "api/client/libwisp.h"
#include "benches/bench.h"
#include "benches/spawn.h"

struct api_server {
	struct spawn child;
	char socket[PATH_MAX + 16];
	struct wisp *w; /* connected */
};

/* Starts it and waits for its first answer, after *answer_us from its exec. 0, or a
 * negative errno and *err; *ret is to be ended either way. */
int api_server_start(struct bench *b, const struct bench_vmm *vmm, struct api_server *ret,
		     int64_t *answer_us, struct error *err);
void api_server_end(struct api_server *s);

/* 0, or a negative errno and *err, which names the call. */
int api_server_call(struct wisp *w, const char *verb, const char *path, const char *body,
		    struct error *err);

/* The same, and a sample of how long it took. */
int api_server_time(struct bench *b, const struct bench_vmm *vmm, const char *metric,
		    struct wisp *w, const char *verb, const char *path, const char *body,
		    struct error *err);

/* Starts a guest of the benchmarks' own ("idle.elf") with these boot_args, or NULL, and with
 * what was configured before. */
int api_server_boot(struct wisp *w, const char *guest, const char *args, struct error *err);

/* wisp with guests that keep a disk busy: metrics "busy4k_..." and "busy128k_...". */
int api_busy_run(struct bench *b, struct bench_vmm *vmm, struct error *err);

#endif
