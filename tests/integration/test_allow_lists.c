/* test_allow_lists.c - no entry of an allow-list is there for nothing.
 *
 *   test_allow_lists          with tiny guests, where there is KVM
 *   test_allow_lists linux    with Linux guests, in the test host
 *
 * Tests are run once more, with each wisp noting the system calls of its threads
 * (--seccomp-log). Each entry of each list must be used by a thread that carries the
 * list, with the tiny guests, or stand in a table: with the Linux guests, or the
 * reason why neither run comes there. A row that sends an entry elsewhere though the
 * tiny guests use it, or to the Linux guests, who do not, is an error as well: so neither
 * the lists nor the table can grow stale.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "vmm/seccomp/roles.h"

enum { ROUNDS = 3, LIMIT_S = 600, SKIPPED = 77, NOTES_MAX = 4096, MASKS_MAX = 2 };

/* A program and one of its tests; NULL: all. */
struct recorded {
	const char *program, *test;
};

static const struct recorded tiny[] = {
	{ "test_guests", NULL },   { "test_api", NULL },       { "test_ctl", NULL },
	{ "test_live", NULL },	   { "test_paging", NULL },    { "test_blank", NULL },
	{ "test_metadata", NULL }, { "test_snapshots", NULL }, { "test_metric_lines", NULL },
	{ "test_prefetch", NULL }, { "test_plugged", NULL },
};

static const struct recorded linux_guests[] = {
	{ "test_attach", "test_pty" },
	{ "test_disk", "test_change_file_async" },
	{ "test_net", "test_tap" },
	{ "test_pci_guests", "test_hotplug_pmem" },
	{ "test_pci_guests", "test_hotplug" },
	{ "test_vsock", "test_echo" },
};

/* What a thread did. */
struct note {
	enum thread_role role;
	char call[32];
	struct {
		unsigned index;
		uint32_t mask, value;
	} arg[MASKS_MAX];
	unsigned args;
};

struct notes {
	struct note note[NOTES_MAX];
	unsigned count;
};

struct run {
	bool with_linux;
	struct notes all;
};

/* Where an entry is used, if not by the tiny guests. */
enum where {
	LINUX,	  /* by the guests of the other run, which is looked at, too */
	ELSEWHERE /* by none of both: because says what uses it, and which test */
};

/* Bits, so that a row can name the roles. */
enum {
	MAIN = 1 << THREAD_MAIN,
	PCI = 1 << THREAD_MAIN_PCI,
	BLANK = 1 << THREAD_MAIN_BLANK,
	VCPU = 1 << THREAD_VCPU,
	WORKER = 1 << THREAD_WORKER,
	IO = 1 << THREAD_IO,
};

/* clang-format off */
static const struct rare {
	unsigned roles;
	const char *call, *condition; /* "": any; of rule.h's text */
	enum where where;
	const char *because; /* of ELSEWHERE */
} rare[] = {
	{ VCPU, "ioctl", "argument 1 = KVM_IOEVENTFD", LINUX, NULL },
	{ VCPU, "ioctl", "argument 1 = TUNSETOFFLOAD", LINUX, NULL },
	{ VCPU, "read", "", LINUX, NULL },
	{ VCPU, "epoll_ctl", "", ELSEWHERE, "a device that is reset drops what it watched: unit.virtio_vsock" },
	{ VCPU, "timerfd_settime", "", ELSEWHERE, "a balloon or a throttled device that is reset: unit.virtio_balloon" },
	{ VCPU, "io_uring_enter", "", ELSEWHERE, "a reset while requests are in flight: unit.virtio_blk_life" },
	{ VCPU, "ioctl", "argument 1 = TUNSETQUEUE", ELSEWHERE, "a driver turns queues off: boot.net" },
	{ VCPU, "shutdown", "", ELSEWHERE, "connections of a vsock that is reset: unit.virtio_vsock" },
	{ VCPU, "close", "", ELSEWHERE, "the same, and back ends that are gone: unit.virtio_vhost" },
	{ VCPU, "sendmsg", "", ELSEWHERE, "queues taken back from a back end: unit.virtio_vhost" },
	{ VCPU, "recvmsg", "", ELSEWHERE, "queues taken back from a back end: unit.virtio_vhost" },
	{ VCPU, "poll", "", ELSEWHERE, "queues taken back from a back end: unit.virtio_vhost" },
	{ IO, "epoll_ctl", "", ELSEWHERE, "a second pair of queues waits for frames: boot.net" },
	{ IO, "readv", "", ELSEWHERE, "the same" },
	{ IO, "writev", "", ELSEWHERE, "the same" },
	{ IO, "timerfd_settime", "", ELSEWHERE, "a second queue that is throttled: unit.virtio_lanes" },
	{ IO, "preadv2", "", ELSEWHERE, "a second queue of a drive: boot.disk_fio" },
	{ IO, "fdatasync", "", ELSEWHERE, "the same" },
	{ IO, "io_uring_enter", "", ELSEWHERE, "the same, with io_engine Async" },
	{ WORKER | MAIN, "fdatasync", "", LINUX, NULL },
	{ MAIN, "readv", "", LINUX, NULL },
	{ MAIN, "writev", "", LINUX, NULL },
	{ MAIN, "readlink", "", LINUX, NULL },
	{ MAIN, "connect", "", LINUX, NULL },
	{ MAIN, "sendmsg", "", LINUX, NULL },
	{ MAIN, "recvmsg", "", LINUX, NULL },
	{ MAIN, "shutdown", "", LINUX, NULL },
	{ MAIN, "io_uring_enter", "", LINUX, NULL },
	{ MAIN, "io_uring_register", "argument 1 = IORING_REGISTER_FILES_UPDATE", LINUX, NULL },
	{ MAIN, "ioctl", "argument 1 = TUNSETOFFLOAD", LINUX, NULL },
	{ MAIN, "ioctl", "argument 1 = FIONREAD", LINUX, NULL },
	{ MAIN, "ioctl", "argument 1 = TIOCGWINSZ", LINUX, NULL },
	{ MAIN | IO, "ioctl", "argument 1 = BLKDISCARD", ELSEWHERE, "a trim of a block device: boot.disk_kinds" },
	{ MAIN, "ioctl", "argument 1 = BLKROGET", ELSEWHERE, "a block device takes the place of a file: the same" },
	{ MAIN | IO, "pwritev2", "", ELSEWHERE, "writes of a drive that is Sync: boot.disk_fio" },
	{ MAIN | IO, "fallocate", "", ELSEWHERE, "a trim of such a drive: boot.debian" },
	{ MAIN, "clock_nanosleep", "", ELSEWHERE, "between two attempts to reach a back end: boot.vhost_qcow2" },
	{ MAIN, "fcntl", "argument 1 = F_DUPFD_CLOEXEC", LINUX, NULL },
	{ MAIN, "fcntl", "argument 1 = F_GETFD", ELSEWHERE, "descriptors that are given by number: unit.activation" },
	{ MAIN, "fcntl", "argument 1 = F_SETFD", ELSEWHERE, "the same" },
	{ MAIN, "mremap", "", ELSEWHERE, "a buffer of more than 128 KiB grows, as for a large body" },
	{ MAIN, "restart_syscall", "", ELSEWHERE, "the kernel makes it, after a stop signal" },
	{ MAIN, "socketpair", "argument 0 = AF_UNIX", ELSEWHERE, "the back channel of a file server: boot.vhost_directories" },
	{ MAIN, "ioctl", "argument 1 = TUNSETQUEUE", ELSEWHERE, "a driver turns queues on: boot.net" },
	{ MAIN, "ioctl", "argument 1 = TCSETS", ELSEWHERE, "a terminal is put back as it was: unit.console" },
	{ MAIN, "copy_file_range", "", ELSEWHERE, "a Diff over a file system without clones: guest.snapshots on ext4" },
	{ MAIN, "ioctl", "argument 1 = FICLONE", ELSEWHERE, "a Diff over one with clones, such as xfs" },
	{ MAIN, "ioctl", "argument 1 = KVM_GET_XSAVE2", ELSEWHERE, "a processor with a state of more than 4 KiB" },
	{ PCI, "ioctl", "argument 1 = TUNSETIFF", ELSEWHERE, "an interface that is plugged in: boot.pci_hotplug" },
	{ PCI, "ioctl", "argument 1 = TUNGETIFF", ELSEWHERE, "an interface that is plugged in: boot.pci_hotplug" },
	{ PCI, "ioctl", "argument 1 = TUNSETVNETHDRSZ", ELSEWHERE, "an interface that is plugged in: boot.pci_hotplug" },
	{ MAIN | IO, "sched_getscheduler", "", ELSEWHERE, "a loop that moves much, where it was not real-time: boot.net" },
	{ MAIN | IO, "sched_setscheduler", "argument 0 = 0", ELSEWHERE, "the same" },
	{ MAIN, "madvise", "argument 2 = MADV_REMOVE", ELSEWHERE, "memory in a file that is given back: boot.balloon_reporting" },
	{ MAIN, "userfaultfd", "", ELSEWHERE, "hosts without /dev/userfaultfd" },
	{ BLANK, "ioctl", "argument 1 = KVM_SET_TSC_KHZ", ELSEWHERE, "a snapshot of a host with another clock" },
};
/* clang-format on */

enum { RARE = sizeof(rare) / sizeof(rare[0]) };

/* --- notes --- */

static enum thread_role role_by_name(const char *name)
{
	for (int role = 0; role < THREAD_ROLES; role++)
		if (strcmp(thread_role_name((enum thread_role)role), name) == 0)
			return (enum thread_role)role;
	fail_msg("no role %s", name);
	return THREAD_ROLES;
}

static void read_args(const json_t *args, struct note *n)
{
	assert_true(json_array_size(args) <= MASKS_MAX);
	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *a = json_array_get(args, i), *op = json_object_get(a, "op");
		json_int_t mask = json_is_string(op)
					  ? UINT32_MAX
					  : json_integer_value(json_object_get(op, "masked_eq"));

		n->arg[i].index = (unsigned)json_integer_value(json_object_get(a, "index"));
		n->arg[i].mask = (uint32_t)mask;
		n->arg[i].value = (uint32_t)json_integer_value(json_object_get(a, "val"));
		n->args++;
	}
}

static void add_note(struct notes *all, const json_t *rule)
{
	struct note n;

	memset(&n, 0, sizeof(n));
	n.role = role_by_name(json_string_value(json_object_get(rule, "comment")));
	snprintf(n.call, sizeof(n.call), "%s", json_string_value(json_object_get(rule, "syscall")));
	read_args(json_object_get(rule, "args"), &n);
	for (unsigned i = 0; i < all->count; i++)
		if (memcmp(&all->note[i], &n, sizeof(n)) == 0)
			return;
	assert_true(all->count < NOTES_MAX);
	all->note[all->count++] = n;
}

/* A wisp that was killed leaves an empty file. */
static void read_notes(struct notes *all, const char *path)
{
	json_t *root = json_load_file(path, 0, NULL), *thread, *rule;
	const char *name;
	size_t i;

	json_object_foreach(root, name, thread)
	{
		json_array_foreach(json_object_get(thread, "filter"), i, rule) add_note(all, rule);
	}
	json_decref(root);
}

static void read_folder(struct notes *all, const char *folder)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	char path[512];

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_name[0] != '.')
			read_notes(all, path);
	}
	closedir(d);
}

/* --- lists --- */

/* Whether a thread goes through the filter of role, as far as the rule is concerned: where
 * guests are restarted, so do the vCPUs. */
static bool passes(enum thread_role thread, enum thread_role role, const struct syscall_rule *rule)
{
	bool of_all = rule >= base_syscalls &&
		      rule < base_syscalls + sizeof(base_syscalls) / sizeof(base_syscalls[0]);

	if (of_all || role == THREAD_MAIN_RESTART)
		return true;
	if (role == THREAD_VCPU || role == THREAD_WORKER || role == THREAD_IO)
		return thread == role;
	return thread != THREAD_VCPU;
}

/* Whether the condition follows from what is known of the call. */
static bool meets(const struct note *n, const struct scmp_arg_cmp *c)
{
	for (unsigned i = 0; i < n->args; i++)
		if (n->arg[i].index == c->arg)
			return (c->datum_a & ~n->arg[i].mask) == 0 &&
			       (n->arg[i].value & c->datum_a) == c->datum_b;
	return false;
}

static bool is_used(const struct notes *all, enum thread_role role, const struct syscall_rule *rule)
{
	for (unsigned i = 0; i < all->count; i++) {
		const struct note *n = &all->note[i];
		bool met = passes(n->role, role, rule) && strcmp(n->call, rule->call) == 0;

		for (unsigned k = 0; k < RULE_CONDITIONS && rule->condition[k].text; k++)
			met = met && meets(n, &rule->condition[k].compare);
		if (met)
			return true;
	}
	return false;
}

static const struct rare *find_rare(enum thread_role role, const struct syscall_rule *rule)
{
	const char *text = rule->condition[0].text ? rule->condition[0].text : "";

	for (unsigned i = 0; i < RARE; i++)
		if (rare[i].roles & 1u << role && strcmp(rare[i].call, rule->call) == 0 &&
		    strcmp(rare[i].condition, text) == 0)
			return &rare[i];
	return NULL;
}

/* What is wrong with the entry, or NULL. */
static const char *judge(const struct run *run, enum thread_role role,
			 const struct syscall_rule *rule)
{
	const struct rare *r = find_rare(role, rule);
	bool used = is_used(&run->all, role, rule);

	if (run->with_linux)
		return used || !r || r->where == ELSEWHERE ? NULL : "is not used with Linux";
	if (!r)
		return used ? NULL : "is not used";
	return used && r->where == ELSEWHERE ? "is used: its row can go" : NULL;
}

static unsigned check_list(const struct run *run, enum thread_role role,
			   const struct syscall_list *list)
{
	unsigned bad = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct syscall_rule *rule = &list->rules[i];
		const char *wrong = judge(run, role, rule);

		if (wrong)
			printf("%s: %s(%s) %s\n", thread_role_name(role), rule->call,
			       rule->condition[0].text ? rule->condition[0].text : "", wrong);
		bad += !!wrong;
	}
	return bad;
}

/* What every thread carries is one list, for one judgement: main's. Of the main threads
 * that do more, what they carry beyond the others. */
static bool is_judged(const struct role *role, const struct syscall_list *list)
{
	if (list->rules == sanitizer_syscalls)
		return false;
	if (role->role == THREAD_MAIN_PCI)
		return list->rules == attach_syscalls;
	if (role->role == THREAD_MAIN_RESTART)
		return list->rules == restart_syscalls;
	if (role->role == THREAD_MAIN_BLANK)
		return list->rules == load_syscalls;
	return list->rules != base_syscalls || role->role == THREAD_MAIN;
}

static unsigned check_all(const struct run *run)
{
	unsigned bad = 0;

	for (size_t n = 0; n < sizeof(roles) / sizeof(roles[0]); n++)
		for (unsigned i = 0; i < ROLE_LISTS; i++)
			if (is_judged(&roles[n], &roles[n].lists[i]))
				bad += check_list(run, roles[n].role, &roles[n].lists[i]);
	return bad;
}

/* A row that names no entry. */
static void test_rows(void **state)
{
	(void)state;
	for (unsigned k = 0; k < RARE; k++) {
		bool found = false;

		for (size_t n = 0; n < sizeof(roles) / sizeof(roles[0]); n++)
			for (unsigned i = 0; i < ROLE_LISTS; i++)
				for (size_t e = 0; e < roles[n].lists[i].count; e++)
					found |= find_rare(roles[n].role,
							   &roles[n].lists[i].rules[e]) == &rare[k];
		if (!found)
			fail_msg("no list has %s(%s)", rare[k].call, rare[k].condition);
	}
}

/* Whether it went well, its own run tells; what it did counts here. */
static void run_recorded(const struct recorded *r)
{
	const char *const argv[] = { fixture_program(r->program), r->test, NULL };
	struct session *s = session_start(argv);
	int status = session_wait(s, LIMIT_S);

	if (status != 0)
		printf("%s ended with %d\n", r->program, status);
	session_end(s);
}

static void record(struct run *run)
{
	const struct recorded *list = run->with_linux ? linux_guests : tiny;
	size_t count = run->with_linux ? sizeof(linux_guests) / sizeof(linux_guests[0])
				       : sizeof(tiny) / sizeof(tiny[0]);

	for (size_t i = 0; i < count; i++)
		run_recorded(&list[i]);
	read_folder(&run->all, fixture_path("notes"));
}

/* What a run makes depends on who is faster, too: an entry is without use when it had none in
 * several. */
static void test_entries(void **state)
{
	struct run *run = *state;
	unsigned bad = 1;

	assert_int_equal(mkdir(fixture_path("notes"), 0755), 0);
	setenv("WISP_SECCOMP_LOG", fixture_path("notes"), 1);
	for (unsigned n = 0; n < ROUNDS && bad > 0; n++) {
		record(run);
		bad = check_all(run);
	}
	assert_int_equal(bad, 0);
}

int main(int argc, char *argv[])
{
	static struct run run;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_entries, &run),
		cmocka_unit_test(test_rows),
	};

	run.with_linux = argc > 1 && strcmp(argv[1], "linux") == 0;
	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
