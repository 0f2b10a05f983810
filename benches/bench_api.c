/* bench_api.c - how long the API takes to answer.
 *
 * The client is libwisp, so that libcurl's part is in the figures, as it is for a caller.
 * A guest that has started and halts is behind it; each sample is one GET / of it.
 *
 *   get_us           on a connection that is open
 *   get_connect_us   on one made for it
 *   exec_to_answer_us  execve(2) to the first answer, by asking again and again
 *
 * For wisp and Firecracker, whose API it is.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "api/client/libwisp.h"
#include "benches/bench.h"
#include "benches/spawn.h"
#include "vmm/base/clock.h"

enum { API_RUNS = 10, GETS = 200, LIMIT_US = 10 * 1000 * 1000, RETRY_US = 100 };

struct api_bench {
	char guest[PATH_MAX];
};

/* Asks until somebody answers. */
static int first_answer(struct bench *b, const struct bench_vmm *vmm, const struct spawn *child,
			struct wisp *w, struct error *err)
{
	uint64_t end_us = clock_now_us() + LIMIT_US;
	int r;

	while ((r = wisp_call(w, "GET", "/", NULL, NULL)) < 0 && clock_now_us() < end_us)
		usleep(RETRY_US);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "%s", wisp_error(w));
	return bench_add(b, vmm, "exec_to_answer_us",
			 (int64_t)(clock_now_us() - spawn_exec_us(child)), err);
}

static int start_guest(struct wisp *w, const char *guest, struct error *err)
{
	char body[PATH_MAX + 64];
	int r;

	snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\"}", guest);
	r = wisp_call(w, "PUT", "/boot-source", body, NULL);
	if (r == 0)
		r = wisp_start(w);
	return r < 0 ? error_set(err, r, NULL, NULL, "%s", wisp_error(w)) : 0;
}

static int get(struct bench *b, const struct bench_vmm *vmm, const char *metric, struct wisp *w,
	       struct error *err)
{
	uint64_t start_us = clock_now_us();
	int r = wisp_call(w, "GET", "/", NULL, NULL);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "%s", wisp_error(w));
	return bench_add(b, vmm, metric, (int64_t)(clock_now_us() - start_us), err);
}

static int get_many(struct bench *b, const struct bench_vmm *vmm, const char *socket,
		    struct wisp *w, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < GETS && r == 0; i++) {
		struct wisp *fresh;

		r = get(b, vmm, "get_us", w, err);
		if (r == 0 && wisp_open(socket, &fresh) < 0)
			return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
		if (r == 0) {
			r = get(b, vmm, "get_connect_us", fresh, err);
			wisp_close(fresh);
		}
	}
	return r;
}

static int run_vmm(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	const struct api_bench *a = arg;
	struct spawn child = SPAWN_NONE;
	char socket[PATH_MAX + 16], option[] = "--api-sock";
	char *argv[] = { vmm->program, option, socket, NULL };
	struct wisp *w = NULL;
	int r;

	snprintf(socket, sizeof(socket), "%s/api.sock", b->dir);
	unlink(socket);
	r = spawn_create(argv, &child, err);
	if (r == 0 && wisp_open(socket, &w) < 0)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r == 0)
		r = spawn_release(&child);
	if (r == 0)
		r = first_answer(b, vmm, &child, w, err);
	if (r == 0)
		r = start_guest(w, a->guest, err);
	if (r == 0)
		r = get_many(b, vmm, socket, w, err);
	wisp_close(w);
	spawn_end(&child);
	return r;
}

/* QEMU has another API, and no part in this. */
static void leave_out_qemu(struct bench *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nvmms; i++) {
		if (b->vmms[i].ops != &vmm_qemu)
			b->vmms[n++] = b->vmms[i];
	}
	b->nvmms = n;
}

static int api_run(struct bench *b, struct error *err)
{
	struct api_bench a;
	int r = vmm_beside("../share/wisp/bench/idle.elf", a.guest);

	if (r < 0)
		return error_set(err, r, NULL, "build or install the whole of wisp-bench",
				 "the guest of this benchmark is missing: %s", a.guest);
	leave_out_qemu(b);
	return bench_alternate(b, "run", (unsigned)option_or(b->options->runs, API_RUNS), run_vmm,
			       &a, err);
}

const struct bench_row bench_api = {
	.name = "api",
	.help = "how long the API takes to answer, with a guest behind it",
	.run = api_run,
};
