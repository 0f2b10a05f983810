/* host_check.h - what this host offers, in lines for a person. */
#ifndef VMM_HOST_CHECK_H
#define VMM_HOST_CHECK_H

#include <stdio.h>

/* The exit statuses of `wisp --check-host`. */
enum host_check {
	HOST_READY = 0,	   /* KVM runs guest kernels at hardware speed */
	HOST_NO_KVM = 1,   /* no usable KVM; what is missing was printed */
	HOST_EMULATED = 3, /* KVM works, but interprets guest kernels */
};

/* Prints one line a finding to out. Makes a tiny VM and measures how fast it
 * runs, which takes some 20 ms at most. Main thread. */
enum host_check host_check_print(FILE *out);

#endif
