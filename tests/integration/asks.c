/* asks.c - what tests ask of a wispd and expect it to say. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/asks.h"
#include "tests/integration/fixture.h"

enum { LIMIT_MS = 200000, POLL_MS = 20 };

#define SHAPE	 "{\"vcpus\": 1, \"mem_mib\": 32}"
#define SETTINGS ", \"disk_reserve_mib\": 0, \"agent_timeout_ms\": 240000"

struct wispd_host *asks_host(void)
{
	struct wispd_host *h = wispd_host_make(SETTINGS);

	assert_true(wispd_host_start(h, 0));
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/test", SHAPE, NULL), 200);
	return h;
}

void asks_done(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	const char *outcome = wispd_host_do(h, verb, path, body);

	if (strcmp(outcome, "done") != 0)
		fail_msg("%s %s: %s\n%s", verb, path, outcome, wispd_host_log(h));
}

/* The answer's status is this one, or wispd's log says why not. */
static void call(struct wispd_host *h, const char *verb, const char *path, const char *body,
		 int expected, json_t **ret)
{
	int status = wispd_host_call(h, verb, path, body, ret);

	if (status != expected)
		fail_msg("%s %s: %d, not %d\n%s", verb, path, status, expected, wispd_host_log(h));
}

void asks_status(struct wispd_host *h, const char *verb, const char *path, const char *body,
		 int expected)
{
	call(h, verb, path, body, expected, NULL);
}

const char *asks_text(struct wispd_host *h, const char *path, const char *member)
{
	static char text[256];
	json_t *j = NULL;
	const char *said;

	call(h, "GET", path, NULL, 200, &j);
	said = json_string_value(json_object_get(j, member));
	snprintf(text, sizeof(text), "%s", said ? said : "");
	json_decref(j);
	return text;
}

size_t asks_count(struct wispd_host *h, const char *path, const char *member)
{
	json_t *j = NULL;
	size_t n;

	call(h, "GET", path, NULL, 200, &j);
	n = json_array_size(json_object_get(j, member));
	json_decref(j);
	return n;
}

void asks_await_count(struct wispd_host *h, const char *path, const char *member, size_t wanted)
{
	for (int waited = 0; asks_count(h, path, member) != wanted; waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("%s: %zu, not %zu\n%s", path, asks_count(h, path, member), wanted,
				 wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

void asks_await_state(struct wispd_host *h, const char *path, const char *wanted)
{
	for (int waited = 0; strcmp(asks_text(h, path, "state"), wanted) != 0; waited += POLL_MS) {
		if (waited > LIMIT_MS || strcmp(asks_text(h, path, "state"), "failed") == 0)
			fail_msg("%s is %s: %s\n%s", path, asks_text(h, path, "state"),
				 asks_text(h, path, "cause"), wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

json_int_t asks_held(struct wispd_host *h, const char *resource)
{
	json_t *j = NULL, *quota;
	json_int_t used;

	assert_int_equal(wispd_host_call(h, "GET", "/tenants", NULL, &j), 200);
	quota = json_object_get(json_array_get(json_object_get(j, "tenants"), 0), "quota");
	used = json_integer_value(json_object_get(json_object_get(quota, resource), "used"));
	json_decref(j);
	return used;
}

const char *asks_ctl_words(struct wispd_host *h, const char *const words[])
{
	const char *output;
	int exit_status = wispd_host_ctl(h, &output, words);

	if (exit_status != 0)
		fail_msg("%s %s: status %d:\n%s\n%s", words[0], words[1], exit_status, output,
			 wispd_host_log(h));
	return output;
}

void asks_expect(const char *said, const char *wanted)
{
	if (strcmp(said, wanted) != 0)
		fail_msg("\"%s\", not \"%s\"", said, wanted);
}

void asks_expect_in(const char *said, const char *words)
{
	if (!strstr(said, words))
		fail_msg("no \"%s\" in:\n%s", words, said);
}

void asks_add_box(struct wispd_host *h)
{
	char line[1200], disk[300];

	snprintf(disk, sizeof(disk), "%s/disk", fixture_dir());
	snprintf(line, sizeof(line),
		 "mkdir -p %s/tree && cd %s/tree && cpio -id --quiet <%s && mkdir -p mnt root"
		 " && truncate -s 24M %s && mkfs.ext4 -q -F -d . %s",
		 fixture_dir(), fixture_dir(), fixture_image("initramfs.cpio"), disk, disk);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
	asks_ctl(h, "image", "add", "--agent", "--kernel", fixture_image("vmlinux-minimal"),
		 "--rootfs", disk, "--cmdline", "console=ttyS0 reboot=k panic=-1 quiet", "box");
}
