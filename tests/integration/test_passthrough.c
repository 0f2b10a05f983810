/* test_passthrough.c - real devices for guests: wispd, VFIO, and QEMU in its cell.
 *
 * Wants the test host with --vfio, whose devices tests/testhost/qemu.c lists: a network
 * device with a wire to one that stays, two that share a group, a disk with virtual
 * functions.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/network/link.h"
#include "tests/integration/fixture.h"
#include "tests/integration/job_guests.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_S = 120,
	POLL_MS = 20,
	DATA_BYTES = 4 << 20,
	CYCLES = 50,
	CALLERS = 10,
	KILL_LAST_MS = 600,
	KILL_STEP_MS = 200
};

#define NIC    "0000:00:04.0"
#define KEPT   "0000:00:05.0"
#define PAIR_A "0000:01:01.0"
#define PAIR_B "0000:01:02.0"
#define DISK   "0000:02:00.0"
#define COPIER "0000:41:00.0"
#define FOLDER "/sys/bus/pci/devices/"

/* --- the host --- */

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* Of a function: the name behind a link, or the text of a file. */
static const char *attribute(const char *address, const char *name)
{
	static char text[256];
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), FOLDER "%s/%s", address, name);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < 0) {
		fd = open(path, O_RDONLY);
		n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
	}
	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
}

static void write_attribute(const char *address, const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), FOLDER "%s/%s", address, name);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void expect_as_found(const char *address, const char *driver)
{
	char path[64];

	assert_string_equal(attribute(address, "driver"), driver);
	assert_string_equal(attribute(address, "driver_override"), "(null)");
	snprintf(path, sizeof(path), "/dev/vfio/%s", attribute(address, "iommu_group"));
	assert_int_equal(access(path, F_OK), -1);
}

/* --- wispd --- */

static struct wispd_host *make_host(void)
{
	struct wispd_host *h =
		wispd_host_make(", \"cgroup\": \"wispd-devices\", \"agent_timeout_ms\": 240000");

	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 256}", NULL),
		200);
	return h;
}

/* Refused so, with these words. */
static void expect_refused(struct wispd_host *h, const char *body, const char *code,
			   const char *words)
{
	json_t *j = NULL;
	const char *text;

	wispd_host_call(h, "POST", "/instances", body, &j);
	text = json_string_value(json_object_get(j, "fault_message"));
	if (!text || !strstr(text, words) ||
	    strcmp(json_string_value(json_object_get(j, "code")), code) != 0)
		fail_msg("%s: %s", body, text);
	json_decref(j);
}

static void expect_done(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	const char *outcome = wispd_host_do(h, verb, path, body);
	json_t *j = NULL;

	if (strcmp(outcome, "done") == 0)
		return;
	wispd_host_call(h, "GET", "/instances", NULL, &j);
	fail_msg("%s %s: %s\n%s\n%s", verb, path, outcome, json_dumps(j, 0), wispd_host_log(h));
}

static const char *state_of(struct wispd_host *h, const char *address)
{
	static char state[32];
	char path[64];
	json_t *j = NULL;

	snprintf(path, sizeof(path), "/devices/%s", address);
	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	snprintf(state, sizeof(state), "%s",
		 json_string_value(json_object_get(json_array_get(json_object_get(j, "devices"), 0),
						   "state")));
	json_decref(j);
	return state;
}

static unsigned count_events(struct wispd_host *h, const char *type)
{
	json_t *j = NULL, *e;
	unsigned n = 0;
	size_t at;

	assert_int_equal(wispd_host_call(h, "GET", "/events?limit=1000", NULL, &j), 200);
	json_array_foreach(json_object_get(j, "events"), at, e) n +=
		strcmp(json_string_value(json_object_get(e, "type")), type) == 0;
	json_decref(j);
	return n;
}

/* The last event of a type, as text to be freed; NULL: there is none. */
static char *last_event(struct wispd_host *h, const char *type)
{
	json_t *j = NULL, *e, *last = NULL;
	char *text;
	size_t at;

	assert_int_equal(wispd_host_call(h, "GET", "/events?limit=1000", NULL, &j), 200);
	json_array_foreach(json_object_get(j, "events"), at, e)
	{
		if (strcmp(json_string_value(json_object_get(e, "type")), type) == 0)
			last = e;
	}
	text = last ? json_dumps(last, JSON_COMPACT) : NULL;
	json_decref(j);
	return text;
}

static void expect_event(struct wispd_host *h, const char *type, const char *words)
{
	char *text = last_event(h, type);

	if (!text || !strstr(text, words))
		fail_msg("no \"%s\" in %s: %s\n%s", words, type, text, wispd_host_log(h));
	free(text);
}

/* Until the last one says this. */
static void await_event(struct wispd_host *h, const char *type, const char *words)
{
	for (int waited = 0; waited < LIMIT_S * 1000; waited += POLL_MS) {
		char *text = last_event(h, type);
		bool there = text && strstr(text, words);

		free(text);
		if (there)
			return;
		poll(NULL, 0, POLL_MS);
	}
	run("dmesg | tail -n 20 >&2");
	expect_event(h, type, words);
}

/* --- guests --- */

static const char network_job[] =
	"#!/bin/sh\n"
	"printf '#!/bin/sh\\n[ \"$1\" != bound ] || ip addr add $ip/24 dev $interface\\n' >/s\n"
	"chmod 755 /s\n"
	"ip link set eth0 up\n"
	"udhcpc -i eth0 -n -q -t 30 -T 1 -s /s || echo FAILED to get an address\n"
	"ping -c 2 -W 10 10.77.0.1 >/dev/null && echo PINGED || echo FAILED to ping\n"
	"wget -q -O - http://10.77.0.1:8080/data | md5sum\n"
	"echo READY\n"
	"while :; do sleep 1000; done\n";

/* The wire's other end: an address, a DHCP server, a file to fetch. */
static struct session *serve(char sum[33], struct session **httpd)
{
	char interface[64] = "", command[256], line[64];
	FILE *f;

	run("modprobe virtio_net");
	f = popen("ls " FOLDER KEPT "/virtio*/net", "r");
	assert_non_null(fgets(interface, sizeof(interface), f));
	pclose(f);
	interface[strcspn(interface, "\n")] = '\0';
	snprintf(command, sizeof(command), "ip addr add 10.77.0.1/24 dev %s && ip link set %s up",
		 interface, interface);
	run(command);
	mkdir(fixture_path("www"), 0755);
	snprintf(command, sizeof(command), "head -c %d /dev/urandom >%s/data && md5sum <%s/data",
		 DATA_BYTES, fixture_path("www"), fixture_path("www"));
	f = popen(command, "r");
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	snprintf(sum, 33, "%.32s", line);
	snprintf(command, sizeof(command),
		 "start 10.77.0.10\nend 10.77.0.20\ninterface %s\nlease_file %s\n"
		 "option subnet 255.255.255.0\n",
		 interface, fixture_path("leases"));
	fixture_file("leases", "");
	*httpd = session_start((const char *[]){ "busybox", "httpd", "-f", "-p", "10.77.0.1:8080",
						 "-h", fixture_path("www"), NULL });
	return session_start((const char *[]){ "busybox", "udhcpd", "-f",
					       fixture_file("udhcpd.conf", command), NULL });
}

/* --- a network device --- */

#define WITH_NIC                                                                        \
	"{\"image\": \"net\", \"name\": \"one\", \"shape\": \"test\", \"start\": true," \
	" \"devices\": [\"pci:8086:10d3\"]}"

static const char *expect_ctl(struct wispd_host *h, int wanted, const char *const words[])
{
	const char *output;
	int status = wispd_host_ctl(h, &output, words);

	if (status != wanted)
		fail_msg("status %d, not %d:\n%s\n%s", status, wanted, output, wispd_host_log(h));
	return output;
}

#define ctl(h, wanted, ...) expect_ctl(h, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static struct session *begin(struct wispd_host *h, const char *const words[])
{
	const char *argv[24] = { fixture_program("wispctl"), "--socket", wispd_host_socket(h) };

	for (unsigned n = 3; *words; words++)
		argv[n++] = *words;
	return session_start(argv);
}

#define start(h, ...) begin(h, (const char *const[]){ __VA_ARGS__, NULL })

/* Commands, files, the terminal, and more callers at once than there are ports for. */
static void check_agent(struct wispd_host *h)
{
	struct session *console = start(h, "console", "one"), *many[CALLERS];
	unsigned refused = 0;
	char command[512];

	ctl(h, 7, "exec", "one", "sh", "-c", "exit 7");
	assert_string_equal(ctl(h, 0, "exec", "one", "cat", "/sys/class/net/eth0/carrier"), "1\n");
	ctl(h, 0, "cp", fixture_path("www/data"), "one:/copy");
	ctl(h, 0, "cp", "one:/copy", fixture_path("back"));
	snprintf(command, sizeof(command), "cmp %s/www/data %s/back", fixture_dir(), fixture_dir());
	run(command);
	for (unsigned i = 0; i < CALLERS; i++) {
		many[i] = start(h, "exec", "one", "sh", "-c", "echo here; sleep 1000");
		session_expect(many[i], "e", LIMIT_S);
		refused += strstr(session_output(many[i]), "at a time") != NULL;
	}
	assert_true(refused >= 2 && refused <= 3);
	for (unsigned i = 0; i < CALLERS; i++)
		session_end(many[i]);
	ctl(h, 0, "exec", "one", "sh", "-c", "echo from the guest >/dev/hvc0");
	session_expect(console, "from the guest", LIMIT_S);
	session_end(console);
}

/* An interrupt that is sent elsewhere comes back to the processors near its device. */
static void check_steering(void)
{
	assert_string_equal(attribute(NIC, "local_cpulist"), "0-3");
	run("cd /proc/irq/$(sed -n 's/^ *\\([0-9]*\\):.*vfio-.*(" NIC
	    ").*/\\1/p' /proc/interrupts |"
	    " head -n 1) && echo 0 >smp_affinity_list && for i in $(seq 600); do"
	    " [ $(cat smp_affinity_list) = 0 ] || exit 0; sleep 0.1; done; exit 1");
}

static void test_network(void **state)
{
	struct session *httpd, *dhcp;
	struct wispd_host *h;
	char sum[33];
	json_t *j = NULL;

	(void)state;
	run("modprobe -a vfio-pci vfio_iommu_type1 e1000e");
	dhcp = serve(sum, &httpd);
	h = make_host();
	job_image_add(h, "net", true, network_job);
	expect_refused(h, "{\"image\": \"net\", \"runtime\": \"wisp\", \"devices\": [\"network\"]}",
		       "UNSUPPORTED_DEVICE", "microVM");
	expect_done(h, "POST", "/instances", WITH_NIC);
	assert_string_equal(attribute(NIC, "driver"), "vfio-pci");
	assert_string_equal(state_of(h, NIC), "claimed");
	expect_refused(h, WITH_NIC, "exists", "already");
	expect_refused(h, "{\"image\": \"net\", \"devices\": [\"pci:8086:10d3\"]}", "in_use",
		       "taken");
	assert_int_equal(wispd_host_call(h, "GET", "/instances/one/explain", NULL, &j), 200);
	assert_string_equal(json_string_value(json_object_get(j, "chosen")), "qemu");
	json_decref(j);
	job_await_words(h, "one", "PINGED");
	job_await_words(h, "one", sum);
	job_await_words(h, "one", "READY");
	check_agent(h);
	check_steering();
	/* wispd dies; QEMU and the guest do not. */
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	job_await_state(h, "one", "running");
	expect_done(h, "POST", "/instances/one/pause", NULL);
	expect_done(h, "POST", "/instances/one/resume", NULL);
	expect_done(h, "POST", "/instances/one/stop", "{\"timeout_ms\": 60000}");
	assert_int_equal(count_events(h, "device.reset"), 2);
	expect_done(h, "DELETE", "/instances/one", NULL);
	expect_as_found(NIC, "e1000e");
	assert_string_equal(state_of(h, NIC), "free");
	wispd_host_end(h);
	session_end(dhcp);
	session_end(httpd);
}

/* --- groups, resets, functions --- */

static const char idle_job[] = "#!/bin/sh\necho READY\nwhile :; do sleep 1000; done\n";

/* Neither without the other; both are reset by their bus. */
static void check_pair(struct wispd_host *h)
{
	run("modprobe e1000");
	expect_refused(h, "{\"image\": \"idle\", \"devices\": [\"" PAIR_A "\"]}", "device_refused",
		       "group: ");
	expect_done(
		h, "POST", "/instances",
		"{\"image\": \"idle\", \"name\": \"pair\", \"shape\": \"test\", \"start\": true,"
		" \"devices\": [\"" PAIR_A "\", \"" PAIR_B "\"]}");
	ctl(h, 0, "runbook", "stuck-device", PAIR_A, "pair");
	job_await_state(h, "pair", "running");
	expect_done(h, "DELETE", "/instances/pair", NULL);
	expect_event(h, "device.reset", "\"by\":\"vfio: bus\"");
	expect_as_found(PAIR_A, "e1000");
	expect_as_found(PAIR_B, "e1000");
}

/* The physical function stays where it is; each virtual one goes to a guest of its own. */
static void check_virtual(struct wispd_host *h)
{
	char first[32];

	run("modprobe nvme");
	assert_string_equal(wispd_host_do(h, "PUT", "/devices/" DISK "/functions",
					  "{\"count\": 2, \"links\": [{\"vlan\": 7}]}"),
			    "failed");
	expect_done(h, "PUT", "/devices/" DISK "/functions", "{\"count\": 2}");
	expect_refused(h, "{\"image\": \"idle\", \"devices\": [\"" DISK "\"]}", "device_refused",
		       "sriov: ");
	expect_done(h, "POST", "/instances",
		    "{\"image\": \"idle\", \"name\": \"v1\", \"shape\": \"test\","
		    " \"devices\": [\"pci:nvme\"]}");
	assert_int_equal(wispd_host_call(h, "PUT", "/tenants/other", NULL, NULL), 200);
	expect_done(h, "POST", "/instances?tenant=other",
		    "{\"image\": \"idle\", \"name\": \"v2\", \"shape\": \"test\","
		    " \"devices\": [\"pci:nvme\"]}");
	snprintf(first, sizeof(first), "%s", attribute(DISK, "virtfn0"));
	assert_string_equal(state_of(h, first), "claimed");
	assert_string_equal(state_of(h, attribute(DISK, "virtfn1")), "claimed");
	assert_string_equal(state_of(h, DISK), "free");
	assert_int_equal(
		wispd_host_call(h, "PUT", "/devices/" DISK "/functions", "{\"count\": 0}", NULL),
		409);
	expect_done(h, "POST", "/instances/v1/start", NULL);
	expect_done(h, "DELETE", "/instances/v1", NULL);
	expect_event(h, "device.reset", "\"by\":\"vfio: flr\"");
	expect_done(h, "DELETE", "/instances/v2?tenant=other", NULL);
	/* As a boot of the host leaves them. */
	wispd_host_stop(h, SIGTERM);
	write_attribute(DISK, "sriov_numvfs", "0");
	assert_true(wispd_host_start(h, 0));
	assert_string_equal(attribute(DISK, "sriov_numvfs"), "2");
	expect_done(h, "PUT", "/devices/" DISK "/functions", "{\"count\": 0}");
	assert_string_equal(attribute(DISK, "sriov_numvfs"), "0");
}

/* The kernel understands what is asked, and says that this interface has no such things. */
static void check_links(void)
{
	const struct link_function tenant = { .mac = "02:00:00:00:77:01", .vlan = 7 };
	struct error err = { 0 };

	run("modprobe tun && ip tuntap add plain7 mode tap");
	assert_int_equal(link_set_function("plain7", 0, &tenant, &err), -ENOTSUP);
	assert_int_equal(link_set_function("nothing", 0, &tenant, &err), -ENODEV);
	run("ip link del plain7");
}

/* It lost all ways of being reset while it was used: nobody gets it, until it has one. */
static void check_quarantine(struct wispd_host *h)
{
	static const char body[] =
		"{\"image\": \"idle\", \"name\": \"bad\", \"shape\": \"test\", \"start\": true,"
		" \"devices\": [\"" NIC "\"]}";
	char path[64];

	expect_done(h, "POST", "/instances", body);
	write_attribute(NIC, "reset_method", "\n");
	/* And its VMM is killed: that is an end like others. */
	run("kill -KILL $(pidof qemu-system-x86_64)");
	job_await_state(h, "bad", "failed");
	assert_string_equal(state_of(h, NIC), "quarantined");
	assert_string_equal(wispd_host_do(h, "POST", "/instances/bad/start", NULL), "failed");
	expect_done(h, "DELETE", "/instances/bad", NULL);
	assert_string_equal(attribute(NIC, "driver"), "vfio-pci");
	expect_refused(h, body, "in_use", "taken");
	snprintf(path, sizeof(path), "/devices/%s/prove", NIC);
	assert_string_equal(wispd_host_do(h, "POST", path, NULL), "failed");
	ctl(h, 1, "runbook", "failed-reset", NIC);
	write_attribute(NIC, "reset_method", "default");
	ctl(h, 0, "runbook", "--dry-run", "failed-reset", NIC);
	assert_string_equal(state_of(h, NIC), "quarantined");
	ctl(h, 0, "runbook", "failed-reset", NIC);
	expect_as_found(NIC, "e1000e");
	assert_string_equal(state_of(h, NIC), "free");
}

/* A guest that cannot go on does not stay "running". */
static void check_faults(struct wispd_host *h)
{
	wispd_host_add_image(h, "lost");
	wispd_host_call(h, "POST", "/instances",
			"{\"image\": \"lost\", \"name\": \"lost\", \"shape\": \"test\","
			" \"runtime\": \"qemu\", \"start\": true}",
			NULL);
	job_await_state(h, "lost", "failed");
	expect_event(h, "instance.fault", "KVM internal error");
	expect_done(h, "DELETE", "/instances/lost", NULL);
	/* The port of the device by which a guest's kernel tells that it panicked. */
	job_image_add(
		h, "panic", false,
		"#!/bin/sh\necho LAST WORDS\nprintf '\\001' | dd of=/dev/port bs=1 seek=1285\n"
		"while :; do sleep 1000; done\n");
	wispd_host_call(h, "POST", "/instances",
			"{\"image\": \"panic\", \"name\": \"panic\", \"shape\": \"test\","
			" \"runtime\": \"qemu\", \"start\": true}",
			NULL);
	job_await_state(h, "panic", "failed");
	expect_event(h, "instance.fault", "LAST WORDS");
	expect_done(h, "DELETE", "/instances/panic", NULL);
}

/* A guest has its device read from where no memory of its own is. */
static void check_dma(struct wispd_host *h)
{
	job_image_add(h, "copy", false,
		      "#!/bin/sh\n"
		      "for d in /sys/bus/pci/devices/*; do\n"
		      "[ $(cat $d/device) != 0x11e8 ] || edu=$d\ndone\n"
		      "printf '\\006' | dd of=$edu/config bs=1 seek=4 conv=notrunc 2>/dev/null\n"
		      "read start end flags <$edu/resource\n"
		      "devmem $((start + 0x80)) 64 0x7ff00000\n"
		      "devmem $((start + 0x88)) 64 0x40000\n"
		      "devmem $((start + 0x90)) 64 16\n"
		      "devmem $((start + 0x98)) 64 1\n"
		      "echo READY\n"
		      "while :; do sleep 1000; done\n");
	expect_done(
		h, "POST", "/instances",
		"{\"image\": \"copy\", \"name\": \"copy\", \"shape\": \"test\", \"start\": true,"
		" \"devices\": [\"pci:1234:11e8\"]}");
	job_await_words(h, "copy", "READY");
	await_event(h, "device.fault", COPIER);
	/* Its memory is of the device's node. */
	run("grep -q 'prefer.*:1 .*N1=' /proc/$(pidof qemu-system-x86_64)/numa_maps");
	expect_event(h, "device.fault", "7ff00000");
	expect_done(h, "DELETE", "/instances/copy", NULL);
	expect_event(h, "device.reset", "\"by\":\"vfio: bus\"");
	expect_as_found(COPIER, "");
}

/* It is pulled out under a running guest: that ends, the host goes on, and what comes back is
 * nobody's before it is proven. */
static void check_removal(struct wispd_host *h)
{
	static const char body[] =
		"{\"image\": \"idle\", \"name\": \"torn\", \"shape\": \"test\", \"start\": true,"
		" \"devices\": [\"" NIC "\"]}";

	expect_done(h, "POST", "/instances", body);
	job_await_words(h, "torn", "READY");
	run("echo 1 >" FOLDER NIC "/remove");
	job_await_state(h, "torn", "failed");
	expect_event(h, "device.leaving", NIC);
	expect_event(h, "instance.fault", "was removed from the host");
	expect_event(h, "instance.fault", "READY");
	assert_string_equal(state_of(h, NIC), "missing");
	assert_string_equal(wispd_host_do(h, "POST", "/instances/torn/start", NULL), "failed");
	expect_done(h, "DELETE", "/instances/torn", NULL);
	assert_string_equal(state_of(h, NIC), "missing");
	run("echo 1 >/sys/bus/pci/rescan");
	assert_string_equal(state_of(h, NIC), "quarantined");
	expect_refused(h, body, "in_use", "taken");
	expect_done(h, "POST", "/devices/" NIC "/prove", NULL);
	assert_string_equal(state_of(h, NIC), "free");
	expect_as_found(NIC, "e1000e");
}

/* On the device's node, with cores, huge pages and interrupts of its own; nothing else will do. */
static void check_latency(struct wispd_host *h)
{
	static const char body[] =
		"{\"image\": \"idle\", \"name\": \"near\", \"shape\": \"test\", \"start\": true,"
		" \"runtime\": \"qemu\", \"devices\": [\"%s\"], \"placement\":"
		" {\"profile\": \"latency\", \"node\": 1, \"huge_pages\": true}}";
	char text[512];
	json_t *j = NULL;

	run("for n in 0 1; do echo 140 >/sys/devices/system/node/node$n/hugepages/"
	    "hugepages-2048kB/nr_hugepages; done");
	/* Huge pages are counted when wispd begins. */
	wispd_host_stop(h, SIGTERM);
	assert_true(wispd_host_start(h, 0));
	/* Nobody knows where that one is. */
	snprintf(text, sizeof(text), body, NIC);
	expect_refused(h, text, "device_refused", "numa: ");
	snprintf(text, sizeof(text), body, COPIER);
	expect_done(h, "POST", "/instances", text);
	run("grep -q 'N1=' /proc/$(pidof qemu-system-x86_64)/numa_maps");
	run("! grep 'huge' /proc/$(pidof qemu-system-x86_64)/numa_maps | grep -q 'N0='");
	/* Processor 2 is the guest's own, 3 the VMM's: there go the interrupts. */
	run("irq=$(sed -n 's/^ *\\([0-9]*\\):.*vfio-.*(" COPIER ").*/\\1/p' /proc/interrupts |"
	    " head -n 1); for i in $(seq 600); do"
	    " [ $(cat /proc/irq/$irq/smp_affinity_list) != 3 ] || exit 0; sleep 0.1; done; exit 1");
	assert_int_equal(wispd_host_call(h, "GET", "/instances/near/topology", NULL, &j), 200);
	assert_int_equal(json_array_size(json_object_get(j, "defaults")), 0);
	j = json_array_get(json_object_get(j, "devices"), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "node")), 1);
	j = json_array_get(json_object_get(j, "interrupts"), 0);
	assert_string_equal(json_string_value(json_object_get(j, "cpus")), "3");
	expect_done(h, "DELETE", "/instances/near", NULL);
	run("for n in 0 1; do echo 0 >/sys/devices/system/node/node$n/hugepages/"
	    "hugepages-2048kB/nr_hugepages; done");
}

/* What may be locked is less than a guest needs: refused before anything is touched, and, where
 * the limit came later, before the VMM is started. The last: nobody gets his limits back. */
static void check_memlock(struct wispd_host *h)
{
	static const char body[] = "{\"image\": \"idle\", \"name\": \"%s\", \"shape\": \"test\","
				   " \"devices\": [\"%s\"]}";
	const struct rlimit little = { 1 << 20, 1 << 20 };
	char text[256];

	snprintf(text, sizeof(text), body, "locked", NIC);
	expect_done(h, "POST", "/instances", text);
	wispd_host_stop(h, SIGTERM);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &little), 0);
	assert_int_equal(prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE), 0);
	assert_true(wispd_host_start(h, 0));
	snprintf(text, sizeof(text), body, "more", COPIER);
	expect_refused(h, text, "device_refused", "memlock: 1280 MiB are to be locked, 1 may be");
	assert_string_equal(wispd_host_do(h, "POST", "/instances/locked/start", NULL), "failed");
	job_await_state(h, "locked", "failed");
	expect_event(h, "instance.failed", "memlock: 1280 MiB are to be locked, 1 may be");
	expect_done(h, "DELETE", "/instances/locked", NULL);
	expect_as_found(NIC, "e1000e");
}

/* The books say that a guest has it, and after a boot the host's driver got it first. */
static void check_boot(struct wispd_host *h)
{
	expect_done(h, "POST", "/instances",
		    "{\"image\": \"idle\", \"name\": \"boot\", \"shape\": \"test\","
		    " \"devices\": [\"" NIC "\"]}");
	wispd_host_stop(h, SIGKILL);
	write_attribute(NIC, "driver/unbind", NIC);
	write_attribute(NIC, "driver_override", "\n");
	run("echo " NIC " >/sys/bus/pci/drivers_probe");
	expect_as_found(NIC, "e1000e");
	assert_true(wispd_host_start(h, 0));
	expect_done(h, "POST", "/instances/boot/start", NULL);
	assert_string_equal(attribute(NIC, "driver"), "vfio-pci");
	expect_done(h, "DELETE", "/instances/boot", NULL);
	expect_as_found(NIC, "e1000e");
}

static void test_devices(void **state)
{
	struct wispd_host *h;

	(void)state;
	run("modprobe -a vfio-pci vfio_iommu_type1 e1000e");
	h = make_host();
	job_image_add(h, "idle", false, idle_job);
	check_faults(h);
	check_dma(h);
	check_pair(h);
	check_virtual(h);
	check_links();
	check_boot(h);
	check_latency(h);
	check_removal(h);
	check_quarantine(h);
	check_memlock(h);
	wispd_host_end(h);
}

/* --- again and again --- */

/* For looking at the host, choosing, checking and claiming; as the decision record says. */
static long long took_us(struct wispd_host *h, const char *name)
{
	long long us;
	char path[64];
	json_t *j = NULL;

	snprintf(path, sizeof(path), "/instances/%s/explain", name);
	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	us = json_integer_value(json_object_get(j, "took_us"));
	assert_true(us > 0);
	json_decref(j);
	return us;
}

static int by_size(const void *a, const void *b)
{
	const long long *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* What wispd itself takes, apart from the reset: all claims, and the last one's binding. */
static void show_times(struct wispd_host *h, long long us[], unsigned n)
{
	char *reset = last_event(h, "device.reset");

	qsort(us, n, sizeof(us[0]), by_size);
	print_message("%u claims: median %lld us, p90 %lld us, most %lld us; %s\n", n, us[n / 2],
		      us[n * 9 / 10], us[n - 1], reset);
	free(reset);
}

/* wispd is killed at some point of every fifth. */
/* One after the other, at a later moment of its start each time. */
static void check_killed_starts(struct wispd_host *h)
{
	static const char body[] = "{\"image\": \"idle\", \"name\": \"shot\", \"shape\": \"test\","
				   " \"start\": true, \"devices\": [\"" NIC "\"]}";

	for (unsigned wait_ms = 0; wait_ms <= KILL_LAST_MS; wait_ms += KILL_STEP_MS) {
		assert_int_equal(wispd_host_call(h, "POST", "/instances", body, NULL), 202);
		while (wispd_host_jailers(h, NULL) == 0)
			poll(NULL, 0, 1);
		poll(NULL, 0, (int)wait_ms);
		wispd_host_end_jailers(h);
		job_await_state(h, "shot", "failed");
		expect_done(h, "DELETE", "/instances/shot", NULL);
		expect_as_found(NIC, "e1000e");
	}
}

static void test_cycles(void **state)
{
	static const char body[] = "{\"image\": \"idle\", \"name\": \"again\", \"shape\": \"test\","
				   " \"devices\": [\"" NIC "\"]}";
	struct wispd_host *h;
	long long us[CYCLES];
	char domain[32];

	(void)state;
	run("modprobe -a vfio-pci vfio_iommu_type1 e1000e");
	snprintf(domain, sizeof(domain), "%s", attribute(NIC, "iommu_group/type"));
	assert_true(domain[0] != '\0');
	h = make_host();
	job_image_add(h, "idle", false, idle_job);
	for (unsigned i = 0; i < CYCLES; i++) {
		if (i % 5 == 0) {
			assert_int_equal(wispd_host_call(h, "POST", "/instances", body, NULL), 202);
			poll(NULL, 0, (int)i);
			wispd_host_stop(h, SIGKILL);
			assert_true(wispd_host_start(h, 0));
			job_await_state(h, "again", "created");
		} else {
			expect_done(h, "POST", "/instances", body);
		}
		assert_string_equal(attribute(NIC, "driver"), "vfio-pci");
		us[i] = took_us(h, "again");
		expect_done(h, "DELETE", "/instances/again", NULL);
		expect_as_found(NIC, "e1000e");
		assert_string_equal(attribute(NIC, "iommu_group/type"), domain);
	}
	check_killed_starts(h);
	expect_done(h, "POST", "/instances",
		    "{\"image\": \"idle\", \"name\": \"timed\", \"shape\": \"test\","
		    " \"start\": true, \"devices\": [\"" NIC "\"]}");
	show_times(h, us, CYCLES);
	expect_done(h, "DELETE", "/instances/timed", NULL);
	wispd_host_end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_cycles),
	};

	if (access(FOLDER NIC "/iommu_group", F_OK) < 0) {
		puts("skipped: no IOMMU, or no test host's devices");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
