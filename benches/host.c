/* host.c - the machine that a measurement was made on. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "benches/host.h"

/* The first one that is loaded runs /dev/kvm. */
static const struct {
	const char *module, *name;
} kinds[] = {
	{ "/sys/module/kvm_pvm", "pvm" },
	{ "/sys/module/kvm_intel", "vmx" },
	{ "/sys/module/kvm_amd", "svm" },
};

static const char *kvm_kind(void)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return "none";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (access(kinds[i].module, F_OK) == 0)
			return kinds[i].name;
	return "none";
}

void host_describe(struct host *ret)
{
	struct utsname u;

	*ret = (struct host){ .cpus = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	snprintf(ret->kvm, sizeof(ret->kvm), "%s", kvm_kind());
	if (uname(&u) == 0)
		snprintf(ret->kernel, sizeof(ret->kernel), "%s", u.release);
}

bool host_boots_fast(const struct host *h)
{
	return strcmp(h->kvm, "vmx") == 0 || strcmp(h->kvm, "svm") == 0;
}
