/* attempts.c - what an attacker who owns a thread of a jailed VMM would try.
 *
 * Each attempt ends with the call that would have done it, and tells how that went. The
 * filter may end the process at any call before: that counts as refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/kvm.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/escape/attempts.h"
#include "tests/escape/ring.h"

enum { FILE_LIMIT = 8 << 20, FORKS = 200 };

/* 0 or -errno of a call that returns -1. */
static int outcome(long result)
{
	return result < 0 ? -errno : 0;
}

static int opens(const char *path, int flags)
{
	return outcome(open(path, flags | O_CLOEXEC, 0600));
}

/* --- files of the host --- */

static int read_shadow(void)
{
	return opens("/etc/shadow", O_RDONLY);
}
static int climb_out(void)
{
	return opens("/../../../../../etc/passwd", O_RDONLY);
}
static int read_proc(void)
{
	return opens("/proc/self/maps", O_RDONLY);
}
static int read_init(void)
{
	return opens("/proc/1/root/etc/passwd", O_RDONLY);
}
static int write_sysrq(void)
{
	return opens("/proc/sysrq-trigger", O_WRONLY);
}
static int read_sys(void)
{
	return opens("/sys/kernel/notes", O_RDONLY);
}
static int write_cgroup(void)
{
	return opens("/sys/fs/cgroup/cgroup.procs", O_WRONLY);
}
static int open_memory(void)
{
	return opens("/dev/mem", O_RDWR);
}
static int open_disk(void)
{
	return opens("/dev/sda", O_RDONLY);
}
static int open_terminal(void)
{
	return opens("/dev/tty", O_RDWR);
}
static int open_other_jail(void)
{
	return opens("/../../other/root/run/api.sock", O_RDONLY);
}
static int open_dev_new(void)
{
	return opens("/dev/new", O_WRONLY | O_CREAT);
}
static int write_binary(void)
{
	return opens("/wisp-escape", O_WRONLY);
}
static int remove_binary(void)
{
	return outcome(unlink("/wisp-escape"));
}
static int link_binary(void)
{
	return outcome(link("/wisp-escape", "/copy"));
}
static int leave_by_link(void)
{
	return symlink("/etc", "/way-out") < 0 ? -errno : opens("/way-out/passwd", O_RDONLY);
}
static int open_by_handle(void)
{
	struct {
		struct file_handle head;
		char bytes[8];
	} h = { .head = { .handle_bytes = 8, .handle_type = 1 }, .bytes = { 2 } };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : outcome(open_by_handle_at(fd, &h.head, O_RDONLY));
}
static int inherited(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (read(fd, NULL, 0) == 0 || errno != EBADF)
			return 0;
	return -EBADF;
}
static int make_device(void)
{
	return outcome(mknod("/disk", S_IFBLK | 0600, makedev(8, 0)));
}
static int fill_disk(void)
{
	static const char zeros[65536];
	int fd = open("/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	long written = 0;

	signal(SIGXFSZ, SIG_IGN);
	while (fd >= 0 && written <= FILE_LIMIT) {
		ssize_t n = write(fd, zeros, sizeof(zeros));

		if (n < 0)
			return -errno;
		written += n;
	}
	return fd < 0 ? -errno : 0;
}
static int grow_limit(void)
{
	struct rlimit more = { RLIM_INFINITY, RLIM_INFINITY };

	return outcome(setrlimit(RLIMIT_FSIZE, &more));
}

/* --- code --- */

static int run_written(void)
{
	int fd = open("/program", O_RDWR | O_CREAT | O_CLOEXEC, 0700);

	if (fd < 0 || fchmod(fd, 0700) < 0)
		return -errno;
	close(fd);
	return outcome(execve("/program", (char *[]){ (char *)"/program", NULL }, NULL));
}
static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED
		       ? -errno
		       : 0;
}
static int map_written_code(void)
{
	int fd = open("/code", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	return mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -errno : 0;
}
/* A copy of this very program, which says so when it runs (main.c). */
static int run_memory(void)
{
	static char code[8 << 20];
	char *const argv[] = { (char *)"copy", (char *)"--worked", NULL };
	int from = open("/wisp-escape", O_RDONLY | O_CLOEXEC);
	int to = (int)syscall(SYS_memfd_create, "program", MFD_CLOEXEC);
	ssize_t n = from < 0 ? -1 : read(from, code, sizeof(code));

	if (n < 0 || to < 0 || write(to, code, (size_t)n) != n)
		return -errno;
	return outcome(syscall(SYS_execveat, to, "", argv, NULL, AT_EMPTY_PATH));
}

/* --- processes --- */

static int make_process(void)
{
	return outcome(syscall(SYS_fork));
}
static int kill_jailer(void)
{
	return outcome(kill(getpid() == 1 ? 2 : 1, SIGKILL));
}
static int kill_all(void)
{
	return outcome(kill(-1, SIGKILL));
}
static int kill_far(void)
{
	return outcome(kill(getppid() ? getppid() : 4000000, SIGKILL));
}
static int trace_other(void)
{
	return outcome(ptrace(PTRACE_SEIZE, 2, NULL, NULL));
}
static int read_other(void)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)0x400000, 1 };

	return outcome(process_vm_readv(2, &here, 1, &there, 1, 0));
}
static int grab_descriptor(void)
{
	return outcome(syscall(SYS_pidfd_open, 2, 0));
}
static int fork_bomb(void)
{
	for (int i = 0; i < FORKS; i++) {
		long pid = syscall(SYS_fork);

		if (pid < 0)
			return -errno;
		if (pid == 0)
			for (;;)
				pause();
	}
	return 0;
}
static int signal_by_handle(void)
{
	return outcome(syscall(SYS_pidfd_send_signal, 0, SIGKILL, NULL, 0));
}
static int be_read_to_execute(void)
{
	return outcome(syscall(SYS_personality, 0x0400000)); /* READ_IMPLIES_EXEC */
}
static int first_at_disk(void)
{
	return outcome(syscall(SYS_ioprio_set, 1, 0, 1 << 13)); /* real-time */
}
static int more_processes(void)
{
	struct rlimit more = { RLIM_INFINITY, RLIM_INFINITY };

	return setrlimit(RLIMIT_NPROC, &more) < 0 ? -errno : fork_bomb();
}
/* Beyond memory.max: the kernel ends the group's process. */
static int take_memory(void)
{
	enum { BYTES = 256 << 20, PAGE = 4096 };
	char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < BYTES; i += PAGE)
		((volatile char *)p)[i] = 1;
	return 0;
}
static int shared_memory(void)
{
	return outcome(shmget(SHARED_KEY, 1, 0));
}
static int go_first(void)
{
	return outcome(setpriority(PRIO_PROCESS, 0, -20));
}
static int go_realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return outcome(sched_setscheduler(0, SCHED_FIFO, &p));
}
static int lock_memory(void)
{
	void *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : outcome(mlock(p, 64 << 20));
}

/* --- networks --- */

static int makes_socket(int family, int type, int protocol)
{
	return outcome(socket(family, type, protocol));
}
static int tcp_socket(void)
{
	struct sockaddr address = { .sa_family = AF_INET, .sa_data = { 0, 80, 127, 0, 0, 1 } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : outcome(connect(fd, &address, sizeof(address)));
}
static int raw_socket(void)
{
	return makes_socket(AF_INET, SOCK_RAW, 1);
}
static int packet_socket(void)
{
	return makes_socket(AF_PACKET, SOCK_RAW, 0);
}
static int netlink_socket(void)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} up = { { sizeof(up), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		 { .ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP } };
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &up, sizeof(up), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer))
		return -errno;
	return answer.error.error;
}
static int host_socket(void)
{
	struct sockaddr_un address = { AF_UNIX, "\0wisp-escape-host" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	return outcome(connect(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + 17));
}
static int make_tap(void)
{
	struct ifreq request = { .ifr_flags = IFF_TAP };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : outcome(ioctl(fd, TUNSETIFF, &request));
}

/* --- the system --- */

static int mount_proc(void)
{
	return outcome(mount("proc", "/run", "proc", 0, NULL));
}
static int mount_again(void)
{
	return outcome(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int unmount_dev(void)
{
	return outcome(umount2("/dev", MNT_DETACH));
}
static int open_tree_root(void)
{
	return outcome(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
}
static int new_file_system(void)
{
	return outcome(syscall(SYS_fsopen, "tmpfs", 0));
}
static int swap_roots(void)
{
	return outcome(syscall(SYS_pivot_root, "/", "/run"));
}
static int new_mounts(void)
{
	return outcome(unshare(CLONE_NEWNS));
}
static int new_user(void)
{
	return outcome(unshare(CLONE_NEWUSER));
}
static int join_net(void)
{
	return outcome(setns(0, CLONE_NEWNET));
}
static int change_root(void)
{
	return outcome(chroot("/run"));
}
static int become_root(void)
{
	return outcome(setuid(0));
}
static int become_group(void)
{
	return outcome(setgid(0));
}
static int take_capability(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct all[2] = { { ~0u, ~0u, ~0u }, { ~0u, ~0u, ~0u } };

	return outcome(syscall(SYS_capset, &head, all));
}
static int regain_privileges(void)
{
	return outcome(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}
static int unlock_bits(void)
{
	return outcome(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}
static int load_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return outcome(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}
static int watch_kernel(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr) };

	return outcome(syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0));
}
static int handle_faults(void)
{
	return outcome(syscall(SYS_userfaultfd, O_CLOEXEC));
}
static int make_ring(void)
{
	struct io_uring_params params = { 0 };

	return outcome(syscall(SYS_io_uring_setup, 8, &params));
}
static int use_keys(void)
{
	return outcome(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
}
static int make_machine(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : outcome(ioctl(fd, KVM_CREATE_VM, 0));
}
static int load_module(void)
{
	return outcome(syscall(SYS_init_module, "", 0, ""));
}
static int load_module_file(void)
{
	return outcome(syscall(SYS_finit_module, STDIN_FILENO, "", 0));
}
static int load_kernel(void)
{
	return outcome(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}
static int restart_host(void)
{
	return outcome(reboot(RB_DISABLE_CAD));
}
static int set_clock(void)
{
	struct timeval now = { 1, 0 };

	return outcome(settimeofday(&now, NULL));
}
static int turn_clock(void)
{
	struct timex t = { .modes = ADJ_FREQUENCY };

	return outcome(adjtimex(&t));
}
static int rename_host(void)
{
	return outcome(sethostname("owned", 5));
}
static int read_log(void)
{
	return outcome(syscall(SYS_syslog, 3, NULL, 0));
}
static int use_ports(void)
{
	return outcome(syscall(SYS_iopl, 3));
}
static int swap_here(void)
{
	return outcome(syscall(SYS_swapon, "/config.json", 0));
}
static int type_for_user(void)
{
	return outcome(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}
static int hide_violations(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	return outcome(sigaction(SIGSYS, &ignore, NULL));
}

#define JAIL_ALONE "the filters stop it, not the jail"
#define BY_JAILED  (BY_UNFILTERED | BY_HARDENED)

/* clang-format off */
const struct attempt attempts[] = {
	{ "read /etc/shadow", read_shadow, 0, NULL, NULL },
	{ "climb out of the root by ..", climb_out, 0, NULL, NULL },
	{ "read /proc", read_proc, 0, NULL, NULL },
	{ "read the host through /proc/1/root", read_init, 0, NULL, NULL },
	{ "write /proc/sysrq-trigger", write_sysrq, 0, NULL, NULL },
	{ "read /sys", read_sys, 0, NULL, NULL },
	{ "leave the control group", write_cgroup, 0, NULL, NULL },
	{ "open /dev/mem", open_memory, 0, NULL, NULL },
	{ "open the host's disk", open_disk, 0, NULL, NULL },
	{ "open the terminal", open_terminal, 0, NULL, NULL },
	{ "open another jail's socket", open_other_jail, 0, NULL, NULL },
	{ "make a file in /dev", open_dev_new, 0, NULL, NULL },
	{ "write the VMM's binary", write_binary, 0, NULL, NULL },
	{ "remove the VMM's binary", remove_binary, 0, NULL, NULL },
	{ "hard-link the VMM's binary", link_binary, 0, NULL, NULL },
	{ "follow a link out of the jail", leave_by_link, 0, NULL, NULL },
	{ "open by file handle", open_by_handle, 0, NULL, NULL },
	{ "use an inherited descriptor", inherited, 0, NULL, NULL },
	{ "make a device node", make_device, 0, NULL, NULL },
	{ "write more than the file limit", fill_disk, 0, NULL, NULL },
	{ "raise the file limit", grow_limit, 0, NULL, NULL },
	{ "execute a written file", run_written, 0, NULL, NULL },
	{ "map memory to write and execute", map_code, BY_JAILED, JAIL_ALONE, NULL },
	{ "map a written file to execute", map_written_code, 0, NULL, NULL },
	{ "execute a memory file", run_memory, BY_JAILED, JAIL_ALONE, NULL },
	{ "make a process", make_process, BY_JAILED, JAIL_ALONE, NULL },
	{ "kill PID 1 or 2", kill_jailer, 0, NULL, NULL },
	{ "kill everything", kill_all, 0, NULL, NULL },
	{ "kill a process outside", kill_far, 0, NULL, NULL },
	{ "trace another process", trace_other, 0, NULL, NULL },
	{ "read another process's memory", read_other, 0, NULL, NULL },
	{ "get hold of another process", grab_descriptor, 0, NULL, NULL },
	{ "fork bomb", fork_bomb, 0, NULL, NULL },
	{ "raise the limit of processes", more_processes, 0, NULL, NULL },
	{ "take more memory than its group may", take_memory, 0, NULL, NULL },
	{ "signal by a descriptor", signal_by_handle, 0, NULL, NULL },
	{ "make all memory executable", be_read_to_execute, BY_JAILED, JAIL_ALONE, NULL },
	{ "shared memory of the host", shared_memory, 0, NULL, NULL },
	{ "go first at the disk", first_at_disk, 0, NULL, NULL },
	{ "raise its priority", go_first, 0, NULL, NULL },
	{ "become a real-time process", go_realtime, 0, NULL, NULL },
	{ "lock 64 MiB of memory", lock_memory, 0, NULL, NULL },
	{ "reach the host's loopback by TCP", tcp_socket, 0, NULL, NULL },
	{ "raw socket", raw_socket, 0, NULL, NULL },
	{ "packet socket", packet_socket, 0, NULL, NULL },
	{ "set an interface up", netlink_socket, 0, NULL, NULL },
	{ "connect to an abstract socket of the host", host_socket, 0, NULL, NULL },
	{ "make a tap", make_tap, 0, NULL, NULL },
	{ "mount /proc", mount_proc, 0, NULL, NULL },
	{ "lift the root's nosuid, nodev, noexec", mount_again, 0, NULL, NULL },
	{ "unmount /dev", unmount_dev, 0, NULL, NULL },
	{ "copy the tree of mounts", open_tree_root, 0, NULL, NULL },
	{ "new file system", new_file_system, 0, NULL, NULL },
	{ "swap the roots", swap_roots, 0, NULL, NULL },
	{ "new mount namespace", new_mounts, 0, NULL, NULL },
	{ "new user namespace", new_user, BY_UNFILTERED, "`--user-ns` and the filters stop it", NULL },
	{ "join a namespace", join_net, 0, NULL, NULL },
	{ "chroot again", change_root, 0, NULL, NULL },
	{ "become root", become_root, 0, NULL, NULL },
	{ "join root's group", become_group, 0, NULL, NULL },
	{ "take every capability", take_capability, 0, NULL, NULL },
	{ "lift no_new_privs", regain_privileges, 0, NULL, NULL },
	{ "unlock the secure bits", unlock_bits, 0, NULL, NULL },
	{ "bpf", load_bpf, BY_JAILED, JAIL_ALONE ", where the host lets users", NULL },
	{ "perf_event_open on all processes", watch_kernel, 0, NULL, NULL },
	{ "userfaultfd", handle_faults, BY_JAILED, JAIL_ALONE ", where the host lets users", NULL },
	{ "io_uring", make_ring, BY_JAILED, "drives have theirs before the filters", NULL },
	{ "open a file by a drive's ring", ring_opens, 0, NULL, ring_make },
	{ "read another file by a drive's ring", ring_reads, 0, NULL, ring_make },
	{ "keyrings", use_keys, BY_JAILED, JAIL_ALONE, NULL },
	{ "another virtual machine", make_machine, BY_UNFILTERED, "the VMM makes one before the filters; Landlock stops it", NULL },
	{ "load a kernel module", load_module, 0, NULL, NULL },
	{ "load a kernel module from a file", load_module_file, 0, NULL, NULL },
	{ "load another kernel", load_kernel, 0, NULL, NULL },
	{ "reboot", restart_host, 0, NULL, NULL },
	{ "set the clock", set_clock, 0, NULL, NULL },
	{ "turn the clock's frequency", turn_clock, 0, NULL, NULL },
	{ "rename the host", rename_host, 0, NULL, NULL },
	{ "read the kernel's log", read_log, 0, NULL, NULL },
	{ "I/O ports", use_ports, 0, NULL, NULL },
	{ "swap to a file", swap_here, 0, NULL, NULL },
	{ "type into the terminal", type_for_user, 0, NULL, NULL },
	{ "ignore violations of the filter", hide_violations, BY_JAILED, JAIL_ALONE, NULL },
};
/* clang-format on */

const size_t attempts_count = sizeof(attempts) / sizeof(attempts[0]);
