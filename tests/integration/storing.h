/* storing.h - the tiny guest that stores as fast as it can (tests/guests/dirty.S), and what
 * its memory must look like in a file.
 *
 * Whatever is not so fails the test.
 */
#ifndef TESTS_INTEGRATION_STORING_H
#define TESTS_INTEGRATION_STORING_H

#include "tests/integration/saved.h"

/* Started with 64 MiB, and storing into this much of it. extra: more members of the
 * configuration, ", ...", or NULL. Skips the test where there is no KVM. */
struct machine storing_start(unsigned mib, const char *extra);

/* A whole round is over that began after this. */
void storing_expect(const struct machine *m);

/* A file of its memory, by name, in the test's folder: the words that were stored, in the
 * order of storing, are one step down, by one, at most. */
void storing_check(const char *memory, unsigned mib);

#endif
