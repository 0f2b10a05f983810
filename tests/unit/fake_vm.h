/* fake_vm.h - a machine that keeps what it is told and runs nothing.
 *
 * Implements vmm/vm.h for tests of what stands above it. Every call that changes
 * the machine is recorded by name. It takes any configuration, so what a test sees
 * refused was refused by the code under test, unless fake_vm_fail() asked for it.
 */
#ifndef TESTS_UNIT_FAKE_VM_H
#define TESTS_UNIT_FAKE_VM_H

#include "vmm/vm.h"

/* A machine without a loop, not started; vm_destroy() frees it. Aborts the test
 * program when memory is short. */
struct vm *fake_vm_new(void);

void fake_vm_set_state(struct vm *vm, enum vm_state state);

/* The next call that may fail does, naming this field ("" for none). */
void fake_vm_fail(struct vm *vm, const char *field);

/* The calls so far, as "put_machine start "; forgotten by fake_vm_forget(). */
const char *fake_vm_calls(const struct vm *vm);
void fake_vm_forget(struct vm *vm);

#endif
