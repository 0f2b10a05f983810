/* probe.c - how fast this host's KVM runs guest kernel code. */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/state.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	PROBE_MEMORY = 64 * 1024,
	PROBE_ENTRY = 0x1000,
	PROBE_PORT = 0x80,
	PROBE_ROUNDS = 20000,
	PROBE_INSTRUCTIONS = 2 * PROBE_ROUNDS,
	PROBE_MAX_EXITS = 100,
};

/* out 0x80 (the clock starts), count ECX down, out 0x80 (the clock stops). */
static const uint8_t probe_code[] = {
	0xb9,
	PROBE_ROUNDS & 0xff,
	PROBE_ROUNDS >> 8,
	0x00,
	0x00, /* mov ecx, rounds */
	0xe6,
	PROBE_PORT, /* out PROBE_PORT, al */
	0x49,	    /* 1: dec ecx */
	0x75,
	0xfd, /* jnz 1b */
	0xe6,
	PROBE_PORT, /* out PROBE_PORT, al */
	0xf4,	    /* hlt */
};

/* Runs to the next port access. */
static int run_to_port(int vcpu_fd, const struct kvm_run *run, struct error *err)
{
	for (unsigned i = 0; i < PROBE_MAX_EXITS; i++) {
		if (ioctl(vcpu_fd, KVM_RUN, 0) < 0 && errno != EINTR)
			return error_errno(err, NULL, NULL, "KVM_RUN failed");
		if (run->exit_reason == KVM_EXIT_IO)
			return 0;
	}
	return error_set(err, -EIO, NULL, NULL, "KVM cannot run a simple loop (exit reason %u)",
			 run->exit_reason);
}

static int time_loop(int vcpu_fd, size_t run_size, uint64_t *ret, struct error *err)
{
	struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	uint64_t start_us, took_us;
	int r;

	if (run == MAP_FAILED)
		return error_errno(err, NULL, NULL, "cannot map a vCPU");
	r = run_to_port(vcpu_fd, run, err);
	start_us = clock_now_us();
	if (r == 0)
		r = run_to_port(vcpu_fd, run, err);
	took_us = clock_now_us() - start_us;
	munmap(run, run_size);
	if (r == 0)
		*ret = PROBE_INSTRUCTIONS * 1000000ull / (took_us + 1);
	return r;
}

static int run_probe(struct kvm *kvm, struct gmem *mem, uint64_t *ret, struct error *err)
{
	const struct arch_boot boot = { .protocol = ARCH_BOOT_PVH, .entry = PROBE_ENTRY };
	int r = kvm_set_memory(kvm, mem, err);
	int fd;

	if (r < 0)
		return r;
	fd = kvm_create_vcpu(kvm, 0, err);
	if (fd < 0)
		return fd;
	r = state_set_entry(fd, &boot, err);
	if (r == 0)
		r = time_loop(fd, kvm->run_size, ret, err);
	fd_close(fd);
	return r;
}

int arch_probe_speed(uint64_t *ret, struct error *err)
{
	const struct gmem_config config = { .size_bytes = PROBE_MEMORY, .backing = GMEM_ANON };
	struct gmem *mem = NULL;
	struct kvm kvm;
	int r = kvm_open(&kvm, NULL, err);

	if (r < 0)
		return r;
	r = kvm_create_vm(&kvm, err);
	if (r == 0)
		r = arch_vm_init(&kvm, err);
	if (r == 0)
		r = gmem_create(&config, &mem, err);
	if (r == 0)
		r = gmem_write(mem, gpa(PROBE_ENTRY), probe_code, sizeof(probe_code));
	if (r == 0)
		r = run_probe(&kvm, mem, ret, err);
	kvm_close(&kvm);
	gmem_destroy(mem);
	return r;
}
