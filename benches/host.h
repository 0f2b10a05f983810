/* host.h - the machine that a measurement was made on. */
#ifndef BENCHES_HOST_H
#define BENCHES_HOST_H

#include <stdbool.h>

struct host {
	char kvm[8]; /* "vmx", "svm", "pvm", or "none" */
	bool testhost;
	char kernel[65]; /* uname's release */
	int cpus;	 /* online */
};

void host_describe(struct host *ret);

/* Whether an ordinary guest kernel runs at hardware speed: not under kvm-pvm, which
 * interprets kernel code, and not without KVM. */
bool host_boots_fast(const struct host *h);

#endif
