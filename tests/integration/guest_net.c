/* guest_net.c - guests that are asked by their shells, and what the host looks like. */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/guest_net.h"
#include "tests/integration/wispd_host.h"

enum { LIMIT_MS = 200000, RETRY_MS = 50, REPLY_BYTES = 8192 };

static int run(const char *line)
{
	return system(line);
}

void command(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (run(line) != 0)
		fail_msg("failed: %s", line);
}

void ctl(struct wispd_host *h, const char *fmt, ...)
{
	char words[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	command("%s --socket %s %s >/dev/null", fixture_program("wispctl"), wispd_host_socket(h),
		words);
}

/* --- guests --- */

/* A connection to a port; below 0: refused, or not answered in time. */
static int dial(const char *address, int port)
{
	const struct timeval limit = { .tv_sec = 30 };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What the shell there says to a line. Static storage. */
static const char *ask_at(const char *address, int port, const char *line)
{
	static char reply[REPLY_BYTES];
	int fd = -1;
	size_t have = 0;
	ssize_t n;

	for (int waited = 0; fd < 0 && waited < LIMIT_MS; waited += RETRY_MS) {
		fd = dial(address, port);
		if (fd < 0)
			poll(NULL, 0, RETRY_MS);
	}
	if (fd < 0)
		fail_msg("%s:%d does not answer", address, port);
	dprintf(fd, "{ %s; } 2>&1; exit\n", line);
	while (have < sizeof(reply) - 1 &&
	       (n = recv(fd, reply + have, sizeof(reply) - 1 - have, 0)) > 0)
		have += (size_t)n;
	reply[have] = '\0';
	close(fd);
	return reply;
}

void expect_at(const char *address, int port, const char *line, const char *words)
{
	const char *reply = ask_at(address, port, line);

	if (!strstr(reply, words))
		fail_msg("%s:%d: %s: no \"%s\" in:\n%s", address, port, line, words, reply);
}

void await_guest(const char *address, int port, const char *name)
{
	for (int waited = 0; waited < LIMIT_MS; waited += RETRY_MS) {
		if (strstr(ask_at(address, port, "hostname"), name))
			return;
		poll(NULL, 0, RETRY_MS);
	}
	fail_msg("%s does not serve at %s:%d", name, address, port);
}

void expect(const char *guest, const char *line, const char *words)
{
	expect_at(guest, SHELL_PORT, line, words);
}

#define SERVING "--cmdline '-- nc -ll -p %d -e /bin/sh'"

void start_guest(struct wispd_host *h, const char *tenant, const char *name, const char *net,
		 const char *more)
{
	ctl(h, "--tenant %s run mini --name %s --shape tiny --net %s %s " SERVING, tenant, name,
	    net, more, SHELL_PORT);
}

/* Until a number of what is there is this: blanks of a pool, leases of a network. */
static void await_number(struct wispd_host *h, const char *path, const char *name, size_t wanted)
{
	size_t now = wanted + 1;

	for (int waited = 0; now != wanted && waited < LIMIT_MS; waited += RETRY_MS) {
		json_t *j = NULL, *value;

		assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
		value = json_object_get(j, name);
		now = json_is_array(value) ? json_array_size(value)
					   : (size_t)json_integer_value(value);
		json_decref(j);
		poll(NULL, 0, RETRY_MS);
	}
	assert_int_equal(now, wanted);
}

void start_pooled_guest(struct wispd_host *h, const char *tenant, const char *name, const char *net,
			const char *more)
{
	char pool[64], network[96];

	snprintf(pool, sizeof(pool), "/pools/warm?tenant=%s", tenant);
	snprintf(network, sizeof(network), "/networks/%s?tenant=%s", net, tenant);
	ctl(h, "--tenant %s pool create warm mini --shape tiny --max 1 --net %s " SERVING, tenant,
	    net, SHELL_PORT);
	await_number(h, pool, "ready", 1);
	start_guest(h, tenant, name, net, more);
	ctl(h, "--tenant %s events --tail 20 | grep instance.taken", tenant);
	ctl(h, "--tenant %s pool rm warm", tenant);
	await_number(h, network, "leases", 1);
}

/* --- the host --- */

void guest_net_make_world(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	command("ip link set lo up; ip netns add world;"
		" ip link add outside type veth peer name inside netns world;"
		" ip address add " HOST "/24 dev outside; ip link set outside up;"
		" ip -n world address add " WORLD "/24 dev inside; ip -n world link set inside up");
	/* It knows no way to the guests: they are seen by the host's address or not at all. */
	for (int port = 80; port < 82; port++)
		command("ip netns exec world busybox nc -ll -p %d -e echo port-%d </dev/null "
			">/dev/null 2>&1 &",
			port, port);
}

/* Links, addresses and routes; and rules. */
void guest_net_note_host(const char *file)
{
	command("{ ip -o link | cut -d: -f2; ip -o address | awk '{print $2, $4}'; ip route;"
		" ip -6 route; nft list ruleset; } >%s",
		fixture_path(file));
}

void guest_net_add_image(struct wispd_host *h)
{
	char body[512];

	snprintf(body, sizeof(body),
		 "{\"name\": \"mini\", \"kernel\": \"%s\", \"initrd\": \"%s\","
		 " \"cmdline\": \"console=ttyS0 reboot=k panic=-1 quiet\"}",
		 fixture_image("vmlinux-minimal"), fixture_image("initramfs.cpio"));
	assert_string_equal(wispd_host_do(h, "POST", "/images", body), "done");
}
