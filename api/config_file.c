/* config_file.c - a machine from one JSON file, in Firecracker's form.
 *
 * The file is one object, checked whole against body_description before any of it
 * reaches the machine, with the tables that check the API's bodies. It is read to
 * its end rather than by its size, so that a pipe will do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/config_file.h"
#include "api/description.h"
#include "api/schema.h"
#include "vmm/base/fd.h"

enum { FIRST_READ_BYTES = 4096 };

static ssize_t read_some(int fd, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The rest of fd into *ret, at most CONFIG_FILE_BYTES. 0 or a negative errno. */
static int read_all(int fd, char **ret, size_t *ret_len)
{
	size_t room = FIRST_READ_BYTES, used = 0;
	char *text = malloc(room);
	ssize_t n = text ? 0 : -1;

	while (text && (n = read_some(fd, text + used, room - used)) > 0) {
		char *bigger;

		used += (size_t)n;
		if (used < room)
			continue;
		errno = EFBIG;
		bigger = room < CONFIG_FILE_BYTES ? realloc(text, room * 2) : NULL;
		if (!bigger) {
			n = -1;
			break;
		}
		text = bigger;
		room *= 2;
	}
	if (n < 0) {
		int r = -errno;

		free(text);
		return r;
	}
	*ret = text;
	*ret_len = used;
	return 0;
}

/* field: what an error is about, or NULL. */
static int load_text(const char *path, const char *field, char **ret, size_t *len,
		     struct error *err)
{
	int fd = fd_open(path, O_RDONLY, 0);

	if (fd < 0)
		return error_errno(err, field, "give the path of a readable file", "Cannot open");

	int r = read_all(fd, ret, len);

	fd_close(fd);
	if (r == -EFBIG)
		return error_set(err, r, field, NULL, "The file has more than %d bytes",
				 CONFIG_FILE_BYTES);
	if (r < 0)
		return error_set(err, r, field, "give the path of a readable file",
				 "Cannot read: %s", strerror(-r));
	return 0;
}

static int parse_text(const char *text, size_t len, struct machine_description *d,
		      struct error *err)
{
	json_t *j = body_parse(text, len, err);

	if (!j)
		return err->code;

	int r = body_read(&body_description, j, 0, d, err);

	json_decref(j);
	return r;
}

/* A CPU template is a file of its own, in the form of the API's body. */
static int apply_cpu_file(struct vm *vm, const char *path, struct error *err)
{
	struct cpu_config *c = calloc(1, sizeof(*c));
	char *text = NULL;
	size_t len = 0;
	int r = c ? load_text(path, NULL, &text, &len, err)
		  : error_set(err, -ENOMEM, NULL, NULL, "No memory");

	if (r == 0)
		r = body_read_text(&body_cpu, text, len, 0, c, err);
	if (r >= 0)
		r = vm_put_cpu(vm, c, err);
	free(text);
	free(c);
	return r;
}

static int apply(struct vm *vm, const struct machine_description *d, struct error *err)
{
	int r = 0;

	if (d->cpu_config_path[0])
		r = apply_cpu_file(vm, d->cpu_config_path, err);
	if (r < 0) {
		body_prefix_field(err, "cpu-config", -1);
		return r;
	}
	return description_apply(vm, d, err);
}

/* Every message begins with the file's name. */
static void name_file(struct error *err, const char *kind, const char *path)
{
	char text[sizeof(err->text)];

	memcpy(text, err->text, sizeof(text));
	snprintf(err->text, sizeof(err->text), "%s file %.128s: %.360s", kind, path, text);
}

int config_file_apply(struct vm *vm, const char *path, struct error *err)
{
	struct machine_description *d = calloc(1, sizeof(*d));
	struct error why = { 0 };
	char *text = NULL;
	size_t len = 0;
	int r;

	if (!d)
		return error_set(err, -ENOMEM, "config-file", NULL,
				 "Configuration file %.128s: No memory", path);
	r = load_text(path, "config-file", &text, &len, &why);
	if (r == 0)
		r = parse_text(text, len, d, &why);
	if (r >= 0)
		r = apply(vm, d, &why);
	if (r < 0) {
		name_file(&why, "Configuration", path);
		if (err)
			*err = why;
	}
	free(text);
	free(d);
	return r < 0 ? r : 0;
}

int config_file_metadata(struct vm *vm, const char *path, struct error *err)
{
	struct error why = { 0 };
	json_t *data = NULL;
	char *text = NULL;
	size_t len = 0;
	int r = load_text(path, "metadata", &text, &len, &why);

	if (r == 0) {
		data = body_parse(text, len, &why);
		r = data ? vm_put_metadata(vm, data, &why) : why.code;
	}
	if (r < 0) {
		name_file(&why, "Metadata", path);
		*err = why;
	}
	json_decref(data);
	free(text);
	return r;
}
