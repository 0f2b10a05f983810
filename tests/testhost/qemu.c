/* qemu.c - the command line of the emulated host.
 *
 * QEMU without KVM, a processor with AMD-V and nested paging, so that kvm_amd
 * drives it like real hardware. The machine's root file system, the kernel's
 * modules and the shared directories are 9p devices; the command's two output
 * streams are virtio serial ports with a socket behind each, which, unlike a
 * file, holds the guest back when its reader is slow.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/testhost/kernel.h"
#include "tests/testhost/options.h"
#include "tests/testhost/qemu.h"
#include "tests/testhost/tsc.h"
#include "vmm/base/error.h"

/* mitigations=off: an emulated processor leaks nothing, and the work-arounds
 * cost it dearly. panic=-1 and -no-reboot: a panic ends QEMU. tsc=reliable: the
 * emulated processors read one counter, which a kernel that cannot know that would
 * give up for the HPET, at twice the cost and without a stable clock for guests.
 * no_timer_check: the kernel would wait for a few ticks in a time that a busy machine
 * may not give to the emulator, and panic. */
static const char kernel_command_line[] =
	"console=ttyS0 reboot=t panic=-1 mitigations=off tsc=reliable no_timer_check";

enum {
	ICOUNT_TSC_KHZ = 1000000, /* an instruction count in ns */
	KERNEL_HZ = 250,
};

struct args {
	char **v;
	size_t count;
	bool failed; /* out of memory: all further calls do nothing */
};

/* Takes ownership of word; NULL is a failed allocation. */
static void push(struct args *a, char *word)
{
	char **grown = a->failed ? NULL : realloc(a->v, (a->count + 2) * sizeof(*a->v));

	if (grown)
		a->v = grown;
	if (!grown || !word) {
		a->failed = true;
		free(word);
		return;
	}
	a->v[a->count++] = word;
	a->v[a->count] = NULL;
}

static void add(struct args *a, const char *option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void add(struct args *a, const char *option, const char *fmt, ...)
{
	char *word = NULL;
	va_list ap;

	push(a, strdup(option));
	va_start(ap, fmt);
	if (vasprintf(&word, fmt, ap) < 0)
		word = NULL;
	va_end(ap);
	push(a, word);
}

/* In a list of options a comma in a value is written twice. */
static char *escape_commas(const char *text)
{
	char *ret = malloc(2 * strlen(text) + 1), *to = ret;

	if (!ret)
		return NULL;
	for (; *text; text++) {
		*to++ = *text;
		if (*text == ',')
			*to++ = ',';
	}
	*to = '\0';
	return ret;
}

static void add_files(struct args *a, const char *tag, const char *path, bool readonly)
{
	char *escaped = escape_commas(path);

	if (!escaped) {
		a->failed = true;
		return;
	}
	add(a, "-fsdev", "local,id=%s,path=%s,security_model=none,multidevs=remap%s", tag, escaped,
	    readonly ? ",readonly=on" : "");
	add(a, "-device", "virtio-9p-pci,bus=pcie.0,fsdev=%s,mount_tag=%s", tag, tag);
	free(escaped);
}

static void add_stream(struct args *a, const char *name, int fd)
{
	add(a, "-chardev", "socket,id=%s,fd=%d", name, fd);
	add(a, "-device", "virtserialport,chardev=%s,name=%s", name, name);
}

/* Devices to pass on, of each kind that tests tell apart. The IOMMU must come before the
 * devices that it translates for, and those before what takes the first free slot. */
static void add_passable(struct args *a, const struct options *o)
{
	const unsigned half = o->smp > 1 ? o->smp / 2 : 1;
	static const char disk[] =
		"nvme,serial=wisp,subsys=subsystem,bus=rp,sriov_max_vfs=2,sriov_vq_flexible=4,"
		"sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=5";
	static const char *const devices[] = {
		"intel-iommu,caching-mode=on",
		/* A network of two: one end to pass on, the other stays in the test host. */
		"e1000e,addr=4,romfile=,netdev=passed",
		"virtio-net-pci,addr=5,romfile=,netdev=kept",
		/* Two that share a group, because nothing keeps them apart. */
		"pcie-pci-bridge,id=pair,addr=6",
		"e1000,bus=pair,addr=1,romfile=",
		"e1000,bus=pair,addr=2,romfile=",
		/* A disk without a name space, which can have two virtual functions. */
		"pcie-root-port,id=rp,addr=7,chassis=1",
		"nvme-subsys,id=subsystem",
		disk,
		/* One that copies what and where it is told to, and is reset with its bus; near the
		 * second node's memory. */
		"pxb-pcie,id=far,bus_nr=64,numa_node=1,addr=8",
		"pcie-root-port,id=copies,bus=far,chassis=2",
		"edu,bus=copies,dma_mask=0xffffffff",
	};

	for (unsigned i = 0; i < 2; i++) {
		add(a, "-object", "memory-backend-ram,id=node%u,size=%uM", i, o->mem_mib / 2);
		if (i < o->smp)
			add(a, "-numa", "node,memdev=node%u,cpus=%u-%u", i, i * half,
			    i ? o->smp - 1 : half - 1);
		else
			add(a, "-numa", "node,memdev=node%u", i);
	}
	add(a, "-netdev", "hubport,id=passed,hubid=0");
	add(a, "-netdev", "hubport,id=kept,hubid=0");
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		add(a, "-device", "%s", devices[i]);
}

/* A socket and a part of the memory each. */
static void add_nodes(struct args *a, const struct options *o)
{
	unsigned cpus = o->smp / o->numa;

	for (unsigned n = 0; n < o->numa; n++) {
		add(a, "-object", "memory-backend-ram,id=node%u,size=%uM", n, o->mem_mib / o->numa);
		add(a, "-numa", "node,nodeid=%u,cpus=%u-%u,memdev=node%u", n, n * cpus,
		    (n + 1) * cpus - 1, n);
	}
}

static void add_machine(struct args *a, const struct options *o)
{
	add(a, "-machine", "q35%s", o->vfio ? ",kernel_irqchip=off" : "");
	/* Processors that run at once execute now and then what another one has just
	 * overwritten (the breakpoints by which Linux patches itself), for ever. */
	add(a, "-accel", "tcg,thread=single");
	/* check=off: no warning for each feature that the emulator lacks. */
	add(a, "-cpu", "%s,check=off", o->cpu);
	add(a, "-smp", "%u,sockets=%u", o->smp, o->numa > 1 ? o->numa : 1);
	add(a, "-m", "%u", o->mem_mib);
	if (o->numa > 1)
		add_nodes(a, o);
	if (o->icount) {
		add(a, "-icount", "shift=1,sleep=off");
		add(a, "-rtc", "clock=vm");
	}
	if (o->vfio)
		add_passable(a, o);
}

int qemu_args(const struct options *o, const struct qemu_wiring *w, char ***ret, struct error *e)
{
	/* What the processors' delays and clocks are made of. */
	unsigned khz = o->icount ? ICOUNT_TSC_KHZ : tsc_khz();
	struct args a = { 0 };
	char tag[32];

	push(&a, strdup(w->emulator));
	push(&a, strdup("-nodefaults"));
	push(&a, strdup("-no-user-config"));
	push(&a, strdup("-no-reboot"));
	add_machine(&a, o);
	/* Debian's firmware. */
	add(&a, "-L", "/usr/share/seabios");
	add(&a, "-L", "/usr/share/qemu");
	add(&a, "-display", "none");
	add(&a, "-serial", "stdio");
	add(&a, "-kernel", "%s", w->kernel->image);
	add(&a, "-initrd", "/proc/self/fd/%d", w->initrd_fd);
	add(&a, "-append", "%s tsc_early_khz=%u lpj=%u%s%s", kernel_command_line, khz,
	    khz * (1000 / KERNEL_HZ), o->verbose ? "" : " quiet", o->vfio ? " intel_iommu=on" : "");
	add(&a, "-device", "virtio-serial-pci,bus=pcie.0");
	add_stream(&a, "stdout", w->stdout_fd);
	add_stream(&a, "stderr", w->stderr_fd);
	add_files(&a, "host", "/", true);
	add_files(&a, "modules", w->kernel->modules, true);
	for (unsigned i = 0; i < o->nshares; i++) {
		snprintf(tag, sizeof(tag), "share%u", i);
		add_files(&a, tag, o->shares[i], false);
	}
	if (a.failed) {
		qemu_args_free(a.v);
		return error_set(e, -ENOMEM, NULL, NULL, "out of memory");
	}
	*ret = a.v;
	return 0;
}

void qemu_args_free(char **argv)
{
	for (char **at = argv; at && *at; at++)
		free(*at);
	free(argv);
}
