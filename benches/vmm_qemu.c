/* vmm_qemu.c - QEMU's microvm machine, with everything off that a guest of this
 * kind does not need: the fastest start that QEMU documents for it.
 *
 * Its firmware runs before the kernel; that is part of how QEMU boots, and counts.
 *
 * With ACPI off the kernel finds a disk by its command line. QEMU would add that
 * at the very end, behind a " -- " that starts init's own arguments, so it is told
 * not to and the device is named here, before the " -- ".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/vmm.h"

/* Where microvm puts virtio-mmio-bus.0 and .1 when ACPI is off: 512 bytes each, from
 * IRQ 5 on. */
#define FIRST_VIRTIO  " virtio_mmio.device=512@0xfeb00000:5"
#define SECOND_VIRTIO " virtio_mmio.device=512@0xfeb00200:6"

static int qemu_locate(const struct options *o, char path[static PATH_MAX], struct error *err)
{
	const char *search = getenv("PATH");
	char *dirs, *save = NULL;
	int r = -ENOENT;

	if (o->qemu) {
		strcpy(path, o->qemu);
		return 0;
	}
	dirs = strdup(search ? search : "/usr/local/bin:/usr/bin:/bin");
	for (char *dir = dirs ? strtok_r(dirs, ":", &save) : NULL; dir && r < 0;
	     dir = strtok_r(NULL, ":", &save))
		if (snprintf(path, PATH_MAX, "%s/qemu-system-x86_64", dir) < PATH_MAX &&
		    access(path, X_OK) == 0)
			r = 0;
	free(dirs);
	if (r < 0)
		error_set(err, r, "qemu", "install qemu-system-x86, or set QEMU=PATH",
			  "there is no qemu-system-x86_64 on PATH");
	return r;
}

static bool acpi_on(const struct machine *m)
{
	return strstr(m->qemu_machine, "acpi=on") != NULL;
}

static void add_cmdline(const struct machine *m, struct argv *ret)
{
	const char *init = strstr(m->cmdline, " -- ");
	const char *disk = m->disk && !acpi_on(m) ? FIRST_VIRTIO : "";
	const char *net = m->tap && !acpi_on(m) ? SECOND_VIRTIO : "";
	size_t kernel_len = init ? (size_t)(init - m->cmdline) : strlen(m->cmdline);

	argv_add(ret, "-append");
	argv_add(ret, "%.*s%s%s%s", (int)kernel_len, m->cmdline, disk, net, init ? init : "");
}

static void add_net(const struct machine *m, struct argv *ret)
{
	argv_add(ret, "-netdev");
	argv_add(ret, "tap,id=net,ifname=%s,script=no,downscript=no,vhost=off", m->tap);
	argv_add(ret, "-device");
	argv_add(ret, "virtio-net-device,netdev=net,mac=%s,bus=virtio-mmio-bus.1", VMM_GUEST_MAC);
}

static void add_disk(const struct machine *m, struct argv *ret)
{
	const char *more = m->qemu_drive;
	/* On one processor, polling keeps it from what is polled for: QEMU then stands
	 * still in the test host. */
	const char *iothread = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? "iothread,id=io"
								 : "iothread,id=io,poll-max-ns=0";

	if (more)
		argv_add_words(ret, (const char *const[]){ "-object", iothread, NULL });
	argv_add(ret, "-drive");
	argv_add(ret, "id=disk,file=%s,format=raw,if=none,readonly=on%s%s", m->disk,
		 more ? "," : "", more ? more : "");
	argv_add(ret, "-device");
	argv_add(ret, "virtio-blk-device,drive=disk,bus=virtio-mmio-bus.0%s",
		 more ? ",iothread=io" : "");
}

static int qemu_command(const struct machine *m, const char *program, const char *dir,
			struct argv *ret, struct error *err)
{
	static const char *const fixed[] = {
		"-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial",
		"stdio",       "-accel",	  "kvm",	NULL,
	};

	(void)dir;
	(void)err;
	argv_add_words(ret, (const char *const[]){ program, "-M", m->qemu_machine, "-cpu",
						   m->qemu_cpu, "-kernel", m->kernel, NULL });
	argv_add_words(ret, fixed);
	argv_add(ret, "-m");
	argv_add(ret, "%uM", m->mem_mib);
	argv_add(ret, "-smp");
	argv_add(ret, "%u", m->vcpus);
	argv_add(ret, "-device");
	argv_add(ret, "isa-debug-exit,iobase=0x%x,iosize=4", VMM_EXIT_PORT);
	add_cmdline(m, ret);
	if (m->initrd)
		argv_add_words(ret, (const char *const[]){ "-initrd", m->initrd, NULL });
	if (m->disk)
		add_disk(m, ret);
	if (m->tap)
		add_net(m, ret);
	return ret->error;
}

/* isa-debug-exit makes of a value v the exit code 2v + 1. */
static bool qemu_ended_well(int exit_code, unsigned value)
{
	return exit_code == (int)((value << 1 | 1) & 0xff);
}

const struct vmm_ops vmm_qemu = {
	.name = "qemu",
	.locate = qemu_locate,
	.command = qemu_command,
	.ended_well = qemu_ended_well,
};
