/* bench_api.c - how long the API takes to answer.
 *
 * The client is libwisp, so that libcurl's part is in the figures, as it is for a caller.
 * A guest that has started and halts is behind it; each sample is one GET / of it.
 *
 *   get_us           on a connection that is open
 *   get_connect_us   on one made for it
 *   exec_to_answer_us  execve(2) to the first answer, by asking again and again
 *
 * For wisp and Firecracker, whose API it is. api_busy.c has the same with a guest that
 * leaves the VMM no rest.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "benches/bench_api.h"
#include "vmm/base/clock.h"

enum { API_RUNS = 10, GETS = 200, LIMIT_US = 10 * 1000 * 1000, RETRY_US = 100 };

/* --- a VMM --- */

/* Asks until somebody answers. */
static int first_answer(struct api_server *s, int64_t *answer_us, struct error *err)
{
	uint64_t end_us = clock_now_us() + LIMIT_US;
	int r;

	while ((r = wisp_call(s->w, "GET", "/", NULL, NULL)) < 0 && clock_now_us() < end_us)
		usleep(RETRY_US);
	*answer_us = (int64_t)(clock_now_us() - spawn_exec_us(&s->child));
	return r < 0 ? error_set(err, r, NULL, NULL, "%s", wisp_error(s->w)) : 0;
}

int api_server_start(struct bench *b, const struct bench_vmm *vmm, struct api_server *ret,
		     int64_t *answer_us, struct error *err)
{
	char option[] = "--api-sock", *argv[] = { (char *)vmm->program, option, ret->socket, NULL };
	int r;

	*ret = (struct api_server){ .child = SPAWN_NONE };
	snprintf(ret->socket, sizeof(ret->socket), "%s/api.sock", b->dir);
	unlink(ret->socket);
	r = spawn_create(argv, &ret->child, err);
	if (r == 0 && wisp_open(ret->socket, &ret->w) < 0)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r == 0)
		r = spawn_release(&ret->child);
	return r < 0 ? r : first_answer(ret, answer_us, err);
}

void api_server_end(struct api_server *s)
{
	wisp_close(s->w);
	spawn_end(&s->child);
}

int api_server_call(struct wisp *w, const char *verb, const char *path, const char *body,
		    struct error *err)
{
	int r = wisp_call(w, verb, path, body, NULL);

	return r < 0 ? error_set(err, r, NULL, NULL, "%s %s: %s", verb, path, wisp_error(w)) : 0;
}

int api_server_time(struct bench *b, const struct bench_vmm *vmm, const char *metric,
		    struct wisp *w, const char *verb, const char *path, const char *body,
		    struct error *err)
{
	uint64_t start_us = clock_now_us();
	int r = api_server_call(w, verb, path, body, err);

	if (r < 0)
		return r;
	return bench_add(b, vmm, metric, (int64_t)(clock_now_us() - start_us), err);
}

int api_server_boot(struct wisp *w, const char *guest, const char *args, struct error *err)
{
	char relative[64], path[PATH_MAX], body[PATH_MAX + 256];
	int r;

	snprintf(relative, sizeof(relative), "../share/wisp/bench/%s", guest);
	r = vmm_beside(relative, path);
	if (r < 0)
		return error_set(err, r, NULL, "build or install the whole of wisp-bench",
				 "the guest of this benchmark is missing: %s", path);
	snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\", \"boot_args\": \"%s\"}", path,
		 args ? args : "");
	r = api_server_call(w, "PUT", "/boot-source", body, err);
	if (r < 0)
		return r;
	return api_server_call(w, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", err);
}

/* --- with a guest that halts --- */

static int get(struct bench *b, const struct bench_vmm *vmm, const char *metric, struct wisp *w,
	       struct error *err)
{
	return api_server_time(b, vmm, metric, w, "GET", "/", NULL, err);
}

static int get_many(struct bench *b, const struct bench_vmm *vmm, const struct api_server *s,
		    struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < GETS && r == 0; i++) {
		struct wisp *fresh;

		r = get(b, vmm, "get_us", s->w, err);
		if (r == 0 && wisp_open(s->socket, &fresh) < 0)
			return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
		if (r == 0) {
			r = get(b, vmm, "get_connect_us", fresh, err);
			wisp_close(fresh);
		}
	}
	return r;
}

static int run_idle(struct bench *b, struct bench_vmm *vmm, struct error *err)
{
	struct api_server s;
	int64_t answer_us;
	int r = api_server_start(b, vmm, &s, &answer_us, err);

	if (r == 0)
		r = bench_add(b, vmm, "exec_to_answer_us", answer_us, err);
	if (r == 0)
		r = api_server_boot(s.w, "idle.elf", NULL, err);
	if (r == 0)
		r = get_many(b, vmm, &s, err);
	api_server_end(&s);
	return r;
}

static int run_vmm(struct bench *b, struct bench_vmm *vmm, void *arg, struct error *err)
{
	int r = run_idle(b, vmm, err);

	(void)arg;
	return r < 0 ? r : api_busy_run(b, vmm, err);
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
	leave_out_qemu(b);
	return bench_alternate(b, "run", (unsigned)option_or(b->options->runs, API_RUNS), run_vmm,
			       NULL, err);
}

const struct bench_row bench_api = {
	.name = "api",
	.help = "how long the API takes to answer, with a guest that rests or keeps a disk busy",
	.run = api_run,
};
