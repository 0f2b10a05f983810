/* test_snapshot_chains.c - a guest that stores without a rest, saved and loaded again and
 * again: as one difference after another, and in all the ways there are.
 *
 * Each time all of its memory is compared with that of a full snapshot of the same moment,
 * or the guest's own words are, which tell a moment from two.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/storing.h"

enum {
	SKIPPED = 77,
	STORED_MIB = 2,
	RAM_BYTES = 64 * 1024 * 1024,
	CHUNK = 1024 * 1024,
	DIFFERENCES = 20,
	ROUND_TRIPS = 100,
	NAME = 32,
};

#define RESUME ", \"resume_vm\": true"

static const char *numbered(const char *what, unsigned n)
{
	static char name[2][NAME];
	static unsigned turn;

	turn = !turn;
	snprintf(name[turn], NAME, "%s.%u", what, n);
	return name[turn];
}

/* --- differences --- */

static int rebase(const char *base, const char *difference, char *said, size_t size)
{
	char to[256];
	const char *const argv[] = { fixture_program("wisp-snapshot"), "rebase", to,
				     fixture_path(difference), NULL };
	struct session *s;
	int status;

	snprintf(to, sizeof(to), "%s", fixture_path(base));
	s = session_start(argv);
	status = session_wait(s, SAVED_LIMIT_S);
	snprintf(said, size, "%s", session_output(s));
	session_end(s);
	return status;
}

static void expect_rebased(const char *base, const char *difference)
{
	char said[1024];

	if (rebase(base, difference, said, sizeof(said)) != 0)
		fail_msg("%s over %s: %s", difference, base, said);
}

static int open_memory(const char *name)
{
	int fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* All of RAM; whose it is, behind it, differs. */
static void same_memory(const char *a, const char *b)
{
	static char bytes[2][CHUNK];
	int fd[2] = { open_memory(a), open_memory(b) };

	for (off_t at = 0; at < RAM_BYTES; at += CHUNK) {
		for (int i = 0; i < 2; i++)
			assert_int_equal(pread(fd[i], bytes[i], CHUNK, at), CHUNK);
		if (memcmp(bytes[0], bytes[1], CHUNK) != 0)
			fail_msg("%s and %s differ behind %#llx", a, b, (unsigned long long)at);
	}
	close(fd[0]);
	close(fd[1]);
}

/* The next difference, and all of memory at the same moment; then another process goes on. */
static void one_more(struct machine *m, unsigned n)
{
	storing_expect(m);
	saved_pause(m);
	saved_create(m, numbered("state", n), numbered("difference", n), "Diff");
	saved_create(m, "state.whole", "whole", "Full");
	saved_kill(m);
	expect_rebased("chain", numbered("difference", n));
	same_memory("chain", "whole");
	*m = saved_start("storing.sock", NULL, NULL);
	saved_load(m, numbered("state", n), "chain", RESUME);
}

static void copy_file(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp %s %s", fixture_path(from), fixture_path(to));
	assert_int_equal(system(command), 0);
}

/* All of them over the first memory; the one behind the next one is refused. */
static void lay_over_again(const char *first)
{
	for (unsigned n = 1; n <= DIFFERENCES; n++) {
		char said[1024];

		if (n < DIFFERENCES)
			assert_int_equal(
				rebase(first, numbered("difference", n + 1), said, sizeof(said)),
				1);
		expect_rebased(first, numbered("difference", n));
	}
}

/* Each is of a machine that was loaded from all those before. */
static void test_differences(void **state)
{
	struct machine m = storing_start(STORED_MIB, NULL);

	(void)state;
	saved_pause(&m);
	saved_create(&m, "state.0", "chain", "Full");
	saved_kill(&m);
	copy_file("chain", "first");
	m = saved_start("storing.sock", NULL, NULL);
	saved_load(&m, "state.0", "chain", RESUME);
	for (unsigned n = 1; n <= DIFFERENCES; n++)
		one_more(&m, n);
	storing_expect(&m);
	saved_quit(&m);
	lay_over_again("first");
	same_memory("first", "chain");
}

/* --- round trips --- */

static void save(const struct machine *m, const char *more)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/create", saved_create_body("state", "memory", more),
		 &reply);
	if (reply.status != 204 && reply.status != 200)
		fail_msg("not saved with \"%s\": %d %s", more, reply.status, reply.body);
}

/* Every way to save with every way to load what was saved before. */
static void test_round_trips(void **state)
{
	static const struct {
		const char *create;
		bool live;
	} ways[] = {
		{ "", false },
		{ ", \"snapshot_type\": \"Diff\"", false },
		{ ", \"live\": true", true },
	};
	static const char *const loads[] = { RESUME, RESUME ", \"huge_pages\": \"Transparent\"" };
	struct machine m = storing_start(STORED_MIB, NULL);

	(void)state;
	for (unsigned i = 0; i < ROUND_TRIPS; i++) {
		unsigned way = i % (sizeof(ways) / sizeof(ways[0]));

		storing_expect(&m);
		if (!ways[way].live)
			saved_pause(&m);
		save(&m, ways[way].create);
		storing_check("memory", STORED_MIB);
		saved_kill(&m);
		m = saved_start("storing.sock", NULL, NULL);
		saved_load(&m, "state", "memory", loads[i % (sizeof(loads) / sizeof(loads[0]))]);
	}
	storing_expect(&m);
	saved_quit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_round_trips),
	};

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
