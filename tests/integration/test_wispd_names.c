/* test_wispd_names.c - guests that ask their network for addresses and names, as theirs do.
 *
 * Two tenants with a network "net" each, whose guests ask by busybox's client; and a guest that has
 * IPv6, which asks by Debian's. What they can do is tried from within, by their agents. Runs as
 * root in the test host, in a network namespace of its own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/guest_net.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77 };

#define AGENT	", \"agent_timeout_ms\": 240000"
#define UNTIL	"timeout 200 sh -c 'until "
#define AT_LAST "; do sleep 0.1; done'"

/* The same within a guest, in words of its shell's. */
#define GUEST_UNTIL "n=0; until "
#define GUEST_LAST  "; do n=$((n+1)); [ $n -lt 200 ] || break; sleep 1; done; "

/* What busybox's client has done with what it was told. */
static const char bound[] = "#!/bin/sh\n"
			    "[ $1 = bound ] || exit 0\n"
			    "ip address add $ip/$mask dev $interface\n"
			    "ip route add default via $router\n"
			    "echo search $domain >/etc/resolv.conf\n"
			    "for d in $dns; do echo nameserver $d >>/etc/resolv.conf; done\n";
#define ASK "udhcpc -i eth0 -n -q -T 2 -s /tmp/bound -t "

/* What a line of the shell's in a guest says has these words. */
static void says(struct wispd_host *h, const char *tenant, const char *guest, const char *words,
		 const char *line)
{
	const char *output = "";

	(void)wispd_host_ctl(h, &output,
			     (const char *const[]){ "--tenant", tenant, "exec", guest, "--", "sh",
						    "-c", line, NULL });
	if (!strstr(output, words))
		fail_msg("%s's %s: %s: no \"%s\" in:\n%s", tenant, guest, line, words, output);
}

/* An agent that is told its addresses is told who knows names, too. */
static void check_told(struct wispd_host *h)
{
	ctl(h, "--tenant blue net create told --prefix4 10.67.0.0/24 --dns");
	ctl(h, "--tenant blue run --name blue2 --shape small --net told box");
	says(h, "blue", "blue2", "search told.internal\nnameserver 10.67.0.1\n",
	     "cat /etc/resolv.conf");
	says(h, "blue", "blue2", "10.67.0.2", "nslookup blue2.told.internal");
	ctl(h, "--tenant blue rm blue2");
	ctl(h, "--tenant blue net rm told");
}

static void start(struct wispd_host *h, const char *tenant, const char *name, const char *image)
{
	ctl(h, "--tenant %s run --name %s --shape small --net net %s", tenant, name, image);
}

static void put(struct wispd_host *h, const char *tenant, const char *guest, const char *text,
		const char *path)
{
	fixture_file("put", text);
	ctl(h, "--tenant %s cp %s %s:%s", tenant, fixture_path("put"), guest, path);
}

static void ask_for_address(struct wispd_host *h, const char *tenant, const char *guest,
			    const char *address)
{
	put(h, tenant, guest, bound, "/tmp/bound");
	says(h, tenant, guest, address,
	     "chmod 755 /tmp/bound; mkdir -p /etc; ip link set eth0 up; " ASK
	     "100; ip address show eth0");
}

#define ARGUMENTS "--cmdline 'console=ttyS0 reboot=k panic=-1 quiet'"

static struct wispd_host *begin(void)
{
	struct wispd_host *h = wispd_host_make(AGENT);

	guest_net_make_world();
	guest_net_note_host("before");
	command("busybox nc -ll -p 82 -e echo the-host </dev/null >/dev/null 2>&1 &");
	assert_true(wispd_host_start(h, 0));
	ctl(h, "tenant set red");
	ctl(h, "tenant set blue");
	ctl(h, "--tenant red net create net --prefix4 10.65.0.0/24 --prefix6 fd00:65::/64"
	       " --addressing dhcp --dns");
	return h;
}

/* What served the networks has gone with them. */
static void end(struct wispd_host *h)
{
	command(UNTIL "! pgrep -x dnsmasq && ! pgrep -x wisp-keeper" AT_LAST);
	command("rmdir %s/networks", wispd_host_path(h, "state"));
	ctl(h, "doctor");
	assert_int_equal(wispd_host_jails(h), 0);
	guest_net_note_host("after");
	command("diff %s %s", fixture_path("before"), fixture_path("after"));
	wispd_host_end(h);
	command("ip link del outside; ip netns pids world | xargs kill; ip netns del world");
}

/* --- IPv4, and two tenants --- */

static void check_names(struct wispd_host *h)
{
	says(h, "red", "red1", "10.65.0.3", "nslookup red2.net.internal");
	says(h, "red", "red1", "fd00:65::3", "nslookup red2.net.internal");
	says(h, "red", "red2", "red1.net.internal", "nslookup 10.65.0.2");
	says(h, "red", "red2", "red1.net.internal", "nslookup fd00:65::2");
	says(h, "blue", "blue1", "10.66.0.2", "nslookup blue1.net.internal");
	/* Nobody asks others about these, and there are no others. */
	says(h, "red", "red1", "NXDOMAIN", "nslookup red3.net.internal");
	says(h, "red", "red1", "REFUSED", "nslookup www.example.com");
}

/* Nothing of another tenant's, though their networks are called the same. */
static void check_across(struct wispd_host *h)
{
	says(h, "blue", "blue1", "NXDOMAIN", "nslookup red1.net.internal");
	says(h, "blue", "blue1", "NXDOMAIN", "nslookup 10.65.0.2");
	says(h, "blue", "blue1", "timed out", "nslookup red1.net.internal 10.65.0.1");
}

/* Of the bridge guests get names and addresses, and nothing else. */
static void check_bridge(struct wispd_host *h)
{
	says(h, "red", "red1", "refused", "nc -w 1 10.65.0.1 82 </dev/null || echo refused");
	says(h, "red", "red1", SEEN, PING "10.65.0.1");
	says(h, "red", "red1", SEEN, PING "10.65.0.3");
}

/* Who has another's MAC address, or none that was leased, gets nothing. */
static void check_strangers(struct wispd_host *h)
{
	static const char *const others[] = { "06:00:0a:41:00:02", "06:00:0a:42:00:09" };
	char line[256];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(
			line, sizeof(line),
			"ip link set eth0 down; ip link set eth0 address %s; ip link set eth0 up; " ASK
			"2 || echo none",
			others[i]);
		says(h, "blue", "blue1", "none", line);
	}
	says(h, "blue", "blue1", "10.66.0.2",
	     "ip link set eth0 down; ip link set eth0 address 06:00:0a:42:00:02;"
	     " ip address flush dev eth0; ip link set eth0 up; " ASK "100; ip address show eth0");
}

/* A name is an instance's, for as long as it runs and is called so. */
static void check_changes(struct wispd_host *h)
{
	ctl(h, "--tenant red rename red2 other");
	says(h, "red", "red1", "10.65.0.3",
	     GUEST_UNTIL "nslookup other.net.internal" GUEST_LAST "nslookup other.net.internal");
	says(h, "red", "red1", "NXDOMAIN", "nslookup red2.net.internal");
	ctl(h, "--tenant red rm other");
	says(h, "red", "red1", "NXDOMAIN",
	     GUEST_UNTIL "! nslookup other.net.internal" GUEST_LAST "nslookup other.net.internal");
}

#define BOTH_RUN "[ $(pgrep -c -x dnsmasq) = 2 ] && [ $(pgrep -c -x wisp-keeper) = 2 ]"

/* They are nobody's users, and are started again; by wispd, too, which was away. */
static void check_programs(struct wispd_host *h)
{
	command(UNTIL BOTH_RUN AT_LAST " && ! pgrep -u 0 -x dnsmasq");
	command("old=$(pgrep -x dnsmasq); pkill -x dnsmasq; for p in $old; do"
		" while [ -d /proc/$p ]; do sleep 0.1; done; done; " UNTIL BOTH_RUN AT_LAST);
	says(h, "red", "red1", "10.65.0.3",
	     GUEST_UNTIL "nslookup red2.net.internal" GUEST_LAST "nslookup red2.net.internal");
	says(h, "blue", "blue1", "10.66.0.2",
	     GUEST_UNTIL "nslookup blue1.net.internal" GUEST_LAST "nslookup blue1.net.internal");
	check_names(h);
	wispd_host_stop(h, SIGKILL);
	command("nft flush ruleset; pkill -KILL -x wisp-keeper; " UNTIL
		"! pgrep -x dnsmasq" AT_LAST);
	assert_true(wispd_host_start(h, 0));
	command(UNTIL BOTH_RUN AT_LAST);
}

static void test_served(void **state)
{
	struct wispd_host *h = begin();

	(void)state;
	ctl(h, "image add --agent --kernel %s --initrd %s " ARGUMENTS " box",
	    fixture_image("vmlinux-minimal"), fixture_image("initramfs.cpio"));
	start(h, "red", "red1", "box");
	ask_for_address(h, "red", "red1", "10.65.0.2/24");
	ctl(h, "--tenant blue net create net --prefix4 10.66.0.0/24 --addressing dhcp --dns");
	start(h, "red", "red2", "box");
	start(h, "blue", "blue1", "box");
	ask_for_address(h, "red", "red2", "10.65.0.3/24");
	ask_for_address(h, "blue", "blue1", "10.66.0.2/24");
	check_strangers(h);
	check_programs(h);
	check_names(h);
	check_across(h);
	check_bridge(h);
	check_changes(h);
	ctl(h, "--tenant red rm red1");
	ctl(h, "--tenant blue rm blue1");
	check_told(h);
	/* They stay as long as their bridge does. */
	command(BOTH_RUN);
	ctl(h, "--tenant red net rm net");
	command("[ $(pgrep -c -x dnsmasq) = 1 ]");
	ctl(h, "--tenant blue net rm net");
	end(h);
}

/* --- IPv6, by what Debian has for it --- */

/* Without the rest of Debian: it waits for nobody else then. */
static const char networkd[] =
	"#!/bin/sh\n"
	"mkdir -p /run/systemd/network /run/systemd/netif\n"
	"chown systemd-network /run/systemd/netif\n"
	"chmod 755 /run/systemd /run/systemd/network\n"
	"printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=yes\\n' >/run/systemd/network/0.network\n"
	"echo 0123456789abcdef0123456789abcdef >/run/id\n"
	"mount --bind /run/id /etc/machine-id\n"
	"mount -o remount,ro /sys\n"
	"exec env container=lxc /lib/systemd/systemd-networkd\n";

static void start_debian(struct wispd_host *h)
{
	ctl(h,
	    "image add --agent --kernel %s --initrd %s --rootfs %s --read-only --cmdline"
	    " 'console=ttyS0 reboot=k panic=-1 quiet net.ifnames=0 wisp.stay' debian",
	    fixture_image("vmlinuz-6.12"), fixture_image("initrd-6.12"),
	    fixture_image("debian.ext4"));
	start(h, "red", "red1", "debian");
	put(h, "red", "red1", networkd, "/run/ask");
	says(h, "red", "red1", "begun", "sh /run/ask >/dev/null 2>&1 & echo begun");
}

static void test_six(void **state)
{
	struct wispd_host *h = begin();

	(void)state;
	start_debian(h);
	says(h, "red", "red1", "fd00:65::2",
	     GUEST_UNTIL "ip -6 address show eth0 | grep -q fd00:65::2" GUEST_LAST
			 "ip address show eth0");
	says(h, "red", "red1", "10.65.0.2/24",
	     GUEST_UNTIL "ip -4 address show eth0 | grep -q 10.65.0.2" GUEST_LAST
			 "ip address show eth0");
	/* It has a router, and no address that it made itself. */
	says(h, "red", "red1", "via fe80::400:aff:fe41:1",
	     GUEST_UNTIL "ip -6 route | grep -q ^default" GUEST_LAST "ip -6 route");
	says(h, "red", "red1", "1\n", "ip -6 address show eth0 | grep -c fd00");
	says(h, "red", "red1", "DOMAINNAME=net.internal", "cat /run/systemd/netif/leases/*");
	says(h, "red", "red1", "DNS=10.65.0.1", "cat /run/systemd/netif/leases/*");
	/* Names by IPv6 alone. */
	says(h, "red", "red1", "fd00:65::2",
	     "(echo search net.internal; echo nameserver fd00:65::1) >/run/resolv.conf;"
	     " mount --bind /run/resolv.conf /etc/resolv.conf; getent ahostsv6 red1");
	says(h, "red", "red1", "0% packet loss", "ping -6 -c 1 -W 30 fd00:65::1");
	ctl(h, "--tenant red rm red1");
	ctl(h, "--tenant red net rm net");
	end(h);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_served),
					    cmocka_unit_test(test_six) };

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinux-minimal") ||
	    !fixture_image("initramfs.cpio") || !fixture_image("vmlinuz-6.12") ||
	    !fixture_image("initrd-6.12") || !fixture_image("debian.ext4")) {
		fprintf(stderr, "test_wispd_names needs the test host and guest images\n");
		return SKIPPED;
	}
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
