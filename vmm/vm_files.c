/* vm_files.c - what of the host's files a microVM may still open once it has started.
 *
 * Everything that a configuration names is opened before the start. What can be needed
 * after that is little: a drive's file once more, when it has grown; the folders of
 * sockets, to remove these at the end; and what a guest that boots again
 * (--on-reboot restart) makes its devices from. Landlock's rules are these, and what the
 * command line allows on top, for files that API requests will name: drives that come
 * later, snapshots. Rules cannot be added after the start, so a request that names another
 * file is refused. A blank is confined while it waits, before its snapshot is known: it
 * can load what the command line allows.
 *
 * Descriptors ("fd:N") need no rule: a microVM that has nothing but descriptors can open
 * nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/fd.h"
#include "vmm/base/landlock.h"
#include "vmm/base/log.h"
#include "vmm/vm_parts.h"

/* What path names may be gone since it was opened: then there is nothing to open again. */
static int allow(struct vm *vm, const char *path, unsigned rights)
{
	int r = path[0] && !fd_is_named(path) ? landlock_allow(vm->options.landlock, path, rights)
					      : 0;

	return r == -ENOENT ? 0 : r;
}

static int allow_folder_of(struct vm *vm, const char *path, unsigned rights)
{
	int r = path[0] && !fd_is_named(path)
			? landlock_allow_folder_of(vm->options.landlock, path, rights)
			: 0;

	return r == -ENOENT ? 0 : r;
}

static int allow_file(struct vm *vm, const char *path, bool read_only)
{
	return allow(vm, path,
		     read_only ? LANDLOCK_READ : LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_CONTROL);
}

static int allow_drives(struct vm *vm)
{
	const struct drive_config *drive;
	const struct pmem_config *pmem;
	int r = 0;

	for (unsigned i = 0; r == 0 && (drive = vm_drive(vm, i)) != NULL; i++) {
		r = allow_file(vm, drive->path_on_host, drive->is_read_only);
		if (r == 0)
			r = allow_folder_of(vm, drive->socket, LANDLOCK_CONNECT);
	}
	for (unsigned i = 0; r == 0 && (pmem = vm_pmem(vm, i)) != NULL; i++)
		r = allow_file(vm, pmem->path_on_host, pmem->read_only);
	return r;
}

/* A guest connects to sockets beside the device's own, and wisp to back ends that were
 * gone. */
static int allow_sockets(struct vm *vm)
{
	const unsigned remade = vm->options.restart ? LANDLOCK_MAKE : 0;
	const struct shared_directory_config *directory;
	const struct vsock_config *vsock = vm_vsock(vm);
	const struct console_config *console = vm_console(vm);
	const struct net_config *net;
	int r = 0;

	if (vsock)
		r = allow_folder_of(vm, vsock->uds_path,
				    LANDLOCK_CONNECT | LANDLOCK_REMOVE | remade);
	if (console && r == 0)
		r = allow_folder_of(vm,
				    console->uds_path[0] ? console->uds_path : console->pty_path,
				    LANDLOCK_REMOVE);
	for (unsigned i = 0; r == 0 && (directory = vm_shared_directory(vm, i)) != NULL; i++)
		r = allow_folder_of(vm, directory->socket, LANDLOCK_CONNECT);
	for (unsigned i = 0; r == 0 && (net = vm_net(vm, i)) != NULL; i++)
		r = allow_folder_of(vm, net->passt_socket, LANDLOCK_CONNECT);
	return r;
}

static int allow_kvm(struct vm *vm)
{
	return allow_file(vm, vm->options.kvm ? vm->options.kvm : "/dev/kvm", false);
}

static int allow_restart(struct vm *vm)
{
	const struct net_config *net;
	int r;

	if (!vm->options.restart)
		return 0;
	r = allow_kvm(vm);
	for (unsigned i = 0; r == 0 && (net = vm_net(vm, i)) != NULL; i++) {
		if (!net->passt_socket[0] && !fd_is_named(net->host_dev_name))
			r = allow(vm, "/dev/net/tun",
				  LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_CONTROL);
	}
	return r;
}

/* What a blank will load is not known yet, but for what the command line allows. */
static int allow_blank(struct vm *vm)
{
	int r = vm->is_blank ? allow_kvm(vm) : 0;

	return r == 0 && vm->is_blank ? allow_file(vm, "/dev/net/tun", false) : r;
}

/* What a live snapshot needs beside the folder of its files: without one that the command
 * line allows there is none. */
static int allow_userfaults(struct vm *vm, unsigned given)
{
	if (given == 0)
		return 0;
	return allow(vm, "/dev/userfaultfd", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_CONTROL);
}

int vm_confine_files(struct vm *vm, struct error *err)
{
	struct landlock *l = vm->options.landlock;
	unsigned given;
	int r;

	if (!l || vm->files_confined)
		return 0;
	given = landlock_count(l);
	r = allow_drives(vm);
	if (r == 0)
		r = allow_sockets(vm);
	if (r == 0)
		r = allow_restart(vm);
	if (r == 0)
		r = allow_blank(vm);
	if (r == 0)
		r = allow_userfaults(vm, given);
	if (r == 0)
		r = landlock_restrict(l);
	if (r < 0)
		return error_set(err, r, "landlock", "--landlock off",
				 "The files cannot be confined: %s", strerror(-r));
	vm->files_confined = true;
	log_debug("Landlock: %u rules", landlock_count(l));
	return 0;
}

int vm_explain_refusal(const struct vm *vm, int r, struct error *err)
{
	if (r == -EACCES && vm->files_confined && err)
		snprintf(err->hint, sizeof(err->hint),
			 "Landlock keeps wisp to what was named before the start: allow the "
			 "folder by --allow-path");
	return r;
}

/* --- descriptors that the process was started with --- */

static int check_other(const char *path, bool is_other, const char *other, const char *field,
		       struct error *err)
{
	if (!is_other || strcmp(path, other) != 0)
		return 0;
	return error_set(err, -EBUSY, field, "pass a descriptor for each device",
			 "The descriptor %s is another device's", path);
}

/* Two devices with one open file would have one lock and one set of flags. */
int vm_check_descriptor(const struct vm *vm, enum slot_kind kind, const char *id, const char *path,
			const char *field, struct error *err)
{
	const struct drive_config *drive;
	const struct pmem_config *pmem;
	const struct net_config *net;
	int r = 0;

	if (!fd_is_named(path))
		return 0;
	for (unsigned i = 0; r == 0 && (drive = vm_drive(vm, i)) != NULL; i++)
		r = check_other(path, kind != SLOT_DRIVE || strcmp(drive->drive_id, id) != 0,
				drive->path_on_host, field, err);
	for (unsigned i = 0; r == 0 && (pmem = vm_pmem(vm, i)) != NULL; i++)
		r = check_other(path, kind != SLOT_PMEM || strcmp(pmem->id, id) != 0,
				pmem->path_on_host, field, err);
	for (unsigned i = 0; r == 0 && (net = vm_net(vm, i)) != NULL; i++)
		r = check_other(path, kind != SLOT_NET || strcmp(net->iface_id, id) != 0,
				net->host_dev_name, field, err);
	return r;
}

int vm_check_connection(const struct vm *vm, const char *path, const char *field, struct error *err)
{
	if (!fd_is_named(path) || !vm->options.restart)
		return 0;
	return error_set(err, -EINVAL, field, "give the path of its socket",
			 "A guest that is to boot again needs a new connection, and %s is one",
			 path);
}
