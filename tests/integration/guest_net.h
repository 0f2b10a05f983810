/* guest_net.h - guests of wispd in networks, and a world outside: for tests in the test host.
 *
 * Each guest serves a shell on SHELL_PORT, so that what a guest can do is tried from within.
 * Everything fails the test when it cannot.
 */
#ifndef TESTS_INTEGRATION_GUEST_NET_H
#define TESTS_INTEGRATION_GUEST_NET_H

struct wispd_host;

enum { SHELL_PORT = 7 };

/* A network namespace that stands for the world; this host's address there. On ports 80 and
 * 81 it answers "port-80" and "port-81". */
#define WORLD "198.51.100.2"
#define HOST  "198.51.100.1"

/* One that is to be answered may take its time. */
#define PING "ping -c 1 -W 30 "
#define TRY  "ping -c 1 -W 1 "
#define SEEN "1 packets received"
#define LOST "0 packets received"

/* A line of the shell's, which has to succeed; one of wispctl's. */
void command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ctl(struct wispd_host *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A network namespace of the test's own, and the world beside it. */
void guest_net_make_world(void);
/* Links, addresses, routes and rules of this host, into a file of the fixture's. */
void guest_net_note_host(const char *file);

void guest_net_add_image(struct wispd_host *h); /* "mini" */
void start_guest(struct wispd_host *h, const char *tenant, const char *name, const char *net,
		 const char *more);
/* Of a blank, in a network without other guests; no pool is left. */
void start_pooled_guest(struct wispd_host *h, const char *tenant, const char *name, const char *net,
			const char *more);

/* Until its shell serves there, behind something that listens before it does. */
void await_guest(const char *address, int port, const char *name);
/* What the guest's shell says to a line has these words; once it listens. */
void expect(const char *guest, const char *line, const char *words);
void expect_at(const char *address, int port, const char *line, const char *words);

#endif
