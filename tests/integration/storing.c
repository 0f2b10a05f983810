/* storing.c - the tiny guest that stores as fast as it can. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/storing.h"

enum { MIB = 1024 * 1024, PAGE = 4096, STORED_AT = 2 * MIB };

static const char *config_file(unsigned mib, const char *extra)
{
	char args[64];
	const struct fixture_config c = {
		.kernel = fixture_guest("dirty"),
		.boot_args = args,
		.vcpus = 1,
		.mem_mib = 64,
		.extra = extra,
	};

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		skip();
	}
	snprintf(args, sizeof(args), "wisp.mib=%u wisp.fill=16", mib);
	return fixture_config("storing.json", &c);
}

struct machine storing_start(unsigned mib, const char *extra)
{
	struct machine m = saved_start("storing.sock", config_file(mib, extra), NULL);

	session_expect(m.wisp, "begun.", SAVED_LIMIT_S);
	return m;
}

void storing_expect(const struct machine *m)
{
	for (int i = 0; i < 2; i++) {
		session_send(m->wisp, ".");
		session_expect(m->wisp, "round.", SAVED_LIMIT_S);
	}
}

void storing_check(const char *memory, unsigned mib)
{
	int fd = open(fixture_path(memory), O_RDONLY | O_CLOEXEC);
	off_t end = STORED_AT + (off_t)mib * MIB;
	uint32_t before = 0;
	unsigned steps = 0;

	assert_true(fd >= 0);
	for (off_t at = STORED_AT; at < end; at += PAGE) {
		uint32_t word[2];

		assert_int_equal(pread(fd, &word[0], 4, at), 4);
		assert_int_equal(pread(fd, &word[1], 4, at + PAGE - 4), 4);
		for (int i = 0; i < 2; i++) {
			if (at > STORED_AT || i > 0) {
				assert_true(word[i] == before || word[i] + 1 == before);
				steps += word[i] != before;
			}
			before = word[i];
		}
	}
	close(fd);
	assert_true(steps <= 1);
}
