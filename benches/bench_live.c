/* bench_live.c - how long a guest stands still when it is saved while it runs.
 *
 * The guest (tests/guests/dirty.S) has touched all of its memory and stores into a share of it
 * without a rest. For each size and share:
 *
 *   mem1024_dirty10_pause_us   1 GiB of which a tenth is stored into: what wisp says that the
 *                              guest waited for
 *   ..._total_us               from the request's arrival to both files in place
 *   ..._faults                 stores that came before their page was written, and waited
 *
 * The files go where the others of a run go: TMPDIR names another file system.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "benches/bench_api.h"
#include "benches/clones.h"

enum {
	LIVE_RUNS = 20,
	BELOW_MIB = 2, /* as in dirty.S */
	BODY_BYTES = 2 * PATH_MAX + 128,
};

#define BEGUN "begun." /* as in dirty.S */

static const unsigned sizes_mib[] = { 128, 1024 };
static const unsigned shares_percent[] = { 1, 10, 50 };

struct live {
	struct api_server server;
	unsigned mem_mib, percent;
};

static int add(struct bench *b, const struct bench_vmm *vmm, const struct live *l, const char *body,
	       const char *what, struct error *err)
{
	char metric[REPORT_NAME_LEN + 1], name[32];
	const char *at;

	snprintf(name, sizeof(name), "\"%s\":", what);
	at = strstr(body, name);
	if (!at)
		return error_set(err, -EPROTO, NULL, NULL, "wisp tells no %s", what);
	snprintf(metric, sizeof(metric), "mem%u_dirty%u_%s", l->mem_mib, l->percent, what);
	return bench_add(b, vmm, metric, strtoll(at + strlen(name), NULL, 10), err);
}

static int once(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	struct live *l = arg;
	struct wisp_reply reply;
	char body[BODY_BYTES];
	int r;

	vmm->runs++;
	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s/state\", \"mem_file_path\": \"%s/memory\","
		 " \"live\": true}",
		 b->dir, b->dir);
	r = wisp_call(l->server.w, "PUT", "/snapshot/create", body, &reply);
	if (r < 0)
		error_set(err, r, NULL, NULL, "it cannot be saved: %s", wisp_error(l->server.w));
	if (r == 0)
		r = add(b, vmm, l, reply.body, "pause_us", err);
	if (r == 0)
		r = add(b, vmm, l, reply.body, "total_us", err);
	if (r == 0)
		r = add(b, vmm, l, reply.body, "faults", err);
	wisp_reply_clear(&reply);
	return r;
}

/* Until it has touched all of its memory. */
static int start(struct bench *b, struct live *l, struct error *err)
{
	unsigned all_mib = l->mem_mib - BELOW_MIB, dirty_mib = l->mem_mib * l->percent / 100;
	char body[64], args[64], text[CLONE_TEXT_BYTES];
	int64_t answer_us;
	int r = api_server_start(b, &b->vmms[0], &l->server, &answer_us, err);

	snprintf(body, sizeof(body), "{\"vcpu_count\": 1, \"mem_size_mib\": %u}", l->mem_mib);
	if (r == 0)
		r = api_server_call(l->server.w, "PUT", "/machine-config", body, err);
	snprintf(args, sizeof(args), "wisp.mib=%u wisp.fill=%u", dirty_mib, all_mib - dirty_mib);
	if (r == 0)
		r = api_server_boot(l->server.w, "dirty.elf", args, err);
	return r < 0 ? r : clone_await_text(l->server.child.out, BEGUN, text, err);
}

static int measure(struct bench *b, unsigned mem_mib, unsigned percent, struct error *err)
{
	struct live l = { .mem_mib = mem_mib, .percent = percent };
	char label[32];
	int r = start(b, &l, err);

	snprintf(label, sizeof(label), "%u MiB, %u %%", mem_mib, percent);
	if (r == 0)
		r = bench_alternate(b, label, (unsigned)option_or(b->options->runs, LIVE_RUNS),
				    once, &l, err);
	api_server_end(&l.server);
	return r;
}

static int measure_shares(struct bench *b, unsigned mem_mib, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(shares_percent) / sizeof(shares_percent[0]) && r == 0; i++)
		r = measure(b, mem_mib, shares_percent[i], err);
	return r;
}

static int live_run(struct bench *b, struct error *err)
{
	int r = clones_take_wisp(b, 1, err);

	if (r == 0 && b->options->mem_mib > 0)
		return measure_shares(b, (unsigned)b->options->mem_mib, err);
	for (size_t i = 0; i < sizeof(sizes_mib) / sizeof(sizes_mib[0]) && r == 0; i++)
		r = measure_shares(b, sizes_mib[i], err);
	return r;
}

const struct bench_row bench_live = {
	.name = "live",
	.help = "how long a guest stands still that is saved while it runs",
	.run = live_run,
};
