/* job_guests.c - an initrd with a script in it, and waiting for what that says. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest-images/init/newc.h"
#include "tests/integration/fixture.h"
#include "tests/integration/job_guests.h"

enum { LIMIT_S = 120, POLL_MS = 20 };

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

const char *job_initrd(const char *job)
{
	struct newc archive = { 0 };
	char command[512];

	snprintf(command, sizeof(command), "cp %s %s", fixture_need_image("initrd-stock"),
		 fixture_path("initrd"));
	run(command);
	archive.fd = open(fixture_path("initrd"), O_RDWR | O_APPEND);
	assert_true(archive.fd >= 0);
	assert_int_equal(newc_file(&archive, "job", 0755, job, strlen(job)), 0);
	assert_int_equal(newc_end(&archive), 0);
	close(archive.fd);
	return fixture_path("initrd");
}

void job_image_add(struct wispd_host *h, const char *name, bool agent, const char *job)
{
	char body[768];

	snprintf(body, sizeof(body),
		 "{\"name\": \"%s\", \"kernel\": \"%s\", \"initrd\": \"%s\", \"agent\": %s,"
		 " \"cmdline\": \"" JOB_CMDLINE "\"}",
		 name, fixture_need_image("vmlinuz-stock"), job_initrd(job),
		 agent ? "true" : "false");
	if (strcmp(wispd_host_do(h, "POST", "/images", body), "done") != 0)
		fail_msg("%s: %s", name, wispd_host_log(h));
}

void job_await_words(struct wispd_host *h, const char *name, const char *words)
{
	char path[64];

	snprintf(path, sizeof(path), "/instances/%s/logs", name);
	for (int waited = 0; waited < LIMIT_S * 1000; waited += POLL_MS) {
		json_t *j = NULL;
		const char *text;
		bool said;

		wispd_host_call(h, "GET", path, NULL, &j);
		text = json_string_value(json_object_get(j, "text"));
		said = text && strstr(text, words);
		if (!said && text && strstr(text, "FAILED"))
			fail_msg("%s", text);
		json_decref(j);
		if (said)
			return;
		poll(NULL, 0, POLL_MS);
	}
	run("cat /tmp/*/host-*/jails/*/*/root/console.log /tmp/*/host-*/jails/*/*/vmm.log >&2");
	fail_msg("%s does not say \"%s\"", name, words);
}

/* NULL: the instance is not known, or wispd does not answer. */
static const char *state_of(struct wispd_host *h, const char *path, int *status, json_t **ret)
{
	*status = wispd_host_call(h, "GET", path, NULL, ret);
	return json_string_value(json_object_get(*ret, "state"));
}

void job_await_state(struct wispd_host *h, const char *name, const char *state)
{
	char path[64];

	snprintf(path, sizeof(path), "/instances/%s", name);
	for (int waited = 0; waited < LIMIT_S * 1000; waited += POLL_MS) {
		json_t *j = NULL;
		int status;
		const char *is = state_of(h, path, &status, &j);
		bool there = is && strcmp(is, state) == 0;

		if (!is)
			fail_msg("%s: status %d; wispd %s:\n%s", path, status,
				 wispd_host_runs(h) ? "runs" : "is gone", wispd_host_log(h));
		json_decref(j);
		if (there)
			return;
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("%s is not %s", name, state);
}
