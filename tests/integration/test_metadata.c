/* test_metadata.c - the metadata service of the real wisp, from its user's side: what is
 * taken, what is refused with which words, and what is kept. A socket that takes
 * connections stands for passt, and no guest uses the network, so it needs no privilege.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, BAD_CONFIGURATION = 152 };

#define SOCKET	 "api.sock"
#define NO_IFACE "{\"network_interfaces\": []}"
#define CONFIG	 "{\"network_interfaces\": [\"eth0\"]"

/* clang-format off */
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* clang-format on */

struct row {
	const char *verb, *path, *body;
	int status;
	const char *begin; /* of a fault's message, or of the answer */
};

static void check_rows(const struct row *rows, size_t count)
{
	struct api_reply reply;

	for (size_t i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		const char *text = reply.body;

		api_call(SOCKET, r->verb, r->path, r->body, &reply);
		if (reply.status >= 400)
			text += strlen("{\"fault_message\":\"");
		if (reply.status != r->status || strncmp(text, r->begin, strlen(r->begin)) != 0)
			fail_msg("%s %s %s\n  got  %d %s", r->verb, r->path, r->body, reply.status,
				 reply.body);
	}
}

static int listen_as_passt(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "passt" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void test_requests(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/mmds", NULL, 200, "{}" },
		{ "PATCH", "/mmds", "{}", 400,
		  "MMDS error: The MMDS data store is not initialized." },
		{ "PUT", "/mmds", "{\"a\": {\"b\": \"12345678\", \"c\": 1}}", 204, "" },
		{ "PUT", "/mmds", "{\"a\": {\"b\": \"12345678901234567890\", \"c\": 1}}", 413,
		  "MMDS limit exceeded error: The MMDS patch request doesn't fit. The limit is 39 "
		  "bytes" },
		{ "PATCH", "/mmds", "{\"d\": \"12345678901234567890\"}", 413,
		  "MMDS limit exceeded error: The MMDS patch request doesn't fit." },
		{ "GET", "/mmds", NULL, 200, "{\"a\":{\"b\":\"12345678\",\"c\":1}}" },
		{ "PATCH", "/mmds", "{\"a\": {\"b\": null, \"d\": [2]}}", 204, "" },
		{ "GET", "/mmds", NULL, 200, "{\"a\":{\"c\":1,\"d\":[2]}}" },
		{ "PUT", "/mmds/config", NO_IFACE, 400,
		  "MMMDS config error: The list of network interface IDs that allow forwarding MMDS "
		  "requests is empty." },
		{ "PUT", "/mmds/config", CONFIG "}", 400,
		  "MMMDS config error: The list of network interface IDs provided contains at least "
		  "one ID that does not correspond to any existing network interface." },
		{ "PUT", "/network-interfaces/eth0",
		  "{\"iface_id\": \"eth0\", \"passt_socket\": \"passt\"}", 204, "" },
		{ "PUT", "/mmds/config", "{\"network_interfaces\": [\"eth0\", \"eth1\"]}", 400,
		  "MMMDS config error: The list of network interface IDs provided" },
		{ "PUT", "/mmds/config", CONFIG ", \"ipv4_address\": \"169.254.0.255\"}", 400,
		  "MMMDS config error: The MMDS IPv4 address is not link local." },
		{ "PUT", "/mmds/config", CONFIG ", \"ipv4_address\": \"169.254.255.0\"}", 400,
		  "MMMDS config error: The MMDS IPv4 address is not link local." },
		{ "PUT", "/mmds/config", CONFIG ", \"ipv4_address\": \"10.0.0.1\"}", 400,
		  "MMMDS config error: The MMDS IPv4 address is not link local." },
		{ "PUT", "/mmds/config", CONFIG ", \"ipv4_address\": \"169.254.1\"}", 400,
		  "MMMDS config error: The MMDS IPv4 address is not link local." },
		{ "PUT", "/mmds/config", CONFIG ", \"ipv4_address\": \"169.254.1.0\"}", 204, "" },
		{ "PUT", "/mmds/config", CONFIG ", \"version\": \"V2\", \"imds_compat\": true}",
		  204, "" },
		{ "GET", "/mmds", NULL, 200, "{\"a\":{\"c\":1,\"d\":[2]}}" },
	};
	const char *const argv[] = { fixture_program("wisp"), "--api-sock", SOCKET,
				     "--mmds-size-limit",     "39",	    NULL };
	struct session *s = session_start(argv);
	struct api_reply reply;
	int passt = listen_as_passt();

	(void)state;
	api_wait(SOCKET, LIMIT_S);
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
	api_call(SOCKET, "GET", "/vm/config", NULL, &reply);
	assert_non_null(strstr(reply.body,
			       "\"mmds-config\":{\"version\":\"V2\",\"network_interfaces\":"
			       "[\"eth0\"],\"ipv4_address\":\"169.254.169.254\","
			       "\"imds_compat\":true}"));
	session_end(s);
	unlink(SOCKET);
	close(passt);
}

/* What is there before the first request. */
static void test_file(void **state)
{
	const char *file = fixture_file("metadata.json", "{\"from\": \"a file\"}\n");
	struct session *s = session_start(
		ARGS(fixture_program("wisp"), "--api-sock", SOCKET, "--metadata", file));
	const struct row row = { "GET", "/mmds", NULL, 200, "{\"from\":\"a file\"}" };

	(void)state;
	api_wait(SOCKET, LIMIT_S);
	check_rows(&row, 1);
	session_end(s);
	unlink(SOCKET);
}

static void test_bad_files(void **state)
{
	static const char *const rows[][2] = {
		{ "/nonexistent", "Metadata file /nonexistent: Cannot open" },
		{ "broken.json", "Metadata file broken.json: " },
		{ "large.json", "Metadata file large.json: MMDS limit exceeded error" },
	};

	(void)state;
	fixture_file("broken.json", "{\"a\": ");
	fixture_file("large.json", "{\"a\": \"more than ten bytes\"}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct session *s =
			session_start(ARGS(fixture_program("wisp"), "--api-sock", SOCKET,
					   "--metadata", rows[i][0], "--mmds-size-limit", "10"));

		assert_int_equal(session_wait(s, LIMIT_S), BAD_CONFIGURATION);
		assert_non_null(strstr(session_output(s), rows[i][1]));
		session_end(s);
	}
}

static void save(const char *extra, const char *state, const char *memory)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(extra), NULL);

	saved_pause(&m);
	saved_create(&m, state, memory, "Full");
	saved_kill(&m);
}

static void expect_known(const struct machine *m, const char *json)
{
	struct api_reply reply;

	api_call(m->socket, "GET", "/mmds", NULL, &reply);
	assert_string_equal(reply.body, json);
}

static void expect_refused(const struct machine *m, const char *state, const char *memory,
			   const char *words)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/load",
		 saved_load_body(state, memory, ", \"mmds_data\": {\"for\": \"nobody\"}"), &reply);
	assert_int_equal(reply.status, 400);
	if (!strstr(reply.body, words))
		fail_msg("no \"%s\": %s", words, reply.body);
}

/* A tiny guest on this machine's KVM: what comes with a load is known if it succeeds. */
static void test_loaded(void **state)
{
	struct machine m;
	int passt;

	(void)state;
	save(NULL, "plain-state", "plain-memory");
	unlink("passt");
	passt = listen_as_passt();
	save(", \"network-interfaces\": [{\"iface_id\": \"eth0\", \"passt_socket\": \"passt\"}],"
	     " \"mmds-config\": {\"network_interfaces\": [\"eth0\"]}",
	     "state", "memory");
	m = saved_start("tiny.sock", NULL, NULL);
	expect_refused(&m, "state", "missing", "cannot be opened");
	expect_known(&m, "{}");
	saved_call(&m, "PUT", "/mmds", "{\"known\": \"before\"}");
	expect_refused(&m, "state", "missing", "cannot be opened");
	expect_refused(&m, "plain-state", "plain-memory", "has no metadata service");
	expect_known(&m, "{\"known\":\"before\"}");
	saved_load(&m, "state", "memory", ", \"mmds_data\": {\"name\": [\"copy\", {\"n\": 7}]}");
	expect_known(&m, "{\"name\":[\"copy\",{\"n\":7}]}");
	saved_kill(&m);
	close(passt);
}

static int set_up(void **state)
{
	(void)state;
	return chdir(fixture_dir());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_loaded),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
