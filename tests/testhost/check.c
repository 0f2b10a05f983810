/* check.c - what the machine must have for a test host. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/testhost/check.h"
#include "tests/testhost/kernel.h"
#include "vmm/base/error.h"
#include "vmm/base/fd.h"

#define EMULATOR "qemu-system-x86_64"

struct need {
	const char *program, *package;
	const char *purpose;
};

static const struct need needs[] = {
	{ "busybox", "busybox-static", "is the guest's init" },
	{ "apt-get", "apt", "fetches the kernel" },
	{ "apt-cache", "apt", "names the kernel's package" },
	{ "dpkg-deb", "dpkg", "unpacks the kernel" },
	{ "xz", "xz-utils", "decompresses it" },
	{ "depmod", "kmod", "indexes the kernel's modules" },
};

/* Folders that a user's PATH may lack are searched too: depmod is in one. */
static bool find_program(const char *name, char *ret, size_t len)
{
	static const char usual[] = "/usr/sbin:/usr/bin:/sbin:/bin";
	const char *env = getenv("PATH");
	const char *const lists[] = { env ? env : usual, usual };

	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (const char *at = lists[l]; *at; at += *at == ':') {
			int n = (int)strcspn(at, ":");

			if ((size_t)snprintf(ret, len, "%.*s/%s", n, at, name) < len &&
			    access(ret, X_OK) == 0)
				return true;
			at += n;
		}
	}
	return false;
}

/* An interpreter in the program headers means shared libraries. */
static bool elf_is_static(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_static = false;
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	if (fd < 0 || fd_pread_all(fd, &header, sizeof(header), 0) < 0 ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(segment))
		goto done;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + i * sizeof(segment));

		if (fd_pread_all(fd, &segment, sizeof(segment), at) < 0 ||
		    segment.p_type == PT_INTERP)
			goto done;
	}
	is_static = true;
done:
	fd_close(fd);
	return is_static;
}

int check_busybox(char *path, size_t len)
{
	if (!find_program("busybox", path, len))
		return -ENOENT;
	return elf_is_static(path) ? 0 : -ENOEXEC;
}

/* The images' folder beside the one that this program is in. */
static int images_beside(char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);

	if (n < 0)
		return -errno;
	path[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(path, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	n = (ssize_t)strlen(path);
	return (size_t)snprintf(path + n, len - (size_t)n, "/images") < len - (size_t)n ? 0
											: -ENOENT;
}

int check_emulator(char *path, size_t len, struct error *e)
{
	const char *images = getenv("WISP_IMAGES");
	char beside[PATH_MAX];

	if (!images && images_beside(beside, sizeof(beside)) == 0)
		images = beside;
	if (!images || (size_t)snprintf(path, len, "%s/" EMULATOR, images) >= len ||
	    access(path, X_OK) < 0)
		return error_set(e, -ENOENT, EMULATOR, "guest-images/build emulator makes it",
				 "there is no emulator in %s", images ? images : "WISP_IMAGES");
	return 0;
}

static int check_need(const struct need *n, struct error *e)
{
	char path[4096], hint[128];

	snprintf(hint, sizeof(hint), "apt-get install %s", n->package);
	if (!find_program(n->program, path, sizeof(path)))
		return error_set(e, -ENOENT, n->program, hint, "%s, which %s, is missing",
				 n->program, n->purpose);
	if (strcmp(n->program, "busybox") == 0 && !elf_is_static(path))
		return error_set(e, -ENOEXEC, n->program, hint, "%s is not statically linked",
				 path);
	return 0;
}

int check_programs(struct error *e)
{
	char path[PATH_MAX];
	int r = check_emulator(path, sizeof(path), e);

	for (size_t i = 0; r == 0 && i < sizeof(needs) / sizeof(needs[0]); i++)
		r = check_need(&needs[i], e);
	return r;
}

unsigned check_report(FILE *to)
{
	struct error e = { 0 };
	struct kernel kernel;
	char line[1024], path[PATH_MAX];
	unsigned missing = 0;

	if (check_emulator(path, sizeof(path), &e) < 0) {
		fprintf(to, "%s\n", error_line(&e, line, sizeof(line)));
		missing++;
	}

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (check_need(&needs[i], &e) == 0)
			continue;
		fprintf(to, "%s\n", error_line(&e, line, sizeof(line)));
		missing++;
	}
	if (kernel_find(&kernel, &e) < 0) {
		fprintf(to, "%s\n", error_line(&e, line, sizeof(line)));
		missing++;
	}
	return missing;
}
