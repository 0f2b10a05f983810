/* scripts.h - the guest's init scripts, carried inside the program. */
#ifndef TESTS_TESTHOST_SCRIPTS_H
#define TESTS_TESTHOST_SCRIPTS_H

extern const char guest_init_sh[], guest_init_sh_end[];
extern const char guest_run_sh[], guest_run_sh_end[];

#endif
