/* initrd.c - the initial RAM disk of one run: busybox, modules, init, the job.
 *
 * Built anew in memory for every run, which takes some milliseconds, so that it
 * always matches the kernel, the busybox and the scripts that are there. It is
 * not compressed: emulated processors copy faster than they inflate.
 *
 *   /init            guest-init.sh; /modules/list names what it inserts, in order
 *   /guest-run.sh    taken along to the real root, as are /busybox and /job
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-images/init/newc.h"
#include "tests/testhost/initrd.h"
#include "tests/testhost/kernel.h"
#include "tests/testhost/moddep.h"
#include "tests/testhost/scripts.h"
#include "vmm/base/error.h"
#include "vmm/base/fd.h"

enum { MODDEP_MAX_BYTES = 16 * 1024 * 1024 };

/* What the way to the machine's files needs, and KVM; all else is loaded later,
 * from the kernel's own module directory. */
static const char *const boot_modules[] = {
	"virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console", "kvm-amd",
};

static const char *const directories[] = { "dev", "proc", "modules" };

struct builder {
	struct newc archive;
	const struct kernel *kernel;
	FILE *list; /* the modules, in order */
};

static int read_moddep(const struct kernel *k, struct moddep **ret, struct error *e)
{
	char path[KERNEL_PATH_MAX + 16], *text = NULL;
	struct stat st;

	snprintf(path, sizeof(path), "%s/modules.dep", k->modules);

	int r = -EFBIG, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = error_errno(e, NULL, "remove this folder of the cache", "cannot read %s", path);
		goto done;
	}
	if (st.st_size <= MODDEP_MAX_BYTES) {
		text = malloc((size_t)st.st_size + 1);
		r = text ? fd_pread_all(fd, text, (size_t)st.st_size, 0) : -ENOMEM;
	}
	if (r == 0)
		r = moddep_parse(text, (size_t)st.st_size, ret);
	if (r < 0)
		error_set(e, r, NULL, NULL, "cannot use %s: %s", path, strerror(-r));
done:
	free(text);
	fd_close(fd);
	return r;
}

static int add_module(void *arg, const char *path)
{
	struct builder *b = arg;
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char from[2 * KERNEL_PATH_MAX], to[KERNEL_PATH_MAX];

	snprintf(from, sizeof(from), "%s/%s", b->kernel->modules, path);
	snprintf(to, sizeof(to), "modules/%s", base);
	fprintf(b->list, "%s\n", base);
	return newc_copy(&b->archive, to, 0644, from);
}

static int take_modules(struct builder *b, struct error *e)
{
	struct moddep *deps = NULL;
	int r = read_moddep(b->kernel, &deps, e);

	for (size_t i = 0; r == 0 && i < sizeof(boot_modules) / sizeof(boot_modules[0]); i++) {
		r = moddep_take(deps, boot_modules[i], add_module, b);
		if (r < 0)
			error_set(e, r, NULL, "remove this folder of the cache",
				  "cannot take the module %s and what it needs from %s: %s",
				  boot_modules[i], b->kernel->modules, strerror(-r));
	}
	moddep_destroy(deps);
	return r;
}

static int add_modules(struct builder *b, struct error *e)
{
	char *text = NULL;
	size_t len = 0;

	b->list = open_memstream(&text, &len);
	if (!b->list)
		return error_set(e, -ENOMEM, NULL, NULL, "out of memory");

	int r = take_modules(b, e);

	if (fclose(b->list) != 0 && r == 0)
		r = error_set(e, -ENOMEM, NULL, NULL, "out of memory");
	if (r == 0)
		r = newc_file(&b->archive, "modules/list", 0644, text, len);
	free(text);
	return r;
}

static int add_files(struct builder *b, const struct initrd_source *from)
{
	struct newc *a = &b->archive;
	/* scripts.c lays each script and its end into one section. */
	/* cppcheck-suppress comparePointers */
	size_t init_len = (size_t)(guest_init_sh_end - guest_init_sh);
	/* cppcheck-suppress comparePointers */
	size_t run_len = (size_t)(guest_run_sh_end - guest_run_sh);
	int r = newc_file(a, "init", 0755, guest_init_sh, init_len);

	if (r == 0)
		r = newc_file(a, "guest-run.sh", 0755, guest_run_sh, run_len);
	if (r == 0)
		r = newc_copy(a, "busybox", 0755, from->busybox);
	return r < 0 ? r : newc_file(a, "job", 0600, from->job, from->job_len);
}

int initrd_create(const struct initrd_source *from, int *ret, struct error *e)
{
	struct builder b = { .kernel = from->kernel };
	int r = 0, fd = memfd_create("testhost-initrd", MFD_CLOEXEC);

	if (fd < 0)
		return error_errno(e, NULL, NULL, "cannot make an anonymous file");
	b.archive.fd = fd;
	for (size_t i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++)
		r = newc_dir(&b.archive, directories[i]);
	if (r == 0)
		r = add_modules(&b, e);
	if (r == 0)
		r = add_files(&b, from);
	if (r == 0)
		r = newc_end(&b.archive);
	if (r < 0) {
		fd_close(fd);
		if (e->code == 0)
			error_set(e, r, NULL, NULL, "cannot build the initial RAM disk: %s",
				  strerror(-r));
		return r;
	}
	*ret = fd;
	return 0;
}
