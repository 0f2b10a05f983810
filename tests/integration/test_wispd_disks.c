/* test_wispd_disks.c - what guests have of the host's disks: a volume's life, and folders.
 *
 * A volume is plugged into a guest that runs, written, taken out, given to another, grown
 * under it, copied, backed up, erased. One guest has PCI, where disks come and go, and two
 * folders of the host; the other finds the volume when it boots. What they see they say on
 * their consoles. Runs as root in the test host.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
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
	" echo has-lost; mount -t virtiofs work /tmp && cp /tmp/script / && sh /script; sleep 9999\""
#define READER                                                                       \
	"-- eval \"mount -t ext4 -o ro /dev/vda /tmp; echo read-\\$(cat /tmp/file);" \
	" until [ \\$(cat /sys/block/vda/size) = 196608 ]; do sleep 0.1; done;"      \
	" echo has-grown; sleep 9999\""
#define ELASTIC "{\"vcpus\": 1, \"mem_mib\": 512, \"mem_max_mib\": 768}"
#define CONSOLE "console=ttyS0 reboot=k panic=-1 quiet"

/* Who the guest is in the folders. */
#define USER	"1234"
#define USERS	"\"uid_first\": 200001, \"uid_count\": 60000"
#define U_THERE "201000-201000"

/* From the folder itself. What cannot be done is said by the shell. */
#define SCRIPT                                                           \
	"mkdir /r && mount -t virtiofs closed /r && cat /r/words\n"      \
	"echo from-the-guest >/tmp/made; sync\n"                         \
	"echo more >>/r/words || echo not-added\n"                       \
	"touch /r/new || echo not-made\n"                                \
	"mount -o remount,rw /r; touch /r/new || echo not-made-at-all\n" \
	"mknod /tmp/null c 1 3 || echo no-device\n"                      \
	"chown 70000 /tmp/made || echo nobody-else\n"                    \
	"echo u::1000:1000::/:/bin/sh >>/etc/passwd\n"                   \
	"mkdir /tmp/users && chown 1000:1000 /tmp/users\n"               \
	"su -c 'echo mine >/tmp/users/file' u && echo a-user-wrote\n"    \
	"su -c 'echo mine >/tmp/made' u || echo not-the-users\n"         \
	"su -c 'cat /r/words' u && echo a-user-reads\n"                  \
	"cat /tmp/way-out/secret || echo no-way-out\n"                   \
	"echo has-shared\n"                                              \
	"until [ -e /tmp/go ]; do sleep 0.1; [ -e /tmp/made ] ||\n"      \
	" { umount /tmp; mount -t virtiofs work /tmp; }; done\n"         \
	"echo goes-on; sleep 9999\n"

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

/* --- folders --- */

static void host(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A command of the host's that must succeed. */
static void host(const char *fmt, ...)
{
	char line[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

/* What may be shared: "work", "closed"; and what may not: "secret". */
static struct wispd_host *make_host(void)
{
	char config[1024], top[256];

	snprintf(top, sizeof(top), "%s", fixture_path("folders"));
	snprintf(config, sizeof(config),
		 ", \"disk_reserve_mib\": 0, \"shares\": ["
		 "{\"path\": \"%s/work\", \"user\": " USER ", " USERS "},"
		 "{\"path\": \"%s/closed\", \"user\": " USER ", \"read_only\": true},"
		 "{\"path\": \"%s/theirs\", \"user\": " USER ", \"tenant\": \"others\"}]",
		 top, top, top);
	host("mkdir %s && cd %s && mkdir work closed theirs work/below && chown " USER
	     " work closed closed && echo for-all >closed/words && chown " USER " closed/words &&"
	     " echo hidden >secret && ln -s .. work/way-out && ln -s below work/way-in",
	     top, top);
	host("cp %s %s/work && chmod 644 %s/work/script", fixture_file("script", SCRIPT), top, top);
	return wispd_host_make(config);
}

static const char *shares(const char *one, const char *two)
{
	static char text[1024];
	char top[256];

	snprintf(top, sizeof(top), "%s", fixture_path("folders"));
	snprintf(text, sizeof(text), "{\"hotplug\": true, \"shares\": [\"%s/%s\"%s%s%s%s]}", top,
		 one, two ? ", \"" : "", two ? top : "", two ? two : "", two ? "\"" : "");
	return text;
}

/* Each by its name: not allowed, another's, for reading only, out of the folder by a link. */
static void check_refusals(struct wispd_host *h)
{
	static const char *const bad[] = { "secret:t", "theirs:t", "closed:t", "work/../secret:t",
					   NULL };
	static const char *const links[] = { "work/way-out:t", "work/way-in:t",
					     "work/way-out/theirs:t", NULL };
	char body[1024];

	for (const char *const *name = bad; *name; name++) {
		snprintf(body, sizeof(body), "{\"image\": \"mini\", \"shares\": [\"%s/%s\"]}",
			 fixture_path("folders"), *name);
		status(h, "POST", "/instances", body, strstr(*name, "..") ? 400 : 403);
	}
	for (const char *const *name = links; *name; name++) {
		snprintf(
			body, sizeof(body),
			"{\"image\": \"mini\", \"name\": \"linked\", \"start\": true, \"shares\": [\"%s/%s\"]}",
			fixture_path("folders"), *name);
		assert_string_equal(wispd_host_do(h, "POST", "/instances", body), "failed");
		host("%s --socket %s inspect linked | grep -q 'A link is on the way'",
		     fixture_program("wispctl"), wispd_host_socket(h));
		done(h, "DELETE", "/instances/linked", NULL);
	}
}

/* The guest's root is a user of the host's there, its users are others, and the program that serves
 * them is nobody else. */
static void share_and_write(struct wispd_host *h)
{
	static const char *const said[] = { "for-all",	       "not-added",    "not-made",
					    "not-made-at-all", "no-device",    "nobody-else",
					    "no-way-out",      "a-user-wrote", "not-the-users",
					    "a-user-reads",    "has-shared" };
	char top[256];

	snprintf(top, sizeof(top), "%s", fixture_path("folders"));
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		await_words(h, "writer", said[i]);
	host("grep -q from-the-guest %s/work/made && [ $(stat -c %%u-%%g %s/work/made) = " USER
	     "-" USER " ]",
	     top, top);
	host("[ $(stat -c %%u-%%g %s/work/users/file) = " U_THERE " ]", top);
	host("[ $(cat %s/closed/words) = for-all ] && ! [ -e %s/closed/new ]", top, top);
	host("! [ -e %s/work/null ]", top);
	host("[ $(pgrep -c virtiofsd) = $(pgrep -c -u " USER " virtiofsd) ]");
	status(h, "POST", "/instances/writer/snapshot", "{\"name\": \"no\"}", 409);
	/* Neither does wispd's end matter, nor that of what serves. */
	wispd_host_stop(h, SIGKILL);
	host("pkill -KILL -u " USER " virtiofsd; timeout 200 sh -c 'until pgrep -u " USER
	     " virtiofsd >/dev/null; do sleep 0.1; done' &&"
	     " echo >%s/work/go",
	     top);
	assert_true(wispd_host_start(h, 0));
	await_words(h, "writer", "goes-on");
}

/* --- volumes --- */

static void plug_and_write(struct wispd_host *h)
{
	done(h, "POST", "/volumes", "{\"name\": \"data\", \"size_mib\": 64, \"format\": \"ext4\"}");
	start(h, "cloud", "writer", WRITER, shares("work:work", "/closed:closed:ro"));
	done(h, "POST", "/volumes/data/attach", "{\"instance\": \"writer\"}");
	await_words(h, "writer", "has-written");
	status(h, "DELETE", "/volumes/data", NULL, 409);
	status(h, "POST", "/volumes", "{\"name\": \"torn\", \"from\": \"data\"}", 409);
	done(h, "POST", "/volumes/data/detach", NULL);
	await_words(h, "writer", "has-lost");
}

static void give(struct wispd_host *h, const char *size)
{
	char body[100];

	snprintf(body, sizeof(body), "{\"%s, \"timeout_ms\": %d}", size, LIMIT_MS);
	done(h, "POST", "/instances/elastic/resize", body);
}

/* Plugged above its RAM; unplugged, and taken by the balloon; and given back. */
static void resize_memory(struct wispd_host *h)
{
	status(h, "PUT", "/shapes/elastic", ELASTIC, 200);
	start(h, "cloud", "elastic", "-- eval \"echo is-up; sleep 9999\"",
	      "{\"shape\": \"elastic\"}");
	await_words(h, "elastic", "is-up");
	give(h, "mem_mib\": 768");
	status(h, "POST", "/instances/elastic/resize", "{\"mem_mib\": 770}", 400);
	give(h, "mem_mib\": 400");
	give(h, "mem_mib\": 640");
	done(h, "DELETE", "/instances/elastic", NULL);
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
	struct wispd_host *h = make_host();

	(void)state;
	assert_true(wispd_host_start(h, 0));
	add_image(h, "cloud", "vmlinuz-cloud", "initrd-cloud");
	add_image(h, "mini", "vmlinux-minimal", "initramfs.cpio");
	plug_and_write(h);
	check_refusals(h);
	share_and_write(h);
	resize_memory(h);
	read_and_grow(h);
	copy_and_erase(h);
	done(h, "DELETE", "/instances/writer", NULL);
	done(h, "DELETE", "/instances/reader", NULL);
	assert_int_equal(wispd_host_jails(h), 0);
	host("! pgrep virtiofsd && ! pgrep -x wisp-keeper");
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
