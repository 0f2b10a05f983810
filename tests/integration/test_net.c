/* test_net.c - the network of real guests: taps, several queues, a bad line, passt, descriptors
 * alone, and the metadata service.
 *
 * The test has a network namespace of its own. What goes over the wire is compared at its
 * end; that segments are left to the other side shows in how few packets the tap counts.
 * Runs as root, where test_boot runs.
 *
 *   test_net [CASE]    only the named case
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/api_client.h"
#include "tests/integration/file_server.h"
#include "tests/integration/fixture.h"
#include "tests/integration/metrics_schema.h"
#include "tests/integration/session.h"

enum {
	LIMIT_S = 240,
	SKIPPED = 77,
	RETRY_MS = 10,
	PORT = 5000,
	FILE_BYTES = 4 * 1024 * 1024,
	MTU = 1500,
	SUM_CHARS = 64,
};

#define TAP	   "wtap0"
#define USER	   "4321"
#define KVM_GROUP  "4322" /* who may use /dev/kvm */
#define MAC	   "06:00:0a:00:00:02"
#define INTERFACE  ", \"network-interfaces\": [{\"iface_id\": \"eth0\", \"guest_mac\": \"" MAC "\", "
#define ON_TAP	   INTERFACE "\"host_dev_name\": \"" TAP "\"}]"
#define FETCH_FILE "/dev/tcp/10.0.0.1/5000"

__attribute__((format(printf, 1, 2))) static void command(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

/* Makes the file that is sent around, and serves it. Its sum goes to sum. */
static void serve_file(char sum[SUM_CHARS + 1])
{
	const char *path = fixture_path("file");
	char line[1024];
	FILE *f;

	command("head -c %d /dev/urandom >%s", FILE_BYTES, path);
	snprintf(line, sizeof(line), "sha256sum %s", path);
	f = popen(line, "r");
	assert_non_null(f);
	assert_non_null(fgets(sum, SUM_CHARS + 1, f));
	pclose(f);
	file_server_start(path, PORT);
}

static void make_tap(const char *kind)
{
	command("ip tuntap add " TAP " mode tap %s", kind);
	command("ip address add 10.0.0.1/24 dev " TAP);
	command("ip link set " TAP " up");
}

/* How many bytes a packet had that the tap counted, from the guest and to it. */
static void mean_packets(long long *from, long long *to)
{
	long long bytes[2], packets[2];
	char line[512];
	int found = 0;
	FILE *f = fopen("/proc/self/net/dev", "re");

	assert_non_null(f);
	while (found != 4 && fgets(line, sizeof(line), f))
		found = sscanf(line, " " TAP ": %lld %lld %*d %*d %*d %*d %*d %*d %lld %lld",
			       &bytes[0], &packets[0], &bytes[1], &packets[1]);
	fclose(f);
	assert_int_equal(found, 4);
	*from = bytes[0] / packets[0];
	*to = bytes[1] / packets[1];
}

/* Segments were left to the other side, both ways. */
static void expect_offload(void)
{
	long long from, to;

	mean_packets(&from, &to);
	if (from <= MTU || to <= MTU)
		fail_msg("packets of %lld bytes from the guest, of %lld to it", from, to);
}

/* Debian's programs on a kernel, with a shell for init. */
static struct session *boot_debian(struct fixture_config *c, const char *socket)
{
	const char *const argv[] = {
		fixture_program("wisp"),       "--api-sock", socket, "--config-file",
		fixture_config("net.json", c), NULL,
	};
	struct session *s;

	s = session_start(argv);
	session_expect(s, "# ", LIMIT_S);
	session_send(s, "stty -echo; PS1=; mount -t proc proc /proc; mount -t sysfs sysfs /sys; "
			"mount -t tmpfs tmp /tmp\n"
			"ip link set lo up; ip address add 10.0.0.2/24 dev eth0; "
			"ip link set eth0 up; echo network-$?\n");
	session_expect(s, "network-0", LIMIT_S);
	return s;
}

/* Runs it in the guest; its exit status must be 0. */
static void in_guest(struct session *s, const char *text)
{
	char line[1024];

	snprintf(line, sizeof(line), "{ %s; }; echo status''=$?=\n", text);
	session_send(s, line);
	session_expect(s, "status=", LIMIT_S);
	if (!session_sees(s, "0=", 1))
		fail_msg("failed in the guest: %s\n%s", text, session_output(s));
}

static void end_guest(struct session *s)
{
	int got;

	session_send(s, "echo b >/proc/sysrq-trigger\n");
	got = session_wait(s, LIMIT_S);
	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(s));
	session_end(s);
}

/* The file to the guest and back. */
static void exchange(struct session *s, const char *sum)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "exec 3<>" FETCH_FILE "; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; "
		 "tail -c %d <&3 >/tmp/file; sha256sum /tmp/file | grep -q %s",
		 FILE_BYTES, sum);
	in_guest(s, text);
	in_guest(s,
		 "exec 3<>" FETCH_FILE "; cat /tmp/file >&3; read word <&3; [ \"$word\" = same ]");
}

static void patch(const char *socket, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(socket, "PATCH", path, body, &reply);
	if (reply.status != 204)
		fail_msg("PATCH %s %s: %s", path, body, reply.body);
}

/* A minimal kernel, one queue each way. */
static void test_tap(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet init=/bin/bash",
		.mem_mib = 256,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
		.extra = ON_TAP,
	};
	const char *socket = fixture_path("net.sock");
	char sum[SUM_CHARS + 1];
	struct session *s;

	(void)state;
	make_tap("");
	serve_file(sum);
	s = boot_debian(&c, socket);
	in_guest(s, "ping -c 1 -W 5 10.0.0.1");
	exchange(s, sum);
	expect_offload();

	/* Another's address: nothing gets out. */
	in_guest(s, "ip link set eth0 address 06:00:0a:00:00:09; "
		    "! ping -c 2 -i 0.2 -W 1 10.0.0.1");
	in_guest(s, "ip link set eth0 address " MAC "; ping -c 1 -W 5 10.0.0.1");

	/* Paused and limited under way. */
	patch(socket, "/vm", "{\"state\": \"Paused\"}");
	patch(socket, "/network-interfaces/eth0",
	      "{\"iface_id\": \"eth0\", \"rx_rate_limiter\": {\"bandwidth\": {\"size\": 4000000, "
	      "\"refill_time\": 100}}, \"tx_rate_limiter\": {\"ops\": {\"size\": 1000, "
	      "\"refill_time\": 100}}}");
	patch(socket, "/vm", "{\"state\": \"Resumed\"}");
	exchange(s, sum);
	end_guest(s);
}

/* A stock kernel, two vCPUs, two pairs of queues; a flood; a line that loses packets. */
static void test_queues(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet init=/bin/bash",
		.vcpus = 2,
		.mem_mib = 256,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
		.extra = ON_TAP,
	};
	const char *socket = fixture_path("net.sock");
	char sum[SUM_CHARS + 1];
	struct session *s, *iperf;

	(void)state;
	make_tap("multi_queue");
	serve_file(sum);
	iperf = session_start((const char *const[]){ "iperf3", "--server", NULL });
	s = boot_debian(&c, socket);
	in_guest(s, "[ $(ls -d /sys/class/net/eth0/queues/[rt]x-* | wc -l) = 4 ]");
	in_guest(s, "ping -q -f -c 1000 -s 1400 10.0.0.1 | grep ' 0% packet loss'");
	in_guest(s, "iperf3 -c 10.0.0.1 -P 4 -n 24M");
	in_guest(s, "iperf3 -c 10.0.0.1 -P 4 -n 24M -R");
	in_guest(s, "grep virtio /proc/interrupts >/dev/null");
	expect_offload();
	exchange(s, sum);
	command("tc qdisc add dev " TAP " root netem loss 2%% delay 1ms");
	exchange(s, sum);
	end_guest(s);
	session_end(iperf);
}

/* How exact a limit is, by the receiver's clock: where time is deterministic. */
static void test_rates(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet init=/bin/bash",
		.mem_mib = 256,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
		.extra = ON_TAP,
	};
	const char *socket = fixture_path("net.sock");
	struct session *s, *iperf;

	(void)state;
	fixture_read_ahead(fixture_program("wisp"));
	fixture_read_ahead(c.kernel);
	fixture_read_ahead(c.disk);
	make_tap("");
	iperf = session_start((const char *const[]){ "iperf3", "--server", NULL });
	s = boot_debian(&c, socket);
	patch(socket, "/network-interfaces/eth0",
	      "{\"iface_id\": \"eth0\", \"rx_rate_limiter\": {\"bandwidth\": {\"size\": 160000, "
	      "\"refill_time\": 20}}, \"tx_rate_limiter\": {\"bandwidth\": {\"size\": 80000, "
	      "\"refill_time\": 20}}}");
	in_guest(s, "rate() { iperf3 -c 10.0.0.1 -f k \"$@\" | "
		    "sed -n 's,^.* \\([0-9]*\\) Kbits/sec.*receiver.*,\\1,p'; }");
	in_guest(s, "r=$(rate -n 8M); echo $r; [ $r -ge 30400 -a $r -le 33600 ]");
	in_guest(s, "r=$(rate -n 16M -R); echo $r; [ $r -ge 60800 -a $r -le 67200 ]");
	end_guest(s);
	session_end(iperf);
}

/* --- without privilege --- */

#define TO_SCRIPT "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- sh /dev/vda"

/* A user of the group that /dev/kvm is given to here runs argv. */
static struct session *start_as_user(const char *const argv[])
{
	const char *line[16] = { "setpriv", "--reuid=" USER, "--regid=" USER,
				 "--groups=" KVM_GROUP };
	unsigned n = 4;

	command("chown 0:" KVM_GROUP " /dev/kvm && chmod 660 /dev/kvm && chmod -R a+rX %s",
		fixture_dir());
	while (*argv)
		line[n++] = *argv++;
	return session_start(line);
}

static void expect_success(struct session *s, const char *says)
{
	int got = session_wait(s, LIMIT_S);

	if (got != 0 || !strstr(session_output(s), says) || !strstr(session_output(s), "fetched"))
		fail_msg("ended with %d:\n%s", got, session_output(s));
	session_end(s);
}

/* A machine whose passt listens here. The guest asks for its address, what is the router to
 * it is the host's loopback, and `fetch` checks what it gets from there; it goes on by this
 * script. Returns the path of its configuration. */
static const char *machine_behind_passt(const char *sock, const char *then)
{
	const char *dir = fixture_path("open");
	char extra[512], sum[SUM_CHARS + 1], script[2048];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = TO_SCRIPT,
		.mem_mib = 128,
		.disk_not_root = true,
		.disk_read_only = true,
		.extra = extra,
	};

	serve_file(sum);
	command("ip tuntap add up0 mode tap && ip address add 192.0.2.2/24 dev up0 && "
		"ip link set up0 up && ip route add default via 192.0.2.1");
	command("mkdir %s && chown " USER " %s", dir, dir);
	snprintf(extra, sizeof(extra), INTERFACE "\"passt_socket\": \"%s\"}]", sock);
	snprintf(
		script, sizeof(script),
		"echo '#!/bin/sh\n"
		"[ -z \"$ip\" ] || ifconfig $interface $ip netmask $subnet\n"
		"[ -z \"$router\" ] || route add default gw $router' >/lease\n"
		"chmod 755 /lease; ifconfig eth0 up\n"
		"udhcpc -i eth0 -n -q -s /lease && ifconfig eth0 | grep 'addr:192.0.2.2' || exit 1\n"
		"fetch() { wget -q -O /file http://192.0.2.1:%d/ && sha256sum /file | grep %s && "
		"echo fetched; }\n"
		"%s\nexit 0\n",
		PORT, sum, then);
	c.disk = fixture_disk("script", script, 4096);
	return fixture_config("passt.json", &c);
}

#define WISP_BEHIND_PASST "exec %s --no-api --config-file %s --debug-exit-port 0xf4 --level Debug"

/* Nobody is privileged: neither passt nor wisp, which a user of the group of /dev/kvm starts
 * by one command line, without a jail: seccomp and Landlock are on. */
static void test_passt(void **state)
{
	const char *sock = fixture_path("open/passt");
	const char *config = machine_behind_passt(sock, "fetch || exit 2");
	char line[1024];

	(void)state;
	snprintf(line, sizeof(line), "passt --quiet --one-off --socket %s && " WISP_BEHIND_PASST,
		 sock, fixture_program("wisp"), config);
	expect_success(start_as_user((const char *const[]){ "sh", "-c", line, NULL }),
		       "Landlock: ");
}

static struct session *start_passt(const char *sock)
{
	struct session *s;

	unlink(sock);
	s = start_as_user((const char *const[]){ "passt", "--foreground", "--socket", sock, NULL });
	for (unsigned waited_ms = 0; access(sock, F_OK) < 0; waited_ms += RETRY_MS) {
		if (waited_ms > LIMIT_S * 1000)
			fail_msg("passt does not make %s:\n%s", sock, session_output(s));
		usleep(RETRY_MS * 1000);
	}
	return s;
}

/* passt dies: the guest sees its cable pulled. Another one comes in its place: the guest
 * sees the cable again, and goes on without having been told anything. */
static void test_passt_restart(void **state)
{
	static const char then[] =
		"carrier() { until grep -q $1 /sys/class/net/eth0/carrier; do :; done; }\n"
		"for n in 1 2; do\n"
		"fetch || exit 2; carrier 0; echo pulled; carrier 1\n"
		"done; fetch || exit 3";
	const char *sock = fixture_path("open/passt"), *config = machine_behind_passt(sock, then);
	struct session *passt = start_passt(sock), *s;
	char line[1024];

	(void)state;
	snprintf(line, sizeof(line), WISP_BEHIND_PASST, fixture_program("wisp"), config);
	s = start_as_user((const char *const[]){ "sh", "-c", line, NULL });
	for (unsigned i = 0; i < 2; i++) {
		session_expect(s, "fetched", LIMIT_S);
		session_end(passt);
		session_expect(s, "pulled", LIMIT_S);
		passt = start_passt(sock);
	}
	expect_success(s, "Landlock: ");
	session_end(passt);
}

/* Inherited by what is started from now on. */
static void pass(const char *path, int number)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(dup2(fd, number), number);
	close(fd);
}

static void pass_tap(int number)
{
	struct ifreq ifr = { .ifr_name = TAP, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(dup2(fd, number), number);
	close(fd);
	command("ip address add 10.0.0.1/24 dev " TAP " && ip link set " TAP " up");
}

/* Root opens all, a tap among it; wisp, a user's, can open nothing once the guest runs. */
static void test_descriptors(void **state)
{
	const struct fixture_config c = {
		.kernel = "fd:81",
		.initrd = "fd:82",
		.boot_args = TO_SCRIPT,
		.mem_mib = 128,
		.disk = "fd:83",
		.disk_not_root = true,
		.disk_read_only = true,
		.extra = INTERFACE "\"host_dev_name\": \"fd:84\"}]",
	};
	const char *const argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--config-file",
		"fd:80",
		"--debug-exit-port",
		"0xf4",
		"--level",
		"Debug",
		NULL,
	};
	char sum[SUM_CHARS + 1], script[512];

	(void)state;
	serve_file(sum);
	snprintf(script, sizeof(script),
		 "ifconfig eth0 10.0.0.2 netmask 255.255.255.0 up\n"
		 "wget -q -O /file http://10.0.0.1:%d/ && sha256sum /file | grep %s || exit 2\n"
		 "echo fetched\nexit 0\n",
		 PORT, sum);
	pass(fixture_config("passed.json", &c), 80);
	pass(fixture_need_image("vmlinux-minimal"), 81);
	pass(fixture_need_image("initramfs.cpio"), 82);
	pass(fixture_disk("script", script, 4096), 83);
	pass_tap(84);
	expect_success(start_as_user(argv), "Landlock: 0 rules");
}

/* --- the metadata service --- */

#define SERVICE	 "http://169.254.169.254"
#define MMDS(is) ON_TAP ", \"mmds-config\": {\"network_interfaces\": [\"eth0\"]" is "}"

enum { LARGE_BYTES = 48000 };

static void call(const char *socket, const char *verb, const char *path, const char *body,
		 int status)
{
	struct api_reply reply;

	api_call(socket, verb, path, body, &reply);
	if (reply.status != status)
		fail_msg("%s %s: %d %s", verb, path, reply.status, reply.body);
}

/* A document with one value of many answers' segments. */
static void put_metadata(const char *socket)
{
	static char text[LARGE_BYTES + 1], body[LARGE_BYTES + 1024];

	memset(text, 'x', LARGE_BYTES);
	snprintf(body, sizeof(body),
		 "{\"latest\": {\"meta-data\": {\"ami-id\": \"ami-12345678\", \"count\": 7, "
		 "\"network\": {\"ip\": \"10.0.0.2\"}}, \"user-data\": \"hello\\nworld\"}, "
		 "\"large\": \"%s\"}",
		 text);
	call(socket, "PUT", "/mmds", body, 204);
}

/* What curl says there; the service's name is S in the guest. */
static struct session *boot_with_service(struct fixture_config *c, const char *socket)
{
	struct session *s = boot_debian(c, socket);

	in_guest(s, "ip route add 169.254.169.254 dev eth0; S=" SERVICE "; "
		    "get() { curl -sS --max-time 200 \"$@\"; }; "
		    "code() { get -o /dev/null -w '%{http_code}' \"$@\"; }");
	put_metadata(socket);
	return s;
}

static void test_mmds(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet init=/bin/bash",
		.mem_mib = 256,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
	};
	const char *socket = fixture_path("net.sock"), *lines = fixture_path("metrics");
	char extra[1024];
	struct session *s;

	(void)state;
	snprintf(extra, sizeof(extra), "%s, \"metrics\": {\"metrics_path\": \"%s\"}", MMDS(""),
		 lines);
	c.extra = extra;
	make_tap("");
	s = boot_with_service(&c, socket);

	in_guest(s, "[ \"$(get $S/latest/meta-data/)\" = $'ami-id\\ncount\\nnetwork/' ]");
	in_guest(s, "[ \"$(get $S/latest//user-data)\" = $'hello\\nworld' ]");
	in_guest(s, "[ \"$(get -H 'Accept: application/json' $S/latest/meta-data/network)\" = "
		    "'{\"ip\":\"10.0.0.2\"}' ]");
	in_guest(s, "[ $(code $S/latest/meta-data/count) = 501 ] && [ $(code $S/none) = 404 ] && "
		    "[ $(code -X POST $S/) = 405 ]");
	in_guest(s, "[ $(get $S/large | tr -d x | wc -c) = 0 ] && [ $(get $S/large | wc -c) = "
		    "48000 ]");
	/* One connection for many requests, many at a time, and more than there is room for. */
	in_guest(s, "get $S/large $S/large $S/latest/user-data | wc -c | grep -q 96011");
	in_guest(s, "get -Z --parallel-immediate --parallel-max 34 "
		    "$(for i in $(seq 34); do echo $S/large; done) | wc -c | "
		    "grep -q $((34 * 48000))");

	/* Nothing else is there, and the rest of the network is as it was. */
	in_guest(s, "! curl -s --max-time 5 $S:81/ && ! ping -c 1 -W 1 169.254.169.254");
	in_guest(s, "ping -c 1 -W 5 10.0.0.1");

	call(socket, "PATCH", "/mmds", "{\"latest\": {\"user-data\": \"new\"}, \"large\": null}",
	     204);
	in_guest(s, "[ $(get $S/latest/user-data) = new ] && [ $(code $S/large) = 404 ]");
	call(socket, "PUT", "/mmds/config", "{\"network_interfaces\": [\"eth0\"]}", 400);
	call(socket, "PUT", "/actions", "{\"action_type\": \"FlushMetrics\"}", 204);
	end_guest(s);
	assert_true(metrics_schema_check(lines) >= 3);
}

/* A stock kernel, two pairs of queues, tokens. */
static void test_mmds_v2(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet init=/bin/bash",
		.vcpus = 2,
		.mem_mib = 256,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
		.extra = MMDS(", \"version\": \"V2\""),
	};
	const char *socket = fixture_path("net.sock");
	struct session *s;

	(void)state;
	make_tap("multi_queue");
	s = boot_with_service(&c, socket);

	in_guest(s, "[ $(code $S/latest/user-data) = 401 ]");
	in_guest(s, "token() { get -X PUT -H \"X-metadata-token-ttl-seconds: $1\" "
		    "$S/latest/api/token; }; T=$(token 600); [ ${#T} = 48 ]");
	in_guest(s, "[ \"$(get -H \"X-metadata-token: $T\" $S/latest/meta-data)\" = "
		    "$'ami-id\\ncount\\nnetwork/' ]");
	in_guest(s, "[ \"$(get -H \"X-aws-ec2-metadata-token: $T\" $S/large | wc -c)\" = 48000 ]");
	in_guest(s, "[ $(code -H \"X-metadata-token: ${T%?}x\" $S/latest) = 401 ]");
	in_guest(s, "token 0 | grep -q 'between 1 and 21600' && "
		    "[ $(code -X PUT $S/latest/api/token) = 400 ]");

	/* One that lives for a second is good at first, and then is not. */
	in_guest(s,
		 "T1=$(token 1); until [ $(code -H \"X-metadata-token: $T1\" $S/latest) = 401 ]; "
		 "do :; done; [ $(code -H \"X-metadata-token: $T\" $S/latest) = 200 ]");

	call(socket, "PATCH", "/vm", "{\"state\": \"Paused\"}", 204);
	call(socket, "PATCH", "/mmds", "{\"latest\": {\"user-data\": \"paused\"}}", 204);
	call(socket, "PATCH", "/vm", "{\"state\": \"Resumed\"}", 204);
	in_guest(s, "[ $(get -H \"X-metadata-token: $T\" $S/latest/user-data) = paused ]");
	end_guest(s);
}

/* A network of the test's own; what a case leaves behind goes with it. */
static int set_up(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	command("ip link set lo up");
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_tap, set_up),
		cmocka_unit_test_setup(test_queues, set_up),
		cmocka_unit_test_setup(test_rates, set_up),
		cmocka_unit_test_setup(test_passt, set_up),
		cmocka_unit_test_setup(test_passt_restart, set_up),
		cmocka_unit_test_setup(test_descriptors, set_up),
		cmocka_unit_test_setup(test_mmds, set_up),
		cmocka_unit_test_setup(test_mmds_v2, set_up),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
