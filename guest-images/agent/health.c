/* health.c - how the guest is, in numbers that its kernel gives. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/session.h"

enum { LINE_LEN = 256, ANSWER_LEN = 2048 };

/* The first line of a file, without its end; "" when there is none. */
static void line_read(const char *path, char line[LINE_LEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, LINE_LEN - 1);

	line[n < 0 ? 0 : n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

/* What programs could still get: only the kernel can tell. */
static uint64_t memory_available_bytes(void)
{
	static const char name[] = "MemAvailable:";
	FILE *f = fopen("/proc/meminfo", "re");
	char line[LINE_LEN];
	uint64_t kib = 0;

	while (kib == 0 && f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtoull(line + strlen(name), NULL, 10);
	}
	if (f)
		fclose(f);
	return kib * 1024;
}

static void add_memory(struct fields *f)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return;
	fields_add(f, "processes", "%u", info.procs);
	fields_add(f, "memory_total_bytes", "%" PRIu64, (uint64_t)info.totalram * info.mem_unit);
	fields_add(f, "memory_available_bytes", "%" PRIu64, memory_available_bytes());
}

static void add_root(struct fields *f)
{
	struct statvfs fs;

	if (statvfs("/", &fs) < 0)
		return;
	fields_add(f, "root_total_bytes", "%" PRIu64, (uint64_t)fs.f_blocks * fs.f_frsize);
	fields_add(f, "root_available_bytes", "%" PRIu64, (uint64_t)fs.f_bavail * fs.f_frsize);
}

static void add_time(struct fields *f)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	fields_add(f, "uptime_ms", "%lld", now.tv_sec * 1000LL + now.tv_nsec / 1000000);
	clock_gettime(CLOCK_REALTIME, &now);
	fields_add(f, "clock_ns", "%lld", now.tv_sec * 1000000000LL + now.tv_nsec);
}

void health_serve(struct session *s)
{
	char bytes[ANSWER_LEN], line[LINE_LEN];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };

	fields_add(&f, "version", WISP_VERSION);
	add_time(&f);
	line_read("/proc/sys/kernel/random/boot_id", line);
	fields_add(&f, "boot_id", "%s", line);
	line_read("/proc/sys/kernel/hostname", line);
	fields_add(&f, "hostname", "%s", line);
	line_read("/proc/loadavg", line);
	fields_add(&f, "load", "%s", line);
	add_memory(&f);
	add_root(&f);
	session_answer(s, &f);
}
