/* boot.c - puts an x86 guest on its feet: kernel, initrd, and what it is told.
 *
 * Into guest memory go, in this order: the kernel (mapped from its file where
 * that is possible), the initrd at the top of low memory, the command line, the
 * ACPI tables and the MP table, and last the structure of the kernel's own boot
 * protocol that points at all of these.
 */
#include <errno.h>
#include <string.h>

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/mptable.h"
#include "vmm/arch/x86_64/pvh.h"
#include "vmm/arch/x86_64/state.h"
#include "vmm/arch/x86_64/zero_page.h"
#include "vmm/config.h"
#include "vmm/loader/initrd.h"
#include "vmm/loader/kernel.h"

static int load_initrd(const struct arch_boot_config *c, const struct kernel_image *kernel,
		       struct boot_info *info, struct error *err)
{
	uint64_t addr_max = kernel->has_header ? kernel->header.initrd_addr_max : 0;
	struct initrd_image initrd;
	int r;

	if (c->initrd_fd < 0)
		return 0;
	r = initrd_load(c->mem, c->initrd_fd, c->initrd_path, kernel->end, addr_max, KERNEL_MAP,
			&initrd, err);
	if (r < 0)
		return r;
	info->initrd = initrd.start;
	info->initrd_len = initrd.len;
	return 0;
}

static int write_cmdline(const struct arch_boot_config *c, struct boot_info *info,
			 struct error *err)
{
	int r;

	info->cmdline = gpa(LAYOUT_CMDLINE);
	info->cmdline_len = strlen(c->cmdline);
	r = gmem_write(c->mem, info->cmdline, c->cmdline, info->cmdline_len + 1);
	if (r < 0)
		return error_set(err, r, "mem_size_mib", "give at least 1",
				 "no room for the command line in guest memory");
	return 0;
}

static int write_tables(const struct arch_boot_config *c, struct boot_info *info, struct error *err)
{
	struct virtio_window windows[LAYOUT_MAX_VIRTIO];
	struct machine_tables tables = {
		.vcpus = c->vcpus,
		.virtio = windows,
		.nvirtio = c->virtio_devices,
		.pci = c->pci,
	};
	int r;

	for (unsigned n = 0; n < c->virtio_devices; n++) {
		struct arch_virtio_window w;

		if (!arch_virtio_window(n, &w))
			return error_set(err, -ENOSPC, NULL, "remove a device",
					 "this machine has room for %u virtio devices",
					 LAYOUT_MAX_VIRTIO);
		windows[n] = (struct virtio_window){ w.base, (uint32_t)w.len, w.gsi };
	}
	r = acpi_write(c->mem, &tables, &info->rsdp, err);
	return r < 0 ? r : mptable_write(c->mem, &tables, err);
}

static int write_protocol(const struct arch_boot_config *c, const struct kernel_image *kernel,
			  const struct boot_info *info, struct arch_boot *ret, struct error *err)
{
	int r;

	ret->entry = kernel->entry.v;
	if (kernel->protocol == BOOT_PVH) {
		ret->protocol = ARCH_BOOT_PVH;
		ret->argument = LAYOUT_PVH_INFO;
		r = pvh_write(c->mem, info);
	} else {
		ret->protocol = ARCH_BOOT_LINUX64;
		ret->argument = LAYOUT_ZERO_PAGE;
		r = zero_page_write(c->mem, kernel->has_header ? &kernel->header : NULL, info);
		if (r == 0)
			return state_write_long_mode(c->mem, err);
	}
	if (r < 0)
		return error_set(err, r, "mem_size_mib", "give at least 1",
				 "no room for the boot information in guest memory");
	return 0;
}

int arch_boot_load(const struct arch_boot_config *config, struct arch_boot *ret, struct error *err)
{
	struct boot_info info = { .pci = config->pci };
	struct kernel_image kernel;
	int r;

	r = kernel_load(config->mem, config->kernel_fd, config->kernel_path, gpa(LAYOUT_KERNEL),
			KERNEL_MAP, &kernel, err);
	if (r == 0)
		r = load_initrd(config, &kernel, &info, err);
	if (r == 0)
		r = write_cmdline(config, &info, err);
	if (r == 0)
		r = write_tables(config, &info, err);
	if (r == 0)
		r = write_protocol(config, &kernel, &info, ret, err);
	return r;
}
