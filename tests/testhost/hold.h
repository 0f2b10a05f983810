/* hold.h - one KVM machine that never ends. */
#ifndef TESTS_TESTHOST_HOLD_H
#define TESTS_TESTHOST_HOLD_H

struct error;

/* Runs inside the test host: makes a machine of one processor, which never runs,
 * says "held" on stdout and waits until it is killed. Returns only on failure, a
 * negative errno and *e. */
int hold_kvm(struct error *e);

#endif
