/* test_qmp.c - the client of QEMU's machine protocol, and peers that do not keep to it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/life/qmp.h"

enum { PATIENCE_MS = 60000, SHORT_MS = 20, FLOOD_BYTES = 128 << 10 };

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define WELCOME	 GREETING "{\"return\": {}, \"id\": 1}\r\n"

struct peer {
	pthread_t thread;
	int fd;
	const char *says;
	bool stays; /* and says no more */
};

static void *play(void *arg)
{
	struct peer *p = arg;
	char heard[4096];

	(void)send(p->fd, p->says, strlen(p->says), MSG_NOSIGNAL);
	if (!p->stays)
		shutdown(p->fd, SHUT_WR);
	while (recv(p->fd, heard, sizeof(heard), 0) > 0)
		;
	close(p->fd);
	return NULL;
}

/* A peer that says all this at once; the client's end. */
static int begin(struct peer *p, const char *says, bool stays)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*p = (struct peer){ .fd = pair[1], .says = says, .stays = stays };
	assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
	return pair[0];
}

static void end(struct peer *p)
{
	pthread_join(p->thread, NULL);
}

static const struct {
	const char *says;
	bool stays;
	int opens;   /* what qmp_open() comes to */
	int answers; /* and then a command */
} rows[] = {
	{ "", false, -EPIPE, 0 },
	{ "", true, -ETIMEDOUT, 0 },
	{ "hello\n", false, -EPROTO, 0 },
	{ "[]\n", false, -EPROTO, 0 },
	{ "{}\n", false, -EPROTO, 0 },
	{ "\n", false, -EPROTO, 0 },
	{ "{\"QMP\": {}", false, -EPIPE, 0 },
	{ GREETING, false, -EPIPE, 0 },
	{ GREETING, true, -ETIMEDOUT, 0 },
	{ GREETING "{\"error\": {\"desc\": \"no\"}, \"id\": 1}\n", false, -EREMOTEIO, 0 },
	{ WELCOME, false, 0, -EPIPE },
	{ WELCOME "{\"return\": {}, \"id\": 2}\n", false, 0, 0 },
	{ WELCOME "{\"event\": \"STOP\"}\n{\"return\": {}, \"id\": 2}\n", false, 0, 0 },
	{ WELCOME "{\"event\": 7}\n{\"return\": {}, \"id\": 2}\n", false, 0, 0 },
	{ WELCOME "{\"return\": {}, \"id\": 1}\n", false, 0, -EPIPE },
	{ WELCOME "{\"return\": {}, \"id\": \"2\"}\n", false, 0, -EPIPE },
	{ WELCOME "{\"id\": 2}\n", false, 0, -EPROTO },
	{ WELCOME "{\"error\": {\"desc\": \"busy\"}, \"id\": 2}\n", false, 0, -EREMOTEIO },
	{ WELCOME "{\"error\": \"odd\", \"id\": 2}\n", false, 0, -EPROTO },
	{ WELCOME "\xff\xfe\n", false, 0, -EPROTO },
};

static void test_peers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool slow = rows[i].opens == -ETIMEDOUT;
		struct qmp *q = NULL;
		struct error err = { 0 };
		struct peer peer;
		int fd = begin(&peer, rows[i].says, rows[i].stays);
		int r = qmp_open(fd, slow ? SHORT_MS : PATIENCE_MS, &q, &err);

		if (r != rows[i].opens)
			fail_msg("row %zu opens: %d %s", i, r, err.text);
		if (r == 0)
			r = qmp_call(q, "stop", NULL, NULL, &err);
		if (rows[i].opens == 0 && r != rows[i].answers)
			fail_msg("row %zu answers: %d %s", i, r, err.text);
		assert_true(r == 0 || err.text[0]);
		qmp_close(q);
		end(&peer);
	}
}

static void test_events(void **state)
{
	struct qmp *q = NULL;
	json_t *ret = NULL;
	struct error err;
	struct peer peer;
	int fd = begin(&peer,
		       WELCOME "{\"event\": \"STOP\"}\n{\"event\": \"RESUME\"}\n"
			       "{\"return\": {\"status\": \"running\"}, \"id\": 2}\n",
		       false);

	(void)state;
	assert_int_equal(qmp_open(fd, PATIENCE_MS, &q, &err), 0);
	assert_int_equal(qmp_call(q, "query-status", json_pack("{s:i}", "unused", 1), &ret, &err),
			 0);
	assert_string_equal(json_string_value(json_object_get(ret, "status")), "running");
	json_decref(ret);
	qmp_close(q);
	end(&peer);
}

static void expect_heard(struct qmp *q, const char *member)
{
	struct error err;
	json_t *j = NULL;

	assert_int_equal(qmp_hear(q, &j, &err), 0);
	assert_non_null(json_object_get(j, member));
	json_decref(j);
}

/* Who cannot wait gets what is there, line by line, and is told when there is no more. */
static void test_hearing(void **state)
{
	static const char said[] = GREETING "{\"event\": \"STOP\"}\n{\"event\"";
	static const char rest[] = ": \"RESUME\"}\n";
	char heard[128] = "";
	struct qmp *q = NULL;
	struct error err;
	json_t *j = NULL;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(qmp_attach(pair[0], &q, &err), 0);
	assert_int_equal(qmp_hear(q, &j, &err), -EAGAIN);
	assert_int_equal(qmp_say(q, "query-status", &err), 0);
	assert_true(recv(pair[1], heard, sizeof(heard) - 1, 0) > 0);
	assert_string_equal(heard, "{\"execute\":\"query-status\",\"id\":1}\n");
	assert_int_equal(send(pair[1], said, strlen(said), 0), (ssize_t)strlen(said));
	expect_heard(q, "QMP");
	expect_heard(q, "event");
	assert_int_equal(qmp_hear(q, &j, &err), -EAGAIN);
	assert_int_equal(send(pair[1], rest, strlen(rest), 0), (ssize_t)strlen(rest));
	expect_heard(q, "event");
	close(pair[1]);
	assert_int_equal(qmp_hear(q, &j, &err), -EPIPE);
	assert_int_equal(qmp_say(q, "query-status", &err), -EAGAIN);
	qmp_close(q);
}

/* A line without an end is not kept for ever. */
static void test_flood(void **state)
{
	char *text = malloc(FLOOD_BYTES + 1);
	struct qmp *q = NULL;
	struct error err;
	struct peer peer;

	(void)state;
	memset(text, 'a', FLOOD_BYTES);
	text[FLOOD_BYTES] = '\0';
	assert_int_equal(qmp_open(begin(&peer, text, true), PATIENCE_MS, &q, &err), -EPROTO);
	end(&peer);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_hearing),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
