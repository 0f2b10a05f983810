/* runtime_qemu.c - a machine with a real PCI device, or one that is not micro: QEMU with KVM.
 *
 * The machine is q35 with nothing on it but what is asked for: disks of virtio's, SATA or NVMe;
 * a kernel that QEMU starts, or firmware and what the first disk has (board.h). QEMU lives in the same cell as
 * a microVM's VMM does (cell.h): a user, namespaces, a root and a control group of its own,
 * no capability; there it also has the host's /usr, read-only, and its own seccomp filter.
 *
 * A device comes by VFIO. QEMU 7.2 opens /dev/vfio/GROUP by path, so the cell has that node,
 * and no other group's; the host's own node stays root's. The group's number it would read
 * from /sys, which the cell does not have: a folder "devices" in it, made anew by root before
 * each start, says so instead. All of the guest's memory is locked while a device may write
 * to it, within a limit that is computed for that and no more.
 *
 * A guest's agent has virtio ports rather than a vsock: those of vhost are numbered for the
 * host as a whole, open to every process of it, and cannot be reached without waiting. A port
 * is a socket in the cell like a microVM's, whose greeting the agent itself speaks; it carries
 * one connection at a time, so there are several (lanes).
 *
 * It is started with its processors at rest; boot() lets them go, so that whoever comes
 * later can see whether that was done. Its monitor is a socket in its cell, through which
 * nothing is believed but that it answers (qmp.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest-images/agent/caller.h"
#include "jailer/folder.h"
#include "supervisor/device/preflight.h"
#include "supervisor/life/cell.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/qmp.h"
#include "supervisor/life/runtimes.h"
#include "supervisor/network/passt.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	CALL_TIMEOUT_MS = 10000,
	LANES = 8, /* ports of the agent's; at most AGENT_PORTS_MAX */
	SOCKET_POLL_MS = 5,
	TEXT_BYTES = 256,
};

#define SOCKET	"qmp.sock"
#define EVENTS	"events.sock"
#define CONSOLE "console.sock"
#define AGENT	"agent-%u.sock"
#define DEVICES "devices"
#define GROUPS	"groups"

/* --- its devices, as it finds them --- */

static int link_in(int folder, const char *name, const char *target)
{
	return symlinkat(target, folder, name) < 0 && errno != EEXIST ? -errno : 0;
}

/* DEVICES/ADDRESS/iommu_group -> ../../GROUPS/NUMBER, as in sysfs. */
static int write_device(int root, const struct launch_device *d, struct error *err)
{
	char target[TEXT_BYTES];
	int devices = folder_make(root, DEVICES, 0755, 0, err), device, r;

	if (devices < 0)
		return devices;
	device = folder_make(devices, d->address, 0755, 0, err);
	fd_close(devices);
	if (device < 0)
		return device;
	snprintf(target, sizeof(target), "../../" GROUPS "/%d", d->group);
	r = link_in(device, "iommu_group", target);
	fd_close(device);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot show QEMU its device") : 0;
}

static int clear(const struct launch *l, struct error *err)
{
	int r = cell_clear(l, err), root;

	if (r < 0)
		return r;
	root = cell_open_folder(l, err);
	if (root < 0)
		return root;
	r = folder_remove(root, DEVICES);
	if (r < 0)
		error_set(err, r, NULL, NULL, "Cannot clear the cell of %s", l->id);
	for (unsigned i = 0; i < l->ndevices && r == 0; i++)
		r = write_device(root, &l->devices[i], err);
	fd_close(root);
	return r;
}

/* --- the command --- */

#define ADD(command, err, ...) \
	runtime_command_add(command, (const char *const[]){ __VA_ARGS__, NULL }, err)

/* Two of one group have one node. */
static bool has_group_before(const struct launch *l, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (l->devices[i].group == l->devices[at].group)
			return true;
	return false;
}

static int add_jail(const struct launch *l, struct runtime_command *c, struct error *err)
{
	char text[TEXT_BYTES];
	int r = ADD(c, err, "--system-program", "--device", "kvm", "--device", "net/tun",
		    "--device", "null", "--device", "urandom");

	if (r < 0 || !l->ndevices)
		return r;
	snprintf(text, sizeof(text), "memlock=%lld",
		 (long long)preflight_memlock_mib(l->mem_mib) << 20);
	r = ADD(c, err, "--resource-limit", text, "--device", "vfio/vfio");
	for (unsigned i = 0; i < l->ndevices && r == 0; i++) {
		if (has_group_before(l, i))
			continue;
		snprintf(text, sizeof(text), "vfio/%d", l->devices[i].group);
		r = ADD(c, err, "--device", text);
	}
	return r;
}

/* On the node that it has (its control group sees to that), or near the first device whose
 * place is known, as far as there is room. Huge pages are taken before the guest runs: one that
 * is missing later would end it. */
static int add_memory(const struct launch *l, struct runtime_command *c, struct error *err)
{
	char text[TEXT_BYTES], node[64] = "";

	for (unsigned i = 0; i < l->ndevices && !node[0]; i++)
		if (l->devices[i].node >= 0 && !l->place.mems[0])
			snprintf(node, sizeof(node), ",host-nodes=%d,policy=preferred",
				 l->devices[i].node);
	snprintf(text, sizeof(text), "%s,id=memory,size=%lldM%s",
		 l->place.huge_pages ? "memory-backend-memfd,hugetlb=on,hugetlbsize=2M,prealloc=on"
				     : "memory-backend-ram",
		 (long long)l->mem_mib, node);
	return ADD(c, err, "-object", text);
}

static int add_machine(const struct launch *l, struct runtime_command *c, struct error *err)
{
	static const char monitor[] = "unix:/run/" SOCKET ",server=on,wait=off";
	static const char events[] = "unix:/run/" EVENTS ",server=on,wait=off";
	static const char console[] = "file,id=console,path=/" CELL_CONSOLE ",append=on";
	static const char machine[] =
		"q35,accel=kvm,usb=off,vmport=off,mem-merge=off,dump-guest-core=off,"
		"memory-backend=memory";
	static const char sandbox[] =
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
	char vcpus[24], memory[24];

	snprintf(vcpus, sizeof(vcpus), "%lld", (long long)l->vcpus);
	snprintf(memory, sizeof(memory), "%lldM", (long long)l->mem_mib);
	return ADD(c, err, "--", "-name", "guest,debug-threads=on", "-nodefaults",
		   "-no-user-config", "-no-reboot", "-S", "-display", "none", "-machine", machine,
		   "-cpu", "host", "-smp", vcpus, "-m", memory, "-sandbox", sandbox, "-L",
		   "/usr/share/qemu", "-L", "/usr/share/seabios", "-qmp", monitor, "-qmp", events,
		   "-device", "pvpanic", "-action", "panic=pause", "-chardev", console, "-serial",
		   "chardev:console");
}

/* SeaBIOS is what a q35 has by itself. */
static int add_firmware(const struct launch *l, struct runtime_command *c, struct error *err)
{
	static const char code[] = "driver=raw,node-name=firmware,read-only=on,file.driver=file,"
				   "file.filename=" BOARD_UEFI_CODE;
	static const char variables[] = "driver=raw,node-name=variables,file.driver=file,"
					"file.filename=/" LAUNCH_VARIABLES;

	if (l->board.firmware != BOARD_UEFI)
		return 0;
	return ADD(c, err, "-blockdev", code, "-blockdev", variables, "-machine",
		   "pflash0=firmware,pflash1=variables");
}

/* What disks hang on, and what Linux calls the first. */
static const struct {
	const char *device, *first;
	bool writable; /* it has no disk that is read-only */
} buses[] = {
	[BOARD_VIRTIO] = { "virtio-blk-pci", "/dev/vda", false },
	[BOARD_SATA] = { "ide-hd", "/dev/sda", true },
	[BOARD_NVME] = { "nvme", "/dev/nvme0n1", true },
};

/* The disk that is the root is the first. What is said here stands before what the image
 * says, which may be another root, and ends with a command. */
static int add_kernel(const struct launch *l, struct runtime_command *c, struct error *err)
{
	char root[48] = "", ports[32] = "";
	char cmdline[sizeof(root) + sizeof(ports) + sizeof(l->cmdline)];
	int r;

	if (!l->kernel[0])
		return 0;
	for (unsigned i = 0; i < l->ndrives; i++)
		if (l->drives[i].root)
			snprintf(root, sizeof(root), "root=%s %s ", buses[l->board.disks].first,
				 l->drives[i].read_only ? "ro" : "rw");
	if (l->agent)
		snprintf(ports, sizeof(ports), "wisp.ports=%d ", LANES);
	snprintf(cmdline, sizeof(cmdline), "%s%s%s", root, ports, l->cmdline);
	r = ADD(c, err, "-kernel", "/kernel", "-append", cmdline);
	return r == 0 && l->initrd[0] ? ADD(c, err, "-initrd", "/initrd") : r;
}

static int add_socket(const char *id, const char *name, struct runtime_command *c,
		      struct error *err)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text), "socket,id=%s,path=/run/%s,server=on,wait=off", id, name);
	return ADD(c, err, "-chardev", text);
}

/* Port 0 can only be the console's. */
static int add_ports(const struct launch *l, struct runtime_command *c, struct error *err)
{
	bool console = strstr(l->cmdline, "console=hvc0") != NULL;
	int r = l->agent || console ? ADD(c, err, "-device", "virtio-serial-pci") : 0;

	if (r == 0 && console)
		r = add_socket("terminal", CONSOLE, c, err);
	if (r == 0 && console)
		r = ADD(c, err, "-device", "virtconsole,chardev=terminal");
	for (unsigned i = 0; l->agent && i < LANES && r == 0; i++) {
		char id[32], socket[32], text[TEXT_BYTES];

		snprintf(id, sizeof(id), "agent-%u", i);
		snprintf(socket, sizeof(socket), AGENT, i);
		snprintf(text, sizeof(text), "virtserialport,chardev=agent-%u,name=wisp.agent.%u",
			 i, i);
		r = add_socket(id, socket, c, err);
		if (r == 0)
			r = ADD(c, err, "-device", text);
	}
	return r;
}

static int check_drive(const struct launch *l, const struct launch_drive *d, unsigned unit,
		       struct error *err)
{
	const char *name = board_disks_names[l->board.disks];

	if (d->read_only && buses[l->board.disks].writable)
		return error_set(err, -ENOTSUP, "disk_bus", "use virtio, or a disk to write to",
				 "A disk of %s cannot be read-only", name);
	if (l->board.disks == BOARD_SATA && unit >= BOARD_SATA_PORTS)
		return error_set(err, -E2BIG, "disk_bus", "use virtio, or fewer volumes",
				 "It has %d ports of %s", BOARD_SATA_PORTS, name);
	return 0;
}

/* unit: how many there are before. Firmware boots from the root, and from nothing else. */
static int add_drive(const struct launch *l, const struct launch_drive *d, unsigned unit,
		     struct runtime_command *c, struct error *err)
{
	char back[TEXT_BYTES], front[TEXT_BYTES], bus[32] = "";
	int r = check_drive(l, d, unit, err);

	if (r < 0)
		return r;
	if (l->board.disks == BOARD_SATA)
		snprintf(bus, sizeof(bus), ",bus=ide.%u", unit);
	else if (l->board.disks == BOARD_NVME)
		snprintf(bus, sizeof(bus), ",serial=wisp-%u", unit);

	snprintf(back, sizeof(back),
		 "driver=raw,node-name=drive-%s,read-only=%s,file.driver=file,"
		 "file.filename=/%s",
		 d->id, d->read_only ? "on" : "off", d->file);
	snprintf(front, sizeof(front), "%s,drive=drive-%s%s%s", buses[l->board.disks].device, d->id,
		 bus, d->root ? ",bootindex=0" : "");
	return ADD(c, err, "-blockdev", back, "-device", front);
}

static int add_passt(const struct launch_net *n, struct runtime_command *c, struct error *err)
{
	char back[TEXT_BYTES], front[TEXT_BYTES], socket[LAUNCH_FILE_BYTES];

	passt_socket(n, socket);
	snprintf(back, sizeof(back), "stream,id=net-%s,server=off,addr.type=unix,addr.path=%s",
		 n->id, socket);
	snprintf(front, sizeof(front), "virtio-net-pci,netdev=net-%s,mac=%s,romfile=", n->id,
		 n->lease.mac);
	return ADD(c, err, "-netdev", back, "-device", front);
}

/* The root is the first. */
static int add_drives(const struct launch *l, struct runtime_command *c, struct error *err)
{
	unsigned units = 0;
	int r = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < l->ndrives && r == 0; i++)
			if (l->drives[i].root == (pass == 0))
				r = add_drive(l, &l->drives[i], units++, c, err);
	return r;
}

/* A tap for more than one vCPU has several queues (network/wire.h). */
static int add_net(const struct launch *l, const struct launch_net *n, struct runtime_command *c,
		   struct error *err)
{
	bool several = l->vcpus > 1;
	char back[TEXT_BYTES], front[TEXT_BYTES], mtu[32] = "";

	if (n->lease.network.mode == NETWORK_PASST)
		return add_passt(n, c, err);
	snprintf(back, sizeof(back), "tap,id=net-%s,ifname=%s,script=no,downscript=no%s", n->id,
		 n->lease.link, several ? ",queues=2" : "");
	if (n->mtu)
		snprintf(mtu, sizeof(mtu), ",host_mtu=%u", n->mtu);
	snprintf(front, sizeof(front), "virtio-net-pci,netdev=net-%s,mac=%s,romfile=%s%s%s", n->id,
		 n->lease.mac, several ? ",mq=on,vectors=6" : "",
		 n->lease.network.netdev ? ",csum=off" : "", mtu);
	return ADD(c, err, "-netdev", back, "-device", front);
}

static int add_device(const struct launch_device *d, struct runtime_command *c, struct error *err)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text), "vfio-pci,sysfsdev=/" DEVICES "/%s,rombar=0", d->address);
	return ADD(c, err, "-device", text);
}

static int command(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	int r = cell_command(l, ret, err);

	if (r == 0)
		r = add_jail(l, ret, err);
	if (r == 0)
		r = add_machine(l, ret, err);
	if (r == 0)
		r = add_memory(l, ret, err);
	if (r == 0)
		r = add_firmware(l, ret, err);
	if (r == 0)
		r = add_kernel(l, ret, err);
	if (r == 0)
		r = add_ports(l, ret, err);
	if (r == 0)
		r = add_drives(l, ret, err);
	for (unsigned i = 0; i < l->nnets && r == 0; i++)
		r = add_net(l, &l->nets[i], ret, err);
	for (unsigned i = 0; i < l->ndevices && r == 0; i++)
		r = add_device(&l->devices[i], ret, err);
	return r;
}

/* --- its monitor --- */

static int connect_to(int node, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* One that takes no connection holds nobody up. */
	const struct timeval limit = { .tv_sec = CALL_TIMEOUT_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", node);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error_errno(err, NULL, NULL, "Cannot reach QEMU");
	fd_close(fd);
	return err->code;
}

static int open_way(const struct launch *l, enum runtime_way way, unsigned lane, struct error *err)
{
	char name[32];

	if (way == RUNTIME_VSOCK)
		snprintf(name, sizeof(name), AGENT, lane);
	else
		snprintf(name, sizeof(name), "%s", way == RUNTIME_EVENTS ? EVENTS : CONSOLE);
	return cell_open_socket(l, name, err);
}

static int open_monitor(const struct launch *l, struct qmp **ret, struct error *err)
{
	int node = cell_open_socket(l, SOCKET, err), fd;

	if (node < 0)
		return node;
	fd = connect_to(node, err);
	fd_close(node);
	return fd < 0 ? fd : qmp_open(fd, CALL_TIMEOUT_MS, ret, err);
}

/* Until it listens, its process ends, or time is up. */
static int await_monitor(const struct launch *l, struct qmp **ret, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + l->config->start_timeout_ms * 1000;
	struct pollfd process = { .fd = l->pidfd, .events = POLLIN };

	for (;;) {
		int r = open_monitor(l, ret, err);

		if (r != -ENOENT && r != -ECONNREFUSED)
			return r;
		if (poll(&process, 1, SOCKET_POLL_MS) > 0)
			return error_set(err, -ECHILD, NULL, "wispctl logs --vmm shows why",
					 "QEMU ended before it was ready");
		if (clock_now_us() > deadline_us)
			return error_set(err, -ETIMEDOUT, NULL, NULL, "QEMU did not get ready");
	}
}

/* "prelaunch" until its processors were let go for the first time. */
static int boot(struct launch *l, struct error *err)
{
	struct qmp *q = NULL;
	json_t *status = NULL;
	const char *text;
	int r = await_monitor(l, &q, err);

	if (r == 0)
		r = qmp_call(q, "query-status", NULL, &status, err);
	text = json_string_value(json_object_get(status, "status"));
	if (r == 0 && !text)
		r = error_set(err, -EPROTO, NULL, NULL, "QEMU does not say how it is");
	else if (r == 0 && strcmp(text, "prelaunch") == 0)
		r = qmp_call(q, "cont", NULL, NULL, err);
	json_decref(status);
	qmp_close(q);
	return r;
}

static int call(const struct launch *l, const char *name, struct error *err)
{
	struct qmp *q = NULL;
	int r = open_monitor(l, &q, err);

	if (r == 0)
		r = qmp_call(q, name, NULL, NULL, err);
	qmp_close(q);
	return r;
}

static int pause_machine(const struct launch *l, struct error *err)
{
	return call(l, "stop", err);
}

static int resume_machine(const struct launch *l, struct error *err)
{
	return call(l, "cont", err);
}

/* Its agent can do it in any image; the button wants a guest that hears it. */
static int ask_agent_to_stop(const struct launch *l, struct error *err)
{
	static const char *const fields[] = { "mode=poweroff", NULL };
	int fd = guest_connect(l, RUNTIME_VSOCK, AGENT_PORT, err), r;

	if (fd < 0)
		return fd;
	r = caller_greeting(fd, CALL_TIMEOUT_MS, err);
	if (r == 0)
		r = caller_ask(fd, "shutdown", fields, CALL_TIMEOUT_MS, NULL, err);
	fd_close(fd);
	return r;
}

static int power_off(const struct launch *l, struct error *err)
{
	if (l->agent && ask_agent_to_stop(l, err) == 0)
		return 0;
	return call(l, "system_powerdown", err);
}

const struct runtime runtime_qemu = {
	.name = "qemu",
	.program = offsetof(struct config, qemu),
	.overhead_mib = 512,
	.vcpu_thread = "CPU #/KVM",
	.devices = true,
	.boards = true,
	.tells = true,
	.lanes = LANES,
	.open_way = open_way,
	.survey = cell_survey,
	.prepare = cell_prepare,
	.remove = cell_remove,
	.open_folder = cell_open_folder,
	.open_log = cell_open_log,
	.open_console = cell_open_console,
	.clear = clear,
	.command = command,
	.boot = boot,
	.pause = pause_machine,
	.resume = resume_machine,
	.power_off = power_off,
	.sweep = cell_sweep,
};
