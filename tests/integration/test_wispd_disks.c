/* test_wispd_disks.c - a volume's life with real guests: plugged into one that runs,
 * written, taken out, given to another, grown under it, copied, backed up, erased.
 *
 * One guest has PCI, where disks come and go; the other finds the volume when it boots. What
 * they see they say on their consoles. Runs as root in the test host.
 */
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

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, LIMIT_MS = 200000, POLL_MS = 50 };

/* In quotes, for the kernel takes but a few words. */
#define WRITER                                                                    \
	"-- eval \"until [ -b /dev/vda ]; do sleep 0.1; done;"                    \
	" mount -t ext4 /dev/vda /tmp; echo first-words >/tmp/file; umount /tmp;" \
	" echo has-written; until ! [ -b /dev/vda ]; do sleep 0.1; done;"         \
	" echo has-lost; sleep 9999\""
#define READER                                                                       \
	"-- eval \"mount -t ext4 -o ro /dev/vda /tmp; echo read-\\$(cat /tmp/file);" \
	" until [ \\$(cat /sys/block/vda/size) = 196608 ]; do sleep 0.1; done;"      \
	" echo has-grown; sleep 9999\""
#define CONSOLE "console=ttyS0 reboot=k panic=-1 quiet"

static void add_image(struct wispd_host *h, const char *name, const char *kernel,
		      const char *initrd)
{
	char body[1024];

	snprintf(body, sizeof(body),
		 "{\"name\": \"%s\", \"kernel\": \"%s\", \"initrd\": \"%s\","
		 " \"cmdline\": \"" CONSOLE "\"}",
		 name, fixture_image(kernel), fixture_image(initrd));
	assert_string_equal(wispd_host_do(h, "POST", "/images", body), "done");
}

/* A started instance; more: members of the request. */
static void start(struct wispd_host *h, const char *image, const char *name, const char *script,
		  const char *more)
{
	json_t *body = json_pack("{s:s, s:s, s:s, s:b}", "image", image, "name", name, "cmdline",
				 script, "start", true);
	json_t *members = json_loads(more, 0, NULL);
	char *text;

	json_object_update(body, members);
	text = json_dumps(body, 0);
	assert_string_equal(wispd_host_do(h, "POST", "/instances", text), "done");
	free(text);
	json_decref(members);
	json_decref(body);
}

static void await_words(struct wispd_host *h, const char *name, const char *words)
{
	char path[96];

	snprintf(path, sizeof(path), "/instances/%s/logs", name);
	for (int waited = 0;; waited += POLL_MS) {
		json_t *j = NULL;
		const char *said;
		bool seen;

		assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
		said = json_string_value(json_object_get(j, "text"));
		seen = said && strstr(said, words);
		if (!seen && waited > LIMIT_MS)
			fail_msg("%s does not say \"%s\":\n%s", name, words, said);
		json_decref(j);
		if (seen)
			return;
		poll(NULL, 0, POLL_MS);
	}
}

static void done(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	const char *outcome = wispd_host_do(h, verb, path, body);

	if (strcmp(outcome, "done") != 0)
		fail_msg("%s %s: %s\n%s", verb, path, outcome, wispd_host_log(h));
}

static void status(struct wispd_host *h, const char *verb, const char *path, const char *body,
		   int expected)
{
	assert_int_equal(wispd_host_call(h, verb, path, body, NULL), expected);
}

static void plug_and_write(struct wispd_host *h)
{
	done(h, "POST", "/volumes", "{\"name\": \"data\", \"size_mib\": 64, \"format\": \"ext4\"}");
	start(h, "cloud", "writer", WRITER, "{\"hotplug\": true}");
	done(h, "POST", "/volumes/data/attach", "{\"instance\": \"writer\"}");
	await_words(h, "writer", "has-written");
	status(h, "DELETE", "/volumes/data", NULL, 409);
	status(h, "POST", "/volumes", "{\"name\": \"torn\", \"from\": \"data\"}", 409);
	done(h, "POST", "/volumes/data/detach", NULL);
	await_words(h, "writer", "has-lost");
}

static void read_and_grow(struct wispd_host *h)
{
	start(h, "mini", "reader", READER, "{\"volumes\": [\"data:ro\"], \"shape\": \"tiny\"}");
	await_words(h, "reader", "read-first-words");
	status(h, "POST", "/volumes/data/attach", "{\"instance\": \"writer\"}", 409);
	/* It runs, and has no slots; then it is asked for its disk. */
	status(h, "POST", "/volumes/data/detach", NULL, 400);
	done(h, "POST", "/volumes/data/grow", "{\"size_mib\": 96}");
	await_words(h, "reader", "has-grown");
	status(h, "POST", "/volumes/data/grow", "{\"size_mib\": 64}", 400);
	done(h, "POST", "/instances/reader/stop", "{\"timeout_ms\": 0}");
	status(h, "POST", "/volumes/data/detach", NULL, 202);
}

static void copy_and_erase(struct wispd_host *h)
{
	char line[600], body[300];

	done(h, "POST", "/volumes", "{\"name\": \"copy\", \"from\": \"data\"}");
	snprintf(body, sizeof(body), "{\"path\": \"%s\"}", wispd_host_path(h, "backup"));
	done(h, "POST", "/volumes/copy/backup", body);
	snprintf(line, sizeof(line), "grep -q first-words %s", wispd_host_path(h, "backup"));
	assert_int_equal(system(line), 0);
	assert_int_equal(wispd_host_files(h, "state/volumes"), 2);
	done(h, "DELETE", "/volumes/copy", "{\"erase\": true}");
	done(h, "DELETE", "/volumes/data", NULL);
	assert_int_equal(wispd_host_files(h, "state/volumes"), 0);
	snprintf(line, sizeof(line),
		 "%s --socket %s events --tail 20 | grep -q 'volume.erased.*certificate.*sha256'",
		 fixture_program("wispctl"), wispd_host_socket(h));
	assert_int_equal(system(line), 0);
}

static void test_life(void **state)
{
	struct wispd_host *h = wispd_host_make(", \"disk_reserve_mib\": 0");

	(void)state;
	assert_true(wispd_host_start(h, 0));
	add_image(h, "cloud", "vmlinuz-cloud", "initrd-cloud");
	add_image(h, "mini", "vmlinux-minimal", "initramfs.cpio");
	plug_and_write(h);
	read_and_grow(h);
	copy_and_erase(h);
	done(h, "DELETE", "/instances/writer", NULL);
	done(h, "DELETE", "/instances/reader", NULL);
	assert_int_equal(wispd_host_jails(h), 0);
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_life) };

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinuz-cloud") ||
	    !fixture_image("vmlinux-minimal")) {
		fprintf(stderr, "test_wispd_disks needs the test host and guest images\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
