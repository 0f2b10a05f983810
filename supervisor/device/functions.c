/* functions.c - sysfs makes virtual functions, rtnetlink says what they are on the wire. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/device/claims.h"
#include "supervisor/device/functions.h"
#include "supervisor/device/tree.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { PATH_BYTES = 96 };

/* --- making them --- */

static const char *attribute(char path[PATH_BYTES], const struct functions *f, const char *name)
{
	snprintf(path, PATH_BYTES, "sys/bus/pci/devices/%s/%s", f->address, name);
	return path;
}

static int set_count(int root, const struct functions *f, unsigned count, struct error *err)
{
	char path[PATH_BYTES], text[16];
	int r;

	snprintf(text, sizeof(text), "%u", count);
	r = tree_write(root, attribute(path, f, "sriov_numvfs"), text);
	if (r == -ENOENT)
		return error_set(err, -ENOTSUP, "device", "bind the driver that its maker wrote",
				 "The driver of %s makes no virtual functions", f->address);
	return r < 0 ? error_set(err, r, "device", "dmesg says why",
				 "%s does not make %u virtual functions: %s", f->address, count,
				 strerror(-r))
		     : 0;
}

/* From one number to another the way is by none. */
static int make(int root, const struct functions *f, struct error *err)
{
	char path[PATH_BYTES];
	int64_t now = tree_number(root, attribute(path, f, "sriov_numvfs"), 0);
	int r = 0;

	if (now == f->count)
		return 0;
	/* Older kernels have no such file, and give each to a driver that wants it. */
	(void)tree_write(root, attribute(path, f, "sriov_drivers_autoprobe"), "0");
	if (now > 0)
		r = set_count(root, f, 0, err);
	return r == 0 && f->count ? set_count(root, f, f->count, err) : r;
}

/* The interface of the physical function. */
static int find_interface(int root, const struct functions *f, char *ret, size_t size,
			  struct error *err)
{
	char path[PATH_BYTES];
	DIR *dir = tree_list(root, attribute(path, f, "net"));
	struct dirent *e;

	*ret = '\0';
	while (dir && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			snprintf(ret, size, "%.*s", (int)size - 1, e->d_name);
	if (dir)
		closedir(dir);
	return *ret ? 0
		    : error_set(err, -EINVAL, "links", "leave them out",
				"%s has no interface of a network", f->address);
}

static int set_links(int root, const struct functions *f, struct error *err)
{
	char interface[PCI_NAME_BYTES];
	int r = f->nlinks ? find_interface(root, f, interface, sizeof(interface), err) : 0;

	for (unsigned i = 0; i < f->nlinks && r == 0; i++)
		r = link_set_function(interface, i, &f->link[i], err);
	return r;
}

int functions_apply(const char *root, const struct functions *f, struct error *err)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return error_errno(err, NULL, NULL, "Cannot open %s", root);
	r = make(fd, f, err);
	if (r == 0)
		r = set_links(fd, f, err);
	fd_close(fd);
	return r;
}

/* --- books --- */

static int check(struct wispd *d, const struct inventory *v, const struct functions *f,
		 struct error *err)
{
	const struct pci_function *physical = inventory_find(v, f->address);
	int r = claims_check_free(d, f->address, err);

	if (!physical)
		return error_set(err, -ENOENT, "device", "wispctl device list",
				 "There is no device %.32s", f->address);
	if (f->count > physical->virtuals_most)
		return error_set(err, -ERANGE, "count", NULL, "%.32s can have %u virtual functions",
				 f->address, physical->virtuals_most);
	if (f->nlinks > f->count)
		return error_set(err, -EINVAL, "links", NULL,
				 "There are more links than functions");
	for (unsigned i = 0; i < v->count && r == 0; i++)
		if (strcmp(v->functions[i].physical, f->address) == 0)
			r = claims_check_free(d, v->functions[i].address, err);
	return r;
}

static json_t *describe_links(const struct functions *f)
{
	json_t *links = json_array();

	for (unsigned i = 0; i < f->nlinks; i++)
		json_array_append_new(links, json_pack("{s:s, s:I, s:b}", "mac", f->link[i].mac,
						       "vlan", (json_int_t)f->link[i].vlan,
						       "trusted", f->link[i].trusted));
	return links;
}

static int write_row(struct wispd *d, const struct functions *f, const char *actor,
		     struct error *err)
{
	json_t *links = describe_links(f);
	char *text = json_dumps(links, JSON_COMPACT);
	json_t *body = json_pack("{s:s, s:i, s:o}", "address", f->address, "count", (int)f->count,
				 "links", links);
	const struct ledger_event e = { .type = "device.functions", .actor = actor, .body = body };
	int r = text && body ? store_run(d->truth.store, err,
					 "INSERT OR REPLACE INTO device_functions VALUES (?, ?, ?)",
					 "sis", f->address, (int64_t)f->count, text)
			     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	if (r >= 0)
		r = ledger_append(d->truth.ledger, &e, NULL, err);
	free(text);
	json_decref(body);
	return r;
}

int functions_forget(struct wispd *d, const char *address, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM device_functions WHERE address = ?",
			  "s", address);

	return r < 0 ? r : 0;
}

int functions_write(struct wispd *d, const struct functions *f, const char *actor,
		    struct error *err)
{
	struct inventory v;
	int r = inventory_read(d->config.device_root, &v, err);

	if (r == 0)
		r = check(d, &v, f, err);
	inventory_clear(&v);
	if (r == 0)
		r = write_row(d, f, actor, err);
	return r == 0 && !f->count ? functions_forget(d, f->address, err) : r;
}

/* --- after a boot --- */

static void read_link(const json_t *j, struct link_function *ret)
{
	const char *mac = json_string_value(json_object_get(j, "mac"));

	snprintf(ret->mac, sizeof(ret->mac), "%s", mac ? mac : "");
	ret->vlan = (uint64_t)json_integer_value(json_object_get(j, "vlan"));
	ret->trusted = json_is_true(json_object_get(j, "trusted"));
}

static void read_row(const struct rows *rows, struct functions *ret)
{
	json_t *links = json_loads(rows_string(rows, 2), 0, NULL), *j;
	size_t i;

	*ret = (struct functions){ .count = (unsigned)rows_int(rows, 1) };
	rows_text(rows, 0, ret->address, sizeof(ret->address));
	json_array_foreach(links, i, j) if (i < FUNCTIONS_LINKS_MAX)
		read_link(j, &ret->link[ret->nlinks++]);
	json_decref(links);
}

int functions_sweep(struct wispd *d, struct error *err)
{
	struct functions *f = malloc(sizeof(*f));
	struct rows rows;
	int r = f ? store_select(d->truth.store, &rows, err,
				 "SELECT address, count, links FROM device_functions", "")
		  : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	int done = 0;

	if (r < 0 || !f) {
		free(f);
		return r;
	}
	while ((r = rows_next(&rows, err)) > 0) {
		struct error fault;

		read_row(&rows, f);
		if (functions_apply(d->config.device_root, f, &fault) < 0)
			log_warn("%s", fault.text);
		else
			done++;
	}
	rows_end(&rows);
	free(f);
	return r < 0 ? r : done;
}
