/* hang.c - a program's threads by proc(5), its machines by KVM's debugfs, and the host's timers.
 *
 * A guest that stands still halts in KVM_RUN. Whether it is woken at all is in KVM's counters;
 * whether it is going to be, in the host's list of timers, where apic_timer_fn is the local
 * APIC's of a vCPU.
 */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/hang.h"
#include "vmm/base/fd.h"

#define VCPU_TIMER "apic_timer_fn"

/* --- threads --- */

/* The first line of a file; static. */
static const char *first_line(const char *path)
{
	static char line[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	fd_close(fd);
	line[n < 0 ? 0 : n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static const char *thread_says(pid_t pid, const char *thread, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", (int)pid, thread, file);
	return first_line(path);
}

/* Its state, processor time in ticks (proc(5), stat), and where in the kernel it waits. */
static void show_thread(pid_t pid, const char *thread)
{
	unsigned long user = 0, kernel = 0;
	const char *rest = strrchr(thread_says(pid, thread, "stat"), ')');
	char state = '?';
	int cpu = -1;

	if (rest)
		(void)sscanf(rest + 1,
			     " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d"
			     " %*d %*d %*u %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u"
			     " %*u %*u %*d %d",
			     &state, &user, &kernel, &cpu);
	fprintf(stderr, "thread %s: %c, CPU %d, %lu + %lu ticks,", thread, state, cpu, user,
		kernel);
	fprintf(stderr, " waits in %s,", thread_says(pid, thread, "wchan"));
	fprintf(stderr, " system call %.12s\n", thread_says(pid, thread, "syscall"));
}

static void show_threads(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads)) != NULL)
		if (entry->d_name[0] != '.')
			show_thread(pid, entry->d_name);
	if (threads)
		closedir(threads);
}

/* --- machines --- */

static void show_counters(const char *machine)
{
	static const char *const counters[] = {
		"exits",	  "halt_exits",	      "halt_wakeup",
		"irq_injections", "irq_window_exits", "signal_exits"
	};

	fprintf(stderr, "%s:", machine);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", machine, counters[i]);
		fprintf(stderr, " %s %s", counters[i], first_line(path));
	}
	fprintf(stderr, "\n");
}

static void show_machines(pid_t pid)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/kvm/%d-*", (int)pid);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		show_counters(found.gl_pathv[i]);
	globfree(&found);
}

/* --- timers --- */

/* What time it is, and when each processor's next timer is due. */
static bool is_told(const char *line)
{
	static const char *const beginnings[] = { "now at", "cpu:", "  .expires_next",
						  "  .nr_hangs", " next_event" };

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (strncmp(line, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

static void show_timers(void)
{
	FILE *f = fopen("/proc/timer_list", "re");
	bool of_vcpu = false; /* the line before: this one says when it is due */
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		const bool vcpu = strstr(line, VCPU_TIMER) != NULL;

		if (is_told(line) || vcpu || of_vcpu)
			fputs(line, stderr);
		of_vcpu = vcpu;
	}
	if (f)
		fclose(f);
}

void hang_show(pid_t pid)
{
	show_threads(pid);
	show_machines(pid);
	show_timers();
}
