/* identity.c - the verb "identity": a clone learns who it is; "addresses": how it is reached.
 *
 * The kernel sees by itself that it was loaded (VMGenID), and takes new random numbers. It
 * tells no program. What a clone is to be called, and by which address it is reached,
 * only the host knows, so the host says it, and hands the clone out when it has the
 * answer: everything is in place then. Fields are applied in the order of the table,
 * whatever their order in the request; what was applied before an error stays.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/random.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/identity.h"
#include "guest-images/agent/session.h"

#define RESOLVER_FILE "/etc/resolv.conf"

enum { SEED_MAX = 512, MACHINE_ID_LEN = 32, DOMAIN_MAX = 253, NS_PER_S = 1000000000 };

/* --- random numbers, time --- */

/* How many bytes; -EINVAL: no hexadecimal digits, or more than there is room for. */
static int hex_parse(const char *hex, unsigned char *bytes, size_t room)
{
	size_t len = strlen(hex);

	if (len == 0 || len % 2 != 0 || len / 2 > room ||
	    strspn(hex, "0123456789abcdefABCDEF") != len)
		return -EINVAL;
	for (size_t i = 0; i < len / 2; i++) {
		const char digits[3] = { hex[2 * i], hex[2 * i + 1] };

		bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
	}
	return (int)(len / 2);
}

int identity_seed(const char *hex)
{
	union {
		struct rand_pool_info head;
		char room[sizeof(struct rand_pool_info) + SEED_MAX];
	} pool = { 0 };
	int len = hex_parse(hex, (unsigned char *)pool.head.buf, SEED_MAX), fd, r;

	if (len < 0)
		return len;
	pool.head.buf_size = len;
	pool.head.entropy_count = 8 * len;
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int identity_clock(const char *ns)
{
	char *end;
	unsigned long long at;
	struct timespec t;

	errno = 0;
	at = strtoull(ns, &end, 10);
	if (errno || *ns < '0' || *ns > '9' || *end || at > INT64_MAX)
		return -EINVAL;
	t = (struct timespec){ .tv_sec = (time_t)(at / NS_PER_S),
			       .tv_nsec = (long)(at % NS_PER_S) };
	return clock_settime(CLOCK_REALTIME, &t) < 0 ? -errno : 0;
}

/* --- names --- */

/* One line, or more, and the file is there from one moment to the next. */
static int file_write(const char *path, const char *line)
{
	char aside[64];
	int fd, r = 0;
	FILE *f;

	snprintf(aside, sizeof(aside), "%s.new", path);
	fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		r = -errno;
		close(fd);
		return r;
	}
	if (fprintf(f, "%s\n", line) < 0 || fflush(f) != 0 || fchmod(fd, 0644) < 0)
		r = -errno;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(aside, path) < 0)
		r = -errno;
	return r;
}

/* A name that DNS could have (RFC 1123), of one label or more. */
static bool is_host_name(const char *name, size_t most)
{
	size_t len = strlen(name);

	return len > 0 && len <= most && name[0] != '-' && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
		       len;
}

int identity_hostname(const char *name)
{
	int r;

	if (!is_host_name(name, HOST_NAME_MAX))
		return -EINVAL;
	if (sethostname(name, strlen(name)) < 0)
		return -errno;
	r = file_write("/etc/hostname", name);
	return r == -EROFS || r == -ENOENT ? 0 : r;
}

int identity_machine_id(const char *hex)
{
	unsigned char bytes[MACHINE_ID_LEN / 2];
	int r = hex_parse(hex, bytes, sizeof(bytes));

	if (r < 0 || strlen(hex) != MACHINE_ID_LEN)
		return -EINVAL;
	r = file_write("/etc/machine-id", hex);
	if (r == -ENOENT) /* no /etc, and nobody who would look there */
		return 0;
	if (r != -EROFS)
		return r;
	r = file_write("/run/machine-id", hex);
	if (r == 0 && mount("/run/machine-id", "/etc/machine-id", NULL, MS_BIND, NULL) < 0)
		r = -errno;
	return r;
}

static bool is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

int identity_resolver(const char *text)
{
	char address[INET6_ADDRSTRLEN], lines[DOMAIN_MAX + INET6_ADDRSTRLEN + 32];
	const char *blank = strchr(text, ' ');
	size_t len = blank ? (size_t)(blank - text) : 0;
	struct stat st;
	int r;

	if (len == 0 || len >= sizeof(address) || !is_host_name(blank + 1, DOMAIN_MAX))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!is_address(address))
		return -EINVAL;
	if (lstat(RESOLVER_FILE, &st) == 0 && S_ISLNK(st.st_mode))
		return 0;
	if (mkdir("/etc", 0755) < 0 && errno != EEXIST)
		return errno == EROFS ? 0 : -errno;
	snprintf(lines, sizeof(lines), "search %s\nnameserver %s", blank + 1, address);
	r = file_write(RESOLVER_FILE, lines);
	return r == -EROFS ? 0 : r;
}

/* --- programs of the image's own --- */

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int hook_run(const char *name)
{
	char path[sizeof(IDENTITY_HOOKS) + 1 + NAME_MAX];
	int status = -1;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		snprintf(path, sizeof(path), IDENTITY_HOOKS "/%s", name);
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execl(path, name, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status == 0 ? 0 : -ECANCELED;
}

int identity_hooks(void)
{
	struct dirent **list;
	int n = scandir(IDENTITY_HOOKS, &list, is_program, alphasort), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = hook_run(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return r;
}

/* --- the verbs --- */

/* The last ones are the interfaces'. */
enum { FIRST_OF_INTERFACES = 4 };

static const struct part {
	const char *name;
	int (*set)(const char *value);
} parts[] = {
	{ "seed", identity_seed },	   { "clock_ns", identity_clock },
	{ "hostname", identity_hostname }, { "machine_id", identity_machine_id },
	{ "mac", identity_mac },	   { "address", identity_address },
	{ "gateway", identity_gateway },   { "resolver", identity_resolver },
};

/* False: the fault is told. */
static bool part_set(struct session *s, const struct part *part)
{
	const char *value;
	size_t place = 0;

	while ((value = fields_next(s->bytes, s->len, part->name, &place)) != NULL) {
		int r = part->set(value);

		if (r == 0)
			continue;
		session_fault(s, -r, "%s=%s: %s", part->name, value, strerror(-r));
		return false;
	}
	return true;
}

static bool set_from(struct session *s, size_t first)
{
	for (size_t i = first; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!part_set(s, &parts[i]))
			return false;
	}
	return true;
}

void addresses_serve(struct session *s)
{
	struct fields nothing = { 0 };

	if (set_from(s, FIRST_OF_INTERFACES))
		session_answer(s, &nothing);
}

void identity_serve(struct session *s)
{
	struct fields nothing = { 0 };
	int r;

	if (!set_from(s, 0))
		return;
	r = identity_hooks();
	if (r < 0)
		session_fault(s, -r, "a program in " IDENTITY_HOOKS " failed: %s", strerror(-r));
	else
		session_answer(s, &nothing);
}
