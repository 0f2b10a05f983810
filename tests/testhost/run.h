/* run.h - one run: the emulated host from start to end. */
#ifndef TESTS_TESTHOST_RUN_H
#define TESTS_TESTHOST_RUN_H

struct error;
struct interrupt;
struct kernel;
struct options;

enum {
	RUN_GUEST_LOST = 123, /* a guest without timers, in two hosts */
	RUN_TIMED_OUT = 124,  /* as timeout(1) */
	RUN_HOST_DIED = 125,  /* the emulated host, or QEMU, ended first */
};

/* Runs the command and passes its output on as it comes; once more, in a new host, where
 * a guest stood still without a timer. Returns its exit code, RUN_GUEST_LOST,
 * RUN_TIMED_OUT or RUN_HOST_DIED (said on stderr, with the end of the kernel's
 * console), 141 when nobody reads our output any more, or a negative errno and *e;
 * -EINTR: i said stop. QEMU has ended in every case. */
int run_command(const struct options *o, const struct kernel *k, struct interrupt *i,
		struct error *e);

#endif
