/* dnsmasq.c - the folder of a network's dnsmasq, and its keeper.
 *
 *	state_dir/networks/N/dnsmasq.lock, .log		the keeper's
 *	state_dir/networks/N/served/			what the program sees, as SERVED_AT
 *
 * Who changes files of leases holds a lock on their folder, so that nobody makes one again that
 * was just removed; who looks whether the program runs holds one on the network's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/folder.h"
#include "supervisor/books/instance.h"
#include "supervisor/books/store.h"
#include "supervisor/life/companion.h"
#include "supervisor/life/process.h"
#include "supervisor/network/dnsmasq.h"
#include "supervisor/network/names.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

enum { BEGIN_TIMEOUT_MS = 60000, FILE_BYTES = 16, TEXT_MAX = 4096 };

#define ALL	"networks"
#define SERVED	"served"
#define PROGRAM "dnsmasq"
/* Where the keeper shows it (keep.h). */
#define SERVED_AT "/tmp"

static const char *const leases[] = { NAMES_DHCP, NAMES_HOSTS, NULL };

/* --- folders --- */

static void path_of(const struct config *c, int64_t n, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.*s/" ALL "/%lld", PATH_MAX - 64, c->state_dir, (long long)n);
}

static int open_folder(const struct config *c, int64_t n, const char *below, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	path_of(c, n, path);
	snprintf(path + strlen(path), PATH_MAX - strlen(path), "%s", below);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, NULL, NULL, "Cannot open %s", path) : fd;
}

static int open_all(const struct config *c, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.*s/" ALL, PATH_MAX - 64, c->state_dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, NULL, NULL, "Cannot open %s", path) : fd;
}

/* Whatever wispd's mask is. */
static int make_folder(const struct config *c, const char *below, mode_t mode, struct error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.*s/" ALL "%s", PATH_MAX - 64, c->state_dir, below);
	if ((mkdir(path, mode) == 0 || errno == EEXIST) && chmod(path, mode) == 0)
		return 0;
	return error_errno(err, "state_dir", NULL, "Cannot make %s", path);
}

static int make_folders(const struct config *c, int64_t n, struct error *err)
{
	static const char *const below[] = { "", "/" SERVED, "/" SERVED "/" NAMES_DHCP,
					     "/" SERVED "/" NAMES_HOSTS, NULL };
	int r = make_folder(c, "", 0700, err);
	char path[64];

	for (unsigned i = 0; below[i] && r == 0; i++) {
		snprintf(path, sizeof(path), "/%lld%s", (long long)n, below[i]);
		r = make_folder(c, path, i ? 0755 : 0700, err);
	}
	return r;
}

/* --- files --- */

static void file_of(const struct lease *l, char file[FILE_BYTES])
{
	snprintf(file, FILE_BYTES, "%x", (unsigned)l->place);
}

static bool is_same(int folder, const char *file, const char *text, size_t len)
{
	int fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char now[TEXT_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, now, sizeof(now));

	fd_close(fd);
	return n == (ssize_t)len && memcmp(now, text, len) == 0;
}

/* Under a name that the program passes over, until it is whole. */
static int write_file(int folder, const char *file, const char *text, size_t len, struct error *err)
{
	char other[FILE_BYTES + 8];
	int fd, r = 0;

	if (is_same(folder, file, text, len))
		return 0;
	snprintf(other, sizeof(other), ".%s", file);
	fd = openat(folder, other, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, text, len) != (ssize_t)len ||
	    renameat(folder, other, folder, file) < 0)
		r = error_errno(err, "state_dir", NULL, "Cannot write %s of a network", file);
	fd_close(fd);
	return r;
}

/* A text that has been written; the stream and it are gone then. */
static int write_text(int folder, const char *file, FILE *out, char **text, const size_t *len,
		      struct error *err)
{
	int r = -ENOMEM;

	if (out && fclose(out) == 0)
		r = write_file(folder, file, *text, *len, err);
	else
		error_set(err, r, NULL, NULL, "out of memory");
	free(*text);
	return r;
}

static int write_config(const char *tag, const struct network *n, int folder, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out)
		names_print_config(tag, n, SERVED_AT, out);
	return write_text(folder, NAMES_CONFIG, out, &text, &len, err);
}

static int write_lease(int folder, const struct lease *l, const char *name, struct error *err)
{
	char file[FILE_BYTES], *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	file_of(l, file);
	if (out && name)
		names_print_hosts(l, name, out);
	else if (out)
		names_print_dhcp(l, out);
	return write_text(folder, file, out, &text, &len, err);
}

/* Locked until it is closed. */
static int open_leases(const struct config *c, int64_t n, const char *which, struct error *err)
{
	char below[64];
	int fd;

	snprintf(below, sizeof(below), "/" SERVED "/%s", which);
	fd = open_folder(c, n, below, err);
	if (fd < 0 || flock(fd, LOCK_EX) == 0)
		return fd;
	error_errno(err, NULL, NULL, "Cannot lock %s of a network", which);
	fd_close(fd);
	return err->code;
}

/* name: NULL, the line that gives it addresses. */
static int put_lease(const struct config *c, const struct lease *l, const char *name,
		     struct error *err)
{
	int folder = open_leases(c, l->network.n, name ? NAMES_HOSTS : NAMES_DHCP, err), r;

	if (folder < 0)
		return folder;
	r = write_lease(folder, l, name, err);
	fd_close(folder);
	return r;
}

static int put_both(const struct config *c, const struct lease *l, const char *name,
		    struct error *err)
{
	int r = put_lease(c, l, NULL, err);

	return r < 0 ? r : put_lease(c, l, name, err);
}

/* --- the program --- */

static int run_keeper(const struct config *c, const struct network *n, struct error *err)
{
	char path[PATH_MAX], lock[PATH_MAX + 32], log[PATH_MAX + 32], served[PATH_MAX + 32];
	char user[16], option[64];
	const char *const argv[] = { c->wisp_keeper, "--lock",	 lock,	      "--log",	log,
				     "--folder",     served,	 "--network", "--user", user,
				     "--",	     c->dnsmasq, option,      NULL };

	if (access(c->dnsmasq, X_OK) < 0)
		return error_errno(err, "dnsmasq",
				   "install dnsmasq-base, or set its path in wispd.json",
				   "Cannot run %s", c->dnsmasq);
	path_of(c, n->n, path);
	snprintf(lock, sizeof(lock), "%s/" PROGRAM ".lock", path);
	snprintf(log, sizeof(log), "%s/" PROGRAM ".log", path);
	snprintf(served, sizeof(served), "%s/" SERVED, path);
	snprintf(user, sizeof(user), "%u", (unsigned)n->user);
	snprintf(option, sizeof(option), "--conf-file=%s/%s", SERVED_AT, NAMES_CONFIG);
	return process_run(argv, BEGIN_TIMEOUT_MS, err);
}

static int write_and_run(const struct config *c, const char *tag, const struct network *n,
			 struct error *err)
{
	int served = open_folder(c, n->n, "/" SERVED, err), r;

	if (served < 0)
		return served;
	r = write_config(tag, n, served, err);
	fd_close(served);
	return r < 0 ? r : run_keeper(c, n, err);
}

/* Unless it runs: one at a time, whoever else has a guest to start there. */
static int begin(const struct config *c, const char *tag, const struct network *n,
		 struct error *err)
{
	int folder = open_folder(c, n->n, "", err), r = 0;

	if (folder < 0)
		return folder;
	if (flock(folder, LOCK_EX) < 0)
		r = error_errno(err, NULL, NULL, "Cannot lock the folder of network %s", n->name);
	else if (!companion_lives(folder, PROGRAM))
		r = write_and_run(c, tag, n, err);
	fd_close(folder);
	return r;
}

/* --- leases --- */

int dnsmasq_attach(const struct config *c, const char *tag, const struct lease *l, const char *name,
		   struct error *err)
{
	int r;

	if (!network_is_served(&l->network))
		return 0;
	r = make_folders(c, l->network.n, err);
	if (r == 0)
		r = put_both(c, l, name, err);
	return r < 0 ? r : begin(c, tag, &l->network, err);
}

int dnsmasq_detach(const struct config *c, const struct lease *l, struct error *err)
{
	char file[FILE_BYTES];
	int r = 0;

	file_of(l, file);
	for (unsigned i = 0; leases[i] && r == 0 && network_is_served(&l->network); i++) {
		int folder = open_leases(c, l->network.n, leases[i], err);

		if (folder == -ENOENT)
			continue;
		r = folder < 0 ? folder : 0;
		if (r == 0 && unlinkat(folder, file, 0) < 0 && errno != ENOENT)
			r = error_errno(err, NULL, NULL, "Cannot remove %s of a network", file);
		fd_close(folder);
	}
	return r;
}

int dnsmasq_rename(const struct config *c, const struct lease *l, const char *name,
		   struct error *err)
{
	char file[FILE_BYTES];
	int folder, r = 0;

	if (!network_is_served(&l->network))
		return 0;
	folder = open_leases(c, l->network.n, NAMES_HOSTS, err);
	if (folder < 0)
		return folder == -ENOENT ? 0 : folder;
	file_of(l, file);
	if (faccessat(folder, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = write_lease(folder, l, name, err);
	fd_close(folder);
	return r;
}

/* --- the end --- */

static int remove_folder(const struct config *c, int64_t n, struct error *err)
{
	int folder = open_folder(c, n, "", err), r;
	char name[32];

	if (folder < 0)
		return folder == -ENOENT ? 0 : folder;
	r = companion_end_in(folder, PROGRAM, err);
	fd_close(folder);
	if (r < 0)
		return r;
	folder = open_all(c, err);
	snprintf(name, sizeof(name), "%lld", (long long)n);
	r = folder < 0 ? folder : folder_remove(folder, name);
	fd_close(folder);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot remove the folder of a network: %s",
				 strerror(-r))
		     : 0;
}

int dnsmasq_remove(const struct config *c, const struct network *n, struct error *err)
{
	return network_is_served(n) ? remove_folder(c, n->n, err) : 0;
}

/* --- after a start --- */

struct restoring {
	struct wispd *d;
	struct error *err;
	char tag[NETWORK_TAG_BYTES];
	int removed;
};

/* The name of a file is its lease's place. */
static bool may_live(struct truth *t, const struct network *n, const char *file)
{
	struct error err;
	int64_t lease = 0;
	int r = store_number(t->store, &lease, &err,
			     "SELECT n FROM lease WHERE network = ? AND place = ?", "ii", n->n,
			     (int64_t)strtoll(file, NULL, 16));

	return r == -ENOENT ? false : r < 0 || lease_may_live(t, lease);
}

/* Files of leases that have no link any more, and what was not written to its end. */
static int clear(struct restoring *s, const struct network *n, const char *which)
{
	int folder = open_leases(&s->d->config, n->n, which, s->err), r = 0;
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;

	if (!dir) {
		fd_close(folder);
		return folder < 0 ? folder
				  : error_errno(s->err, NULL, NULL, "Cannot read %s", which);
	}
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    (entry->d_name[0] != '.' && may_live(&s->d->truth, n, entry->d_name)))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			r = error_errno(s->err, NULL, NULL, "Cannot remove %s", entry->d_name);
		s->removed++;
	}
	closedir(dir);
	return r;
}

static int restore_network(void *ctx, const struct network *n)
{
	struct restoring *s = ctx;
	int r = 0;

	if (!network_is_served(n) || n->leaving)
		return 0;
	r = make_folders(&s->d->config, n->n, s->err);
	for (unsigned i = 0; leases[i] && r == 0; i++)
		r = clear(s, n, leases[i]);
	return r;
}

static int restore_lease(void *ctx, const struct lease *l)
{
	struct restoring *s = ctx;
	struct instance i;

	if (!network_is_served(&l->network))
		return 0;
	if (instance_load(&s->d->truth, l->instance, &i, s->err) < 0)
		i.name[0] = '\0'; /* a blank's */
	return put_both(&s->d->config, l, i.name, s->err);
}

static int restore_program(void *ctx, const struct network *n)
{
	struct restoring *s = ctx;
	char link[LINK_BYTES];

	network_link(s->tag, n->n, link);
	if (!network_is_served(n) || n->leaving || !if_nametoindex(link))
		return 0;
	return begin(&s->d->config, s->tag, n, s->err);
}

/* Whose network is not in the books: those may have been put back from an older copy. */
static int remove_strangers(struct restoring *s)
{
	struct error none;
	int folder = open_all(&s->d->config, &none), r = 0;
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;

	while (dir && r == 0 && (entry = readdir(dir)) != NULL) {
		int64_t number = strtoll(entry->d_name, NULL, 10);
		struct network n;

		if (number <= 0 || network_load(&s->d->truth, number, &n, &none) != -ENOENT)
			continue;
		r = remove_folder(&s->d->config, number, s->err);
		s->removed++;
	}
	if (dir)
		closedir(dir);
	return r;
}

int dnsmasq_restore(struct wispd *d, struct error *err)
{
	struct restoring s = { .d = d, .err = err };
	int r;

	network_tag(&d->truth, s.tag);
	r = network_each(&d->truth, NULL, restore_network, &s, err);
	if (r == 0)
		r = lease_each_alive(&d->truth, restore_lease, &s, err);
	if (r == 0)
		r = network_each(&d->truth, NULL, restore_program, &s, err);
	if (r == 0)
		r = remove_strangers(&s);
	return r < 0 ? r : s.removed;
}
