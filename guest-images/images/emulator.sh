image_about="The test host's processor: Debian's QEMU, with four faults of its SVM mended"
image_files='qemu-system-x86_64'
image_packages='qemu-system-x86'
image_inputs='lib/source.sh'

# What ninja prints in all, for the percentage.
emulator_build_lines=1443

image_make() {
	package_source qemu-system-x86 source
	step 'mending the emulator' emulator_mend source/target/i386/tcg/sysemu
	mkdir build
	cd build
	step 'configuring the emulator' ../source/configure --target-list=x86_64-softmmu \
		--without-default-features --enable-tcg --enable-virtfs --enable-attr \
		--enable-cap-ng --enable-fdt=system --disable-docs --disable-install-blobs
	step_lines=$emulator_build_lines
	step 'compiling the emulator' ninja qemu-system-x86_64
	step_lines=
	strip -o "$1/qemu-system-x86_64" qemu-system-x86_64
}

# Seen in QEMU 7.2; the first three are in VMRUN:
# - The interrupt that a hypervisor injects is delivered at once, but stays noted as one
#   to deliver. If the emulator leaves its loop before the next exception, to run another
#   processor or because a device wants something, it delivers it once more, even when the
#   guest has interrupts off. Guests and hosts crash in the middle of an interrupt entry.
# - The request for an interrupt window is noted in a word that device threads change
#   under a lock, without taking that lock. An interrupt noted meanwhile is lost.
# - A guest that was left behind its STI goes on without the interrupt shadow. So an interrupt
#   gets between STI and HLT, and the guest halts although it woke somebody: for ever, if it has
#   nothing else to wait for.
# - A guest that lowers CR8 while an interrupt waits for it makes the emulator note a request
#   without that lock, which ends the emulator. UEFI does so all the time, Linux never.
emulator_mend() {
	sed -i \
		-e '/do_interrupt_x86_hardirq(env, vector, 1);/a cs->exception_index = -1;' \
		-e 's/cs->interrupt_request |= CPU_INTERRUPT_VIRQ;/vmrun_interrupt_window(cs);/' \
		-e '/^    if (ctl_has_irq(env)) {/i \    if (x86_ldl_phys(cs, env->vm_vmcb + offsetof(struct vmcb, control.int_state)) &\n        SVM_INTERRUPT_SHADOW_MASK) {\n        env->hflags |= HF_INHIBIT_IRQ_MASK;\n    }\n' \
		-e '/^#include "cpu.h"/a #include "qemu/main-loop.h"' \
		-e '/^void helper_vmrun(/i static void vmrun_interrupt_window(CPUState *cs)\n{\n    qemu_mutex_lock_iothread();\n    cs->interrupt_request |= CPU_INTERRUPT_VIRQ;\n    qemu_mutex_unlock_iothread();\n}\n' \
		"$1/svm_helper.c"
	[ "$(grep -c 'exception_index = -1\|vmrun_interrupt_window(cs)\|main-loop\|^static void vmrun_interrupt_window\|env->hflags |= HF_INHIBIT_IRQ_MASK' "$1/svm_helper.c")" -eq 5 ] || return 1
	sed -i '/^ *cpu_interrupt(cs, CPU_INTERRUPT_VIRQ);/{
		i qemu_mutex_lock_iothread();
		a qemu_mutex_unlock_iothread();
	}' "$1/misc_helper.c"
	[ "$(grep -c '^qemu_mutex_.*lock_iothread' "$1/misc_helper.c")" -eq 2 ]
}
