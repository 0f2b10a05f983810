/* image_agent.c - an initrd with wisp-init in it, and its parameters. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-images/init/newc.h"
#include "supervisor/images/blob.h"
#include "supervisor/images/image_agent.h"
#include "vmm/base/fd.h"

enum { INIT_MODE = 0755 };

/* --- the initrd --- */

static int write_archive(int fd, const char *program)
{
	/* The points where wisp-init mounts things; the kernel brings /dev/console itself. */
	static const char *const folders[] = { "dev", "proc", "sys", "run", "tmp", "sysroot" };
	struct newc archive = { .fd = fd };
	int r = 0;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && r == 0; i++)
		r = newc_dir(&archive, folders[i]);
	if (r == 0)
		r = newc_copy(&archive, "init", INIT_MODE, program);
	return r < 0 ? r : newc_end(&archive);
}

/* The same program gives the same archive: one blob for all images. */
static int make_initrd(const struct config *c, char digest[DIGEST_BYTES], uint64_t *bytes,
		       struct error *err)
{
	int fd = memfd_create("initrd", MFD_CLOEXEC), r;
	char path[32];

	if (fd < 0)
		return error_errno(err, NULL, NULL, "Cannot make a file in memory");
	r = write_archive(fd, c->wisp_init);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = r < 0 ? error_set(err, r, "wisp_init", "it comes with wispd",
			      "Cannot put %s into an initrd: %s", c->wisp_init, strerror(-r))
		  : blob_import(c, path, digest, bytes, err);
	fd_close(fd);
	return r;
}

/* --- the command line --- */

int image_agent_add_words(char *cmdline, const char *words, struct error *err)
{
	char rest[CMDLINE_BYTES];
	char *command = strncmp(cmdline, "-- ", 3) == 0 ? cmdline : strstr(cmdline, " -- ");
	size_t at = command ? (size_t)(command - cmdline) : strlen(cmdline);
	int n;

	snprintf(rest, sizeof(rest), "%s", cmdline + at);
	n = snprintf(cmdline + at, CMDLINE_BYTES - at, "%s%s%s%s", at ? " " : "", words,
		     rest[0] == '-' ? " " : "", rest);
	if (n < 0 || (size_t)n >= CMDLINE_BYTES - at)
		return error_set(err, -E2BIG, "cmdline", "at most 2047 bytes",
				 "The command line is too long");
	return 0;
}

/* Whether a parameter stands there, by its name and "=". */
static bool has_parameter(const char *cmdline, const char *name)
{
	const char *at = strstr(cmdline, name);

	return at && (at == cmdline || at[-1] == ' ');
}

int image_agent_inject(const struct config *c, struct image *image, struct error *err)
{
	uint64_t bytes = 0;
	int r = 0;

	if (!image->initrd[0]) {
		r = make_initrd(c, image->initrd, &bytes, err);
		image->bytes += bytes;
	}
	if (r == 0 && !has_parameter(image->cmdline, "wisp.agent"))
		r = image_agent_add_words(image->cmdline, "wisp.agent", err);
	if (r == 0 && image->rootfs[0] && !has_parameter(image->cmdline, "root="))
		r = image_agent_add_words(
			image->cmdline,
			image->rootfs_read_only ? "root=/dev/vda ro" : "root=/dev/vda rw", err);
	if (r == 0 && image->rootfs[0] && !has_parameter(image->cmdline, "init="))
		r = image_agent_add_words(image->cmdline, "wisp.stay", err);
	return r;
}
