/* qemu.h - the command line of the emulated host. */
#ifndef TESTS_TESTHOST_QEMU_H
#define TESTS_TESTHOST_QEMU_H

struct error;
struct kernel;
struct options;

struct qemu_wiring {
	const char *emulator; /* check_emulator() */
	const struct kernel *kernel;
	int initrd_fd;		  /* readable through /proc/self/fd */
	int stdout_fd, stderr_fd; /* sockets: the guest's end of each stream */
};

/* 0 and *ret, an argument vector for qemu_args_free(); or -ENOMEM and *e. The
 * kernel's console is QEMU's standard output. */
int qemu_args(const struct options *o, const struct qemu_wiring *w, char ***ret, struct error *e);

/* Accepts NULL. */
void qemu_args_free(char **argv);

#endif
