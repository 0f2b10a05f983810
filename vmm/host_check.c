/* host_check.c - what this host offers.
 *
 * A KVM that answers is not yet one that can boot a kernel: where the host is
 * itself a guest, its KVM may have to interpret every instruction of a guest
 * kernel, at a hundredth of the speed. That cannot be read from any capability,
 * so it is measured.
 */
#include <inttypes.h>
#include <unistd.h>

#include "vmm/arch/arch.h"
#include "vmm/base/landlock.h"
#include "vmm/host_check.h"
#include "vmm/host_findings.h"

/* Emulated kernels run a few million instructions a second, processors thousands
 * of millions, and the emulated test host some hundreds. */
#define HARDWARE_SPEED 50000000ull

static const char *kvm_flavour(void)
{
	static const struct {
		const char *path, *name;
	} modules[] = {
		{ "/sys/module/kvm_intel", "vmx" },
		{ "/sys/module/kvm_amd", "svm" },
		{ "/sys/module/kvm_pvm", "pvm" },
	};

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		if (access(modules[i].path, F_OK) == 0)
			return modules[i].name;
	}
	return "unknown";
}

/* There may be no file that tells. */
static void print_landlock(FILE *out)
{
	int abi = landlock_abi();

	if (abi < 0)
		fprintf(out, "landlock: missing -> put landlock first in lsm= at boot, on a kernel "
			     "with CONFIG_SECURITY_LANDLOCK\n");
	else
		fprintf(out, "landlock: version %d\n", abi);
}

enum host_check host_check_print(FILE *out)
{
	struct error err = { 0 };
	char line[1024];
	uint64_t speed;

	host_findings_print(out, "");
	print_landlock(out);
	if (arch_probe_speed(&speed, &err) < 0) {
		fprintf(out, "kvm: %s\n", error_line(&err, line, sizeof(line)));
		return HOST_NO_KVM;
	}
	fprintf(out, "kvm: %s, guest kernel code runs %" PRIu64 " M instructions/s: %s\n",
		kvm_flavour(), speed / 1000000,
		speed < HARDWARE_SPEED ? "emulated, too slow to boot a kernel" : "hardware speed");
	return speed < HARDWARE_SPEED ? HOST_EMULATED : HOST_READY;
}
