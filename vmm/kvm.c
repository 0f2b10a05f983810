/* kvm.c - /dev/kvm: opened, checked, and one virtual machine made from it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/kvm.h"

#define KVM_DEVICE "/dev/kvm"

enum { GUARANTEED_MEMSLOTS = 32 }; /* of a KVM that does not tell */

struct requirement {
	int cap;
	const char *what;
	const char *remedy;
};

/* What the host's KVM must offer, and in which kernel it came, oldest first. */
static const struct requirement requirements[] = {
	{ KVM_CAP_USER_MEMORY, "guest memory (KVM_CAP_USER_MEMORY)", "Linux 2.6.25 or later" },
#ifdef __x86_64__
	{ KVM_CAP_EXT_CPUID, "CPUID tables (KVM_CAP_EXT_CPUID)", "Linux 2.6.25 or later" },
#endif
	{ KVM_CAP_IRQ_ROUTING, "interrupt routing (KVM_CAP_IRQ_ROUTING)", "Linux 2.6.30 or later" },
	{ KVM_CAP_IRQFD, "interrupts by descriptor (KVM_CAP_IRQFD)", "Linux 2.6.32 or later" },
	{ KVM_CAP_IOEVENTFD, "notifications by descriptor (KVM_CAP_IOEVENTFD)",
	  "Linux 2.6.32 or later" },
#ifdef __x86_64__
	{ KVM_CAP_TSC_DEADLINE_TIMER, "the TSC-deadline timer (KVM_CAP_TSC_DEADLINE_TIMER)",
	  "Linux 3.3 or later" },
#endif
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH,
	  "notifications of any length (KVM_CAP_IOEVENTFD_ANY_LENGTH)", "Linux 4.4 or later" },
#ifdef __x86_64__
	{ KVM_CAP_SPLIT_IRQCHIP, "the split irqchip (KVM_CAP_SPLIT_IRQCHIP)",
	  "Linux 4.4 or later" },
#endif
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit (KVM_CAP_IMMEDIATE_EXIT)",
	  "Linux 4.11 or later" },
};

static int open_error(const char *device, struct error *err)
{
	const char *hint = "load kvm_intel or kvm_amd, and enable virtualization in the firmware";

	if (errno == EACCES || errno == EPERM)
		hint = "add this user to the group that owns " KVM_DEVICE ", usually kvm";
	else if (errno == EBADF)
		hint = "pass " KVM_DEVICE ", open for reading and writing";
	return error_errno(err, KVM_DEVICE, hint, "cannot open %s", device);
}

static int check_version(int fd, struct error *err)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (version == KVM_API_VERSION)
		return 0;
	return error_set(err, -ENOTSUP, KVM_DEVICE, "use a Linux kernel with KVM",
			 KVM_DEVICE " answers API version %d; wisp needs %d", version,
			 KVM_API_VERSION);
}

/* Names all that is missing; the remedy is that of the last, the newest. */
static int check_capabilities(int fd, struct error *err)
{
	const char *remedy = NULL;
	char missing[512] = "";

	for (size_t i = 0; i < sizeof(requirements) / sizeof(requirements[0]); i++) {
		const struct requirement *r = &requirements[i];
		size_t used = strlen(missing);

		if (ioctl(fd, KVM_CHECK_EXTENSION, r->cap) > 0)
			continue;
		snprintf(missing + used, sizeof(missing) - used, "%s%s", used ? ", " : "", r->what);
		remedy = r->remedy;
	}
	if (!remedy)
		return 0;
	return error_set(err, -ENOTSUP, KVM_DEVICE, remedy, "this host's KVM lacks %s", missing);
}

int kvm_open(struct kvm *k, const char *device, struct error *err)
{
	int size, r;

	*k = (struct kvm){ .fd = -1, .vm_fd = -1 };
	device = device ? device : KVM_DEVICE;
	k->fd = fd_open(device, O_RDWR | O_CLOEXEC, 0);
	if (k->fd < 0)
		return open_error(device, err);
	r = check_version(k->fd, err);
	if (r == 0)
		r = check_capabilities(k->fd, err);
	if (r < 0)
		goto fail;
	size = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0) {
		r = error_errno(err, KVM_DEVICE, NULL, "KVM_GET_VCPU_MMAP_SIZE failed");
		goto fail;
	}
	k->run_size = (size_t)size;
	return 0;

fail:
	kvm_close(k);
	return r;
}

void kvm_close(struct kvm *k)
{
	k->vm_fd = fd_close(k->vm_fd);
	k->fd = fd_close(k->fd);
}

int kvm_create_vm(struct kvm *k, struct error *err)
{
	int fd;

	/* KVM gives up with EINTR when a signal is pending. */
	do
		fd = ioctl(k->fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return error_errno(err, KVM_DEVICE, "is the host out of memory?",
				   "KVM_CREATE_VM failed");
	k->vm_fd = fd;
	return 0;
}

int kvm_set_memory(const struct kvm *k, const struct gmem *mem, struct error *err)
{
	unsigned count;
	const struct gmem_region *region = gmem_regions(mem, &count);

	for (unsigned i = 0; i < count; i++) {
		const struct memslot slot = {
			.index = i,
			.base = region[i].base,
			.len = region[i].len,
			.host = region[i].host,
		};

		if (kvm_set_memslot(k, &slot) < 0)
			return error_errno(err, "mem_size_mib", "give less memory",
					   "KVM refused %zu bytes of guest memory", region[i].len);
	}
	return 0;
}

int kvm_set_memslot(const struct kvm *k, const struct memslot *slot)
{
	struct kvm_userspace_memory_region arg = {
		.slot = slot->index,
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->base.v,
		.memory_size = slot->len,
		.userspace_addr = (uintptr_t)slot->host,
	};

	return ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &arg) < 0 ? -errno : 0;
}

unsigned kvm_max_memslots(const struct kvm *k)
{
	int n = ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);

	return n > 0 ? (unsigned)n : GUARANTEED_MEMSLOTS;
}

int kvm_ioeventfd(const struct kvm *k, uint64_t address, uint32_t len, uint64_t match, int fd,
		  struct error *err)
{
	struct kvm_ioeventfd arg = {
		.datamatch = match,
		.addr = address,
		.len = len,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	if (ioctl(k->vm_fd, KVM_IOEVENTFD, &arg) < 0)
		return error_errno(err, NULL, NULL, "KVM_IOEVENTFD failed");
	return 0;
}

/* With no length, KVM looks at the address alone, and on Intel's processors before it
 * decodes the instruction. */
static int set_notify(const struct kvm *k, uint64_t address, int fd, uint32_t flags)
{
	struct kvm_ioeventfd arg = { .addr = address, .fd = fd, .flags = flags };

	return ioctl(k->vm_fd, KVM_IOEVENTFD, &arg);
}

int kvm_notify_bind(const struct kvm *k, uint64_t address, int fd, struct error *err)
{
	if (set_notify(k, address, fd, 0) < 0)
		return error_errno(err, NULL, NULL, "KVM_IOEVENTFD failed");
	return 0;
}

/* It may never have been bound, or KVM may have let go already. */
void kvm_notify_unbind(const struct kvm *k, uint64_t address, int fd)
{
	(void)set_notify(k, address, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

int kvm_irqfd(const struct kvm *k, uint32_t gsi, int fd, struct error *err)
{
	struct kvm_irqfd arg = { .fd = (uint32_t)fd, .gsi = gsi };

	if (ioctl(k->vm_fd, KVM_IRQFD, &arg) < 0)
		return error_errno(err, NULL, NULL, "KVM_IRQFD for line %u failed", gsi);
	return 0;
}

void kvm_irqfd_release(const struct kvm *k, uint32_t gsi, int fd)
{
	struct kvm_irqfd arg = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	};

	(void)ioctl(k->vm_fd, KVM_IRQFD, &arg); /* fails for what was never bound */
}

int kvm_set_routes(const struct kvm *k, const struct kvm_msi_route *routes, unsigned count)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[KVM_MAX_ROUTES];
	} table;

	if (count > KVM_MAX_ROUTES)
		return -E2BIG;
	memset(&table, 0, sizeof(table.head) + count * sizeof(table.entries[0]));
	table.head.nr = count;
	for (unsigned i = 0; i < count; i++) {
		struct kvm_irq_routing_entry *e = &table.entries[i];

		e->gsi = routes[i].gsi;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)routes[i].address;
		e->u.msi.address_hi = (uint32_t)(routes[i].address >> 32);
		e->u.msi.data = routes[i].data;
	}
	return ioctl(k->vm_fd, KVM_SET_GSI_ROUTING, &table) < 0 ? -errno : 0;
}

int kvm_create_vcpu(const struct kvm *k, unsigned index, struct error *err)
{
	int fd = ioctl(k->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);

	if (fd < 0)
		return error_errno(err, "vcpu_count", "give fewer vCPUs",
				   "KVM refused to create vCPU %u", index);
	return fd;
}
