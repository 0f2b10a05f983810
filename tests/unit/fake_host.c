/* fake_host.c - a host that is always ready, for the program without a machine. */
#include "vmm/early_cpus.h"
#include "vmm/host_check.h"

enum host_check host_check_print(FILE *out)
{
	fprintf(out, "fake host\n");
	return HOST_READY;
}

/* No machine of this program asks. */
int early_cpus_begin(const char *device, struct early_cpus **ret)
{
	(void)device;
	*ret = NULL;
	return 0;
}

void early_cpus_destroy(struct early_cpus *e)
{
	(void)e;
}
