/* assign.c - a function changes hands: files of sysfs, and VFIO's own reset.
 *
 * driver_override names the one driver that may have a function, so that no other takes it
 * between two steps; it is written first and taken back before the old driver is asked
 * again. Which of these steps were done the function itself tells, so there is nothing to
 * remember when this is cut off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/device/assign.h"
#include "supervisor/device/tree.h"
#include "supervisor/device/vfio.h"
#include "vmm/base/fd.h"

enum { PATH_BYTES = 96 };

#define DRIVER "vfio-pci"

/* A path below the function's folder. */
static const char *attribute(char path[PATH_BYTES], const char *address, const char *name)
{
	snprintf(path, PATH_BYTES, "sys/bus/pci/devices/%s/%s", address, name);
	return path;
}

static int put(int root, const char *path, const char *text, struct error *err)
{
	int r = tree_write(root, path, text);

	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot write to /%s: %s", path, strerror(-r))
		     : 0;
}

static void read_driver(int root, const char *address, char driver[PCI_NAME_BYTES])
{
	char path[PATH_BYTES];

	tree_link_name(root, attribute(path, address, "driver"), driver, PCI_NAME_BYTES);
}

static int unbind(int root, const char *address, struct error *err)
{
	char path[PATH_BYTES];
	int r = put(root, attribute(path, address, "driver/unbind"), address, err);

	/* It has lost its driver meanwhile: that was the aim. */
	return r == -ENODEV || r == -ENOENT ? 0 : r;
}

static int bind_to_vfio(int root, const char *address, struct error *err)
{
	char path[PATH_BYTES], driver[PCI_NAME_BYTES];
	int r = put(root, attribute(path, address, "driver_override"), DRIVER, err);

	if (r < 0)
		return r;
	read_driver(root, address, driver);
	if (strcmp(driver, DRIVER) == 0)
		return 0;
	if (driver[0])
		r = unbind(root, address, err);
	if (r == 0)
		r = put(root, "sys/bus/pci/drivers_probe", address, err);
	if (r < 0)
		return r;
	read_driver(root, address, driver);
	if (strcmp(driver, DRIVER) == 0)
		return 0;
	return error_set(err, -ENXIO, NULL, "dmesg says why", "%s went to %s instead of " DRIVER,
			 address, driver[0] ? driver : "no driver");
}

static int open_root(const char *root, struct error *err)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? error_errno(err, NULL, NULL, "Cannot open %s", root) : fd;
}

/* Since it was claimed the host may have begun to use it: after a boot, it gets it first. */
static int check_use(const char *root, const char *address, struct error *err)
{
	const struct pci_function *f;
	struct inventory v;
	int r = inventory_read(root, &v, err);

	f = r < 0 ? NULL : inventory_find(&v, address);
	if (r == 0 && !f)
		r = error_set(err, -ENODEV, NULL, "look at the slot", "%s is gone", address);
	else if (r == 0 && f->use[0])
		r = error_set(err, -EBUSY, NULL, "end that first", "%s: %s", address, f->use);
	inventory_clear(&v);
	return r;
}

int assign_bind(const char *root, const char *address, struct error *err)
{
	int r = check_use(root, address, err), fd;

	if (r < 0)
		return r;
	fd = open_root(root, err);
	if (fd < 0)
		return fd;
	r = bind_to_vfio(fd, address, err);
	fd_close(fd);
	return r;
}

static int give_back(int root, const char *address, const char *driver, const char *override,
		     struct error *err)
{
	char path[PATH_BYTES], now[PCI_NAME_BYTES];
	int r;

	/* It has gone, and with it all that was done to it. */
	if (!tree_has(root, attribute(path, address, "vendor")))
		return 0;
	r = put(root, attribute(path, address, "driver_override"), override[0] ? override : "\n",
		err);
	read_driver(root, address, now);
	if (r == 0 && strcmp(now, DRIVER) == 0 && strcmp(driver, DRIVER) != 0)
		r = unbind(root, address, err);
	read_driver(root, address, now);
	if (r == 0 && driver[0] && !now[0]) {
		r = put(root, "sys/bus/pci/drivers_probe", address, err);
		/* A driver that refuses it is no reason to keep it. */
		r = r == -ENODEV || r == -EINVAL ? 0 : r;
	}
	return r;
}

int assign_give_back(const char *root, const char *address, const char *driver,
		     const char *override, char now[PCI_NAME_BYTES], struct error *err)
{
	int fd = open_root(root, err), r;

	if (fd < 0)
		return fd;
	r = give_back(fd, address, driver, override, err);
	read_driver(fd, address, now);
	fd_close(fd);
	return r;
}

void assign_locate(const char *root, const char *address, int *group, int *node)
{
	char path[PATH_BYTES], name[PCI_NAME_BYTES];
	struct error err;
	int fd = open_root(root, &err);

	*node = -1;
	if (fd < 0)
		return;
	*node = (int)tree_number(fd, attribute(path, address, "numa_node"), -1);
	if (tree_link_name(fd, attribute(path, address, "iommu_group"), name, sizeof(name)))
		*group = (int)strtol(name, NULL, 10);
	fd_close(fd);
}

/* --- proving --- */

static int check_health(const char *root, const char *address, const char *when, struct error *err)
{
	const struct pci_function *f;
	struct inventory v;
	int r = inventory_read(root, &v, err);

	f = r < 0 ? NULL : inventory_find(&v, address);
	if (r == 0 && !f)
		r = error_set(err, -EIO, NULL, "look at the slot", "%s is gone", address);
	else if (r == 0 && !f->answers)
		r = error_set(err, -EIO, NULL, "power the host off and on, or replace it",
			      "%s the reset the configuration space of %s reads as all ones", when,
			      address);
	else if (r == 0 && f->errors_fatal)
		r = error_set(err, -EIO, NULL, "replace it", "%s has had fatal errors", address);
	inventory_clear(&v);
	return r;
}

static int reset_by_file(int root, const char *address, struct error *err)
{
	char path[PATH_BYTES];
	int r = put(root, attribute(path, address, "reset"), "1", err);

	return r < 0 ? error_set(err, -EIO, NULL, "power the host off and on",
				 "%s cannot be reset: %s", address, strerror(-r))
		     : 0;
}

/* By VFIO where that can, else by the kernel's own choice of ways. */
static int reset(int root, bool real, const char *address, int group, char how[PCI_NAME_BYTES],
		 struct error *err)
{
	char path[PATH_BYTES], methods[16];
	int r = real ? vfio_reset(group, address, err) : VFIO_RESET_NONE;

	/* The kernel takes the first that it lists. */
	tree_text(root, attribute(path, address, "reset_method"), methods, sizeof(methods));
	methods[strcspn(methods, " ")] = '\0';
	snprintf(how, PCI_NAME_BYTES, "%s: %s", r == VFIO_RESET_NONE ? "file" : "vfio",
		 r == VFIO_RESET_BUS ? "bus" : methods);
	return r == VFIO_RESET_NONE ? reset_by_file(root, address, err) : r < 0 ? r : 0;
}

int assign_prove(const char *root, const char *address, int group, char how[PCI_NAME_BYTES],
		 struct error *err)
{
	int fd = open_root(root, err), r;

	how[0] = '\0';
	if (fd < 0)
		return fd;
	r = check_health(root, address, "Before", err);
	if (r == 0)
		r = reset(fd, strcmp(root, "/") == 0, address, group, how, err);
	if (r == 0)
		r = check_health(root, address, "After", err);
	fd_close(fd);
	return r;
}
