/* test_wispd_relay.c - streams through wispd: whole, bounded, and ended as they should be. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/life/relay.h"
#include "vmm/base/fd.h"

enum { MANY_BYTES = 4 << 20, PART_BYTES = 10007, TURNS = 1000 };

/* Two pairs: what wispd has of each, and the far ends. */
struct stage {
	sd_event *loop;
	struct relays *relays;
	int client, guest; /* far ends */
	int near;	   /* the client's, which ended() closes */
	unsigned ended;
};

static void on_end(void *ctx)
{
	struct stage *s = ctx;

	s->near = fd_close(s->near);
	s->ended++;
}

static void add(struct stage *s, const char *tenant, const char *early)
{
	int client[2], guest[2];
	const struct relay_ends ends = {
		.tenant = tenant,
		.early = early,
		.early_len = early ? strlen(early) : 0,
		.ended = on_end,
		.ctx = s,
	};
	struct relay_ends all = ends;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, client),
			 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, guest),
			 0);
	s->client = client[0];
	s->near = all.client = client[1];
	s->guest = guest[0];
	all.guest = guest[1];
	relays_add(s->relays, &all);
}

static int set_up(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));
	struct error err;

	*state = s;
	s->client = s->guest = s->near = -1;
	return sd_event_new(&s->loop) < 0 ? -1 : relays_create(s->loop, &s->relays, &err);
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	relays_destroy(s->relays);
	sd_event_unref(s->loop);
	fd_close(s->client);
	fd_close(s->guest);
	fd_close(s->near);
	free(s);
	return 0;
}

/* Until nothing happens any more; it must come to rest by itself. */
static void turn(struct stage *s)
{
	int n = 0;

	while (sd_event_run(s->loop, 0) > 0)
		assert_true(++n < TURNS);
}

static void expect_text(int fd, const char *text)
{
	char got[64] = "";
	ssize_t n = read(fd, got, sizeof(got) - 1);

	assert_int_equal(n, strlen(text));
	assert_string_equal(got, text);
}

static void test_both_ways(void **state)
{
	struct stage *s = *state;

	add(s, "a", "early ");
	turn(s);
	expect_text(s->guest, "early ");
	assert_int_equal(write(s->client, "to", 2), 2);
	assert_int_equal(write(s->guest, "from", 4), 4);
	turn(s);
	expect_text(s->guest, "to");
	expect_text(s->client, "from");
	/* One end is passed on, the other direction goes on. */
	shutdown(s->client, SHUT_WR);
	turn(s);
	expect_text(s->guest, "");
	assert_int_equal(write(s->guest, "last", 4), 4);
	s->guest = fd_close(s->guest);
	turn(s);
	expect_text(s->client, "last");
	expect_text(s->client, "");
	assert_int_equal(s->ended, 1);
}

/* A guest that floods fills what there is, and no more; then all comes, in order. */
static void test_slow_client(void **state)
{
	struct stage *s = *state;
	char part[PART_BYTES];
	size_t sent = 0, got = 0;

	add(s, "a", NULL);
	while (got < MANY_BYTES) {
		ssize_t n = 1;

		for (size_t i = 0; i < sizeof(part); i++)
			part[i] = (char)((sent + i) % 251);
		if (sent < MANY_BYTES)
			n = write(s->guest, part, sizeof(part));
		sent += sent < MANY_BYTES && n > 0 ? (size_t)n : 0;
		turn(s);
		if (n > 0 && sent < MANY_BYTES)
			continue;
		assert_true(sent - got < MANY_BYTES / 2);
		n = read(s->client, part, sizeof(part));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal((unsigned char)part[i], (got + (size_t)i) % 251);
		got += (size_t)n;
	}
	assert_int_equal(s->ended, 0);
}

/* The client is gone while the guest floods. */
static void test_gone(void **state)
{
	struct stage *s = *state;
	char part[PART_BYTES] = "";

	add(s, "a", NULL);
	while (write(s->guest, part, sizeof(part)) > 0)
		turn(s);
	s->client = fd_close(s->client);
	turn(s);
	assert_int_equal(s->ended, 1);
	assert_int_equal(write(s->guest, part, 1) < 0 ? errno : 0, EPIPE);
}

static void test_limits(void **state)
{
	struct stage *s = *state;
	int ends[RELAYS_TENANT_MAX][3];

	for (unsigned i = 0; i < RELAYS_TENANT_MAX; i++) {
		assert_true(relays_have_room(s->relays, "a"));
		add(s, "a", NULL);
		ends[i][0] = s->client;
		ends[i][1] = s->guest;
		ends[i][2] = s->near;
	}
	assert_false(relays_have_room(s->relays, "a"));
	assert_true(relays_have_room(s->relays, "b"));
	relays_destroy(s->relays);
	s->relays = NULL;
	assert_int_equal(s->ended, RELAYS_TENANT_MAX);
	for (unsigned i = 0; i < RELAYS_TENANT_MAX; i++)
		for (unsigned k = 0; k < 3; k++)
			if (ends[i][k] != s->client && ends[i][k] != s->guest)
				close(ends[i][k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
