/* test_wispd_load.c - what a real guest's network and disk are metered at, against counters
 * that wispd has no part in: iperf3's and fio's, the host's of the taps, and those of the
 * guest's own kernel; and of the network, what is the world's and what a neighbour's. And a tap
 * that somebody deletes.
 *
 * The guest has an interface in a bridge and one with a line of its own. iperf3 serves in it,
 * since a guest may not call its host. Frames are metered, so payload is what is left of them
 * without their headers. Runs as root in the test host, in a network namespace of its own.
 */
#include <poll.h>
#include <sched.h>
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
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"
#include "vmm/base/clock.h"

enum {
	SKIPPED = 77,
	LIMIT_S = 120,
	POLL_MS = 50,
	/* Of Ethernet, IPv4, and TCP with its time stamps, or UDP. A frame may be many segments. */
	TCP_HEADER_BYTES = 14 + 20 + 32,
	UDP_HEADER_BYTES = 14 + 20 + 8,
	TCP_SEGMENT_BYTES = 1448, /* what one carries of these */
	PER_MILLE = 1000,
	SECTOR_BYTES = 512,
};

static const uint64_t LIMIT_US = LIMIT_S * UINT64_C(1000000);

#define WIRE "10.61.0.2" /* in a bridge */
#define LINE "10.62.0.2" /* routed */
#define HOST "192.0.2.1" /* to the world, where the guest is published */
#define OFTEN                                                          \
	", \"agent_timeout_ms\": 240000, \"confirm_interval_ms\": 200" \
	", \"count_interval_ms\": 200, \"reconcile_interval_ms\": 500"

static int run(const char *line)
{
	return system(line);
}

__attribute__((format(printf, 1, 2))) static void command(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (run(line) != 0)
		fail_msg("failed: %s", line);
}

/* What a program prints, which is JSON; NULL: it failed. */
__attribute__((format(printf, 1, 2))) static json_t *json_of(const char *fmt, ...)
{
	char line[1024];
	json_t *j = NULL;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	f = popen(line, "re");
	if (f) {
		j = json_loadf(f, 0, NULL);
		if (pclose(f) != 0) {
			json_decref(j);
			j = NULL;
		}
	}
	return j;
}

static void done(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	const char *outcome = wispd_host_do(h, verb, path, body);

	if (strcmp(outcome, "done") != 0)
		fail_msg("%s %s: %s\n%s", verb, path, outcome, wispd_host_log(h));
}

static json_t *get(struct wispd_host *h, const char *path)
{
	json_t *j = NULL;
	int status = wispd_host_call(h, "GET", path, NULL, &j);

	if (status != 200)
		fail_msg("GET %s: %d %s\n%s", path, status, json_dumps(j, 0), wispd_host_log(h));
	return j;
}

static const char *in_guest(struct wispd_host *h, const char *line)
{
	return wispd_host_expect(
		h, 0, (const char *const[]){ "exec", "vm", "--", "sh", "-c", line, NULL });
}

/* --- counters --- */

/* Of both interfaces together, as the guest sees them. */
struct traffic {
	int64_t in, in_frames, in_dropped, out, out_frames;
};

static int64_t number(const json_t *j, const char *group, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(j, group), name));
}

static struct traffic read_taps(struct wispd_host *h)
{
	json_t *vm = get(h, "/instances/vm"), *interface;
	struct traffic sum = { 0 };
	size_t n;

	json_array_foreach(json_object_get(vm, "interfaces"), n, interface)
	{
		json_t *list = json_of("ip -s -j link show dev %s",
				       json_string_value(json_object_get(interface, "link")));
		json_t *stats = json_object_get(json_array_get(list, 0), "stats64");

		assert_non_null(stats);
		sum.in += number(stats, "tx", "bytes");
		sum.in_frames += number(stats, "tx", "packets");
		sum.in_dropped += number(stats, "tx", "dropped");
		sum.out += number(stats, "rx", "bytes");
		sum.out_frames += number(stats, "rx", "packets");
		json_decref(list);
	}
	json_decref(vm);
	return sum;
}

/* Its quantity this month; 0: nothing is told. */
static int64_t used(struct wispd_host *h, const char *meter)
{
	json_t *j = get(h, "/usage"), *row;
	int64_t quantity = 0;
	size_t i;

	json_array_foreach(json_object_get(j, "usage"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "meter")), meter) == 0)
			quantity = json_integer_value(json_object_get(row, "quantity"));
	}
	json_decref(j);
	return quantity;
}

/* What is metered of both together. */
struct classes {
	int64_t in_world, out_world, in_internal, out_internal;
};

static struct classes read_classes(struct wispd_host *h)
{
	return (struct classes){ used(h, "net_in_world"), used(h, "net_out_world"),
				 used(h, "net_in_internal"), used(h, "net_out_internal") };
}

/* To the byte; of frames that the guest did not take only the class knows. */
static bool fit(const struct traffic *taps, const struct classes *c)
{
	const int64_t in = c->in_world + c->in_internal;

	return c->out_world + c->out_internal == taps->out &&
	       (taps->in_dropped ? in >= taps->in : in == taps->in);
}

/* Waits until what is metered is what the host's kernel has counted, whole and by class, and
 * nothing else came meanwhile; that. */
static struct traffic await_equal(struct wispd_host *h)
{
	struct traffic taps;

	for (uint64_t from_us = clock_now_us();;) {
		struct classes c;
		int64_t in, out;

		taps = read_taps(h);
		in = used(h, "net_in");
		out = used(h, "net_out");
		c = read_classes(h);
		if (in == taps.in && out == taps.out && fit(&taps, &c))
			return taps;
		if (clock_now_us() - from_us > LIMIT_US)
			fail_msg("metered %lld in, %lld out; the taps %lld, %lld (%lld dropped);"
				 " the world %lld, %lld, internal %lld, %lld\n%s",
				 (long long)in, (long long)out, (long long)taps.in,
				 (long long)taps.out, (long long)taps.in_dropped,
				 (long long)c.in_world, (long long)c.out_world,
				 (long long)c.in_internal, (long long)c.out_internal,
				 wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

/* What somebody else has counted, who need not have seen all that came to pass. */
struct counted {
	int64_t least, most;
};

/* Within a thousandth. */
static void near(const char *what, int64_t metered, struct counted c)
{
	print_message("%s: metered %lld, independently %lld to %lld, off by %.4f %%\n", what,
		      (long long)metered, (long long)c.least, (long long)c.most,
		      100.0 * (double)(metered - c.least) / (double)c.least);
	if (c.least <= 0 || (c.least - metered) * PER_MILLE > c.least ||
	    (metered - c.most) * PER_MILLE > c.most)
		fail_msg("%s: metered %lld, and not %lld to %lld", what, (long long)metered,
			 (long long)c.least, (long long)c.most);
}

static void near_one(const char *what, int64_t metered, int64_t independent)
{
	near(what, metered, (struct counted){ independent, independent });
}

/* --- the guest --- */

static bool has_fio(void)
{
	return access("/usr/bin/fio", X_OK) == 0;
}

/* A root disk of iperf3, of fio where that is installed, and what they need. */
static void make_tools(void)
{
	command("cd %s && mkdir -p tree/bin tree/dev tree/proc tree/run tree/sys tree/tmp &&"
		" for tool in iperf3 fio; do ! [ -x /usr/bin/$tool ] || cp -L --parents"
		" $(ldd /usr/bin/$tool /usr/bin/iperf3 | grep -o '/[^ :)]*' | sort -u) tree;"
		" done && cp $(command -v busybox) tree/bin/busybox &&"
		" ln -s busybox tree/bin/sh && ln -s busybox tree/bin/awk &&"
		" mke2fs -q -t ext4 -d tree tools 160M >/dev/null",
		fixture_dir());
}

static void make_guest(struct wispd_host *h)
{
	char body[1024];

	make_tools();
	snprintf(body, sizeof(body),
		 "{\"name\": \"tools\", \"kernel\": \"%s\", \"initrd\": \"%s\", \"rootfs\":"
		 " \"%s\", \"rootfs_read_only\": true, \"agent\": true,"
		 " \"cmdline\": \"console=ttyS0 reboot=k panic=-1 quiet\"}",
		 fixture_image("vmlinux-minimal"), fixture_image("initramfs.cpio"),
		 fixture_path("tools"));
	done(h, "POST", "/images", body);
	done(h, "POST", "/volumes", "{\"name\": \"data\", \"size_mib\": 32}");
	assert_int_equal(wispd_host_call(h, "POST", "/networks",
					 "{\"name\": \"wire\", \"prefix4\": \"10.61.0.0/24\"}",
					 NULL),
			 200);
	assert_int_equal(wispd_host_call(h, "POST", "/networks",
					 "{\"name\": \"line\", \"prefix4\": \"10.62.0.0/24\","
					 " \"mode\": \"routed\"}",
					 NULL),
			 200);
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/load", "{\"vcpus\": 1, \"mem_mib\": 256}", NULL),
		200);
	done(h, "POST", "/instances",
	     "{\"image\": \"tools\", \"name\": \"vm\", \"shape\": \"load\", \"start\": true,"
	     " \"volumes\": [\"data\"], \"interfaces\": [{\"network\": \"wire\","
	     " \"publish\": [\"5201:5201\", \"5201:5201/udp\"]},"
	     " {\"network\": \"line\"}]}");
}

/* --- iperf3 --- */

/* What this side has of a run's end, and the other side's word for it where that is to count.
 * Of what the guest sends as a stream: at least what was read until the time was up, at most what
 * was handed over, and what of it was sent again. */
static struct counted counted(const json_t *end, bool stream)
{
	const int64_t sent = number(end, "sum_sent", "bytes");

	if (!stream)
		return (struct counted){ sent, sent };
	return (struct counted){ number(end, "sum_received", "bytes"),
				 sent + TCP_SEGMENT_BYTES *
						 number(end, "sum_sent", "retransmits") };
}

/* One run against the guest's server, which may not listen yet. from: what runs it. */
static struct counted iperf(struct wispd_host *h, const char *from, const char *address,
			    const char *options, bool stream)
{
	struct session *server = session_start((const char *const[]){
		fixture_program("wispctl"), "--socket", wispd_host_socket(h), "exec", "vm", "--",
		"iperf3", "--server", "--one-off", NULL });
	struct counted c = { 0 };

	for (uint64_t from_us = clock_now_us(); c.least == 0;) {
		json_t *result = json_of("%s iperf3 -c %s -J %s", from, address, options);

		c = counted(json_object_get(result, "end"), stream);
		json_decref(result);
		if (clock_now_us() - from_us > LIMIT_US)
			fail_msg("no iperf3 at %s: %s", address, session_output(server));
	}
	assert_int_equal(session_wait(server, LIMIT_S), 0);
	session_end(server);
	return c;
}

/* To the guest, as datagrams, of which this side counts what it sends. */
static struct counted iperf_in(struct wispd_host *h, const char *from, const char *address,
			       const char *size)
{
	char options[64];

	snprintf(options, sizeof(options), "-n %s -u -b 8M -l 1400", size);
	return iperf(h, from, address, options, false);
}

static struct counted iperf_out(struct wispd_host *h, const char *from, const char *address,
				const char *size)
{
	char options[64];

	snprintf(options, sizeof(options), "-n %s -R", size);
	return iperf(h, from, address, options, true);
}

static void check_interface(struct wispd_host *h, const char *address)
{
	struct traffic before = await_equal(h), after;
	struct counted c = iperf_in(h, "", address, "8M");

	after = await_equal(h);
	near(address,
	     after.in - before.in - UDP_HEADER_BYTES * (after.in_frames - before.in_frames), c);
	before = after;
	c = iperf_out(h, "", address, "16M");
	after = await_equal(h);
	near(address,
	     after.out - before.out - TCP_HEADER_BYTES * (after.out_frames - before.out_frames), c);
}

/* --- the world, and a neighbour --- */

static void make_namespace(const char *name, const char *here, const char *address)
{
	command("ip netns add %s && ip link add dev %s type veth peer name far netns %s &&"
		" ip -n %s link set lo up && ip -n %s link set far up &&"
		" ip -n %s addr add %s dev far && ip link set dev %s up",
		name, here, name, name, name, name, address, here);
}

/* A network behind the host's own, and one more on the guest's wire. */
static void make_others(struct wispd_host *h)
{
	json_t *vm = get(h, "/instances/vm");
	const json_t *wire = json_array_get(json_object_get(vm, "interfaces"), 0);

	make_namespace("world", "outer", "192.0.2.2/24");
	command("ip addr add " HOST "/24 dev outer");
	make_namespace("neighbour", "beside", "10.61.0.200/24");
	command("ip link set beside master $(ip -j link show dev %s |"
		" sed 's/.*\"master\":\"\\([^\"]*\\)\".*/\\1/')",
		json_string_value(json_object_get(wire, "link")));
	json_decref(vm);
}

/* What came and went is the class's, and the other's is as good as nothing: questions for
 * neighbours, and the like. */
static void check_class(struct wispd_host *h, const char *from, const char *address, bool world)
{
	struct traffic taps = await_equal(h), after;
	struct classes before = read_classes(h), now;
	struct counted c = iperf_in(h, from, address, "4M");

	after = await_equal(h);
	now = read_classes(h);
	near(from,
	     (world ? now.in_world - before.in_world : now.in_internal - before.in_internal) -
		     UDP_HEADER_BYTES * (after.in_frames - taps.in_frames),
	     c);
	taps = after;
	before = now;
	c = iperf_out(h, from, address, "8M");
	after = await_equal(h);
	now = read_classes(h);
	near(from,
	     (world ? now.out_world - before.out_world : now.out_internal - before.out_internal) -
		     TCP_HEADER_BYTES * (after.out_frames - taps.out_frames),
	     c);
	assert_true((world ? now.out_internal - before.out_internal
			   : now.out_world - before.out_world) *
			    PER_MILLE <
		    c.least);
}

/* --- a tap that somebody deletes --- */

/* How many gaps of a meter are told for a reason. */
static unsigned gaps(struct wispd_host *h, const char *meter, const char *reason)
{
	json_t *j = get(h, "/usage"), *gap;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(j, "gaps"), i, gap)
	{
		const char *m = json_string_value(json_object_get(gap, "meter"));
		const char *r = json_string_value(json_object_get(gap, "reason"));

		n += m && r && strcmp(m, meter) == 0 && strcmp(r, reason) == 0;
	}
	json_decref(j);
	return n;
}

/* Waits until what is told of the instance has this finding. */
static void await_finding(struct wispd_host *h, const char *kind)
{
	for (uint64_t from_us = clock_now_us();;) {
		json_t *vm = get(h, "/instances/vm"), *finding;
		bool found = false;
		size_t i;

		json_array_foreach(json_object_get(vm, "findings"), i, finding)
		{
			found = found ||
				strcmp(kind, json_string_value(json_object_get(finding, "kind"))) ==
					0;
		}
		json_decref(vm);
		if (found)
			return;
		if (clock_now_us() - from_us > LIMIT_US)
			fail_msg("no finding %s: %s", kind, wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static bool is_healthy(struct wispd_host *h)
{
	json_t *j = get(h, "/doctor");
	bool healthy = json_is_true(json_object_get(j, "healthy"));

	json_decref(j);
	return healthy;
}

/* The line's. What passed by it is billed, what passes now is a gap, and not zero; the other
 * interface is counted on. */
static void check_deleted(struct wispd_host *h)
{
	const struct traffic before = await_equal(h);
	json_t *vm = get(h, "/instances/vm");
	const json_t *line = json_array_get(json_object_get(vm, "interfaces"), 1);

	assert_int_equal(gaps(h, "net_in", "cannot be read"), 0);
	command("ip link del %s", json_string_value(json_object_get(line, "link")));
	json_decref(vm);
	await_finding(h, "no_link");
	assert_false(is_healthy(h));
	assert_int_equal(gaps(h, "net_in", "cannot be read"), 1);
	assert_int_equal(gaps(h, "net_out", "cannot be read"), 1);
	assert_int_equal(gaps(h, "net_out_world", "cannot be read"), 1);
	assert_int_equal(gaps(h, "net_in_internal", "cannot be read"), 1);
	command("ping -q -c 3 -s 1000 " WIRE " >/dev/null");
	for (uint64_t from_us = clock_now_us();
	     used(h, "net_in") < before.in + 3000 || used(h, "net_out") < before.out + 3000;) {
		if (clock_now_us() - from_us > LIMIT_US)
			fail_msg("what passes by the other tap is not metered");
		poll(NULL, 0, POLL_MS);
	}
}

/* --- fio --- */

/* What its kernel counted of a disk: bytes read, or written. */
static int64_t disk_bytes(struct wispd_host *h, const char *disk, unsigned field)
{
	char line[96];

	snprintf(line, sizeof(line), "awk '{print $%u}' /sys/block/%s/stat", field, disk);
	return strtoll(in_guest(h, line), NULL, 10) * SECTOR_BYTES;
}

static void check_disk(struct wispd_host *h)
{
	const char *said =
		in_guest(h, "fio --name=f --filename=/dev/vdb --direct=1 --rw=rw --bs=64k"
			    " --size=32m --output-format=json");
	json_t *result = json_loads(said, 0, NULL);
	const json_t *job = json_array_get(json_object_get(result, "jobs"), 0);
	const int64_t read = number(job, "read", "io_bytes");
	const int64_t written = number(job, "write", "io_bytes");
	int64_t tools;

	json_decref(result);
	tools = disk_bytes(h, "vda", 3);
	/* A VMM tells what its disks did when it ends. */
	done(h, "POST", "/instances/vm/stop", "{\"timeout_ms\": 60000}");
	near_one("fio writes", used(h, "disk_written"), written);
	near_one("fio reads", used(h, "disk_read") - tools, read);
}

static void test_bytes(void **state)
{
	struct wispd_host *h = wispd_host_make(OFTEN);

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	command("ip link set lo up");
	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	make_guest(h);
	check_interface(h, WIRE);
	check_interface(h, LINE);
	make_others(h);
	check_class(h, "ip netns exec world", HOST, true);
	check_class(h, "ip netns exec neighbour", WIRE, false);
	check_deleted(h);
	if (has_fio())
		check_disk(h);
	else
		print_message("fio is not installed: disks were not looked at\n");
	assert_int_equal(gaps(h, "net_in", "cannot be read"), 1);
	done(h, "DELETE", "/instances/vm", NULL);
	for (uint64_t from_us = clock_now_us(); !is_healthy(h);) {
		if (clock_now_us() - from_us > LIMIT_US)
			fail_msg("a finding stays: %s", wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bytes) };

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinux-minimal") ||
	    !fixture_image("initramfs.cpio") || access("/usr/bin/iperf3", X_OK) < 0) {
		fprintf(stderr, "test_wispd_load needs the test host, guest images, iperf3\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
