/* console.c - reading and trimming the console's file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/life/console.h"
#include "supervisor/life/launch.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { PART_BYTES = 64 << 10, BLOCK_BYTES = 4096 };

/* Length of the UTF-8 sequence at s, 0: none; -1: it may go on behind the end. */
static int sequence(const uint8_t *s, size_t left)
{
	size_t len = s[0] < 0x80	     ? 1
		     : s[0] >> 5 == 6	     ? 2
		     : s[0] >> 4 == 14	     ? 3
		     : (s[0] & 0xf8) == 0xf0 ? 4
					     : 0;

	for (size_t i = 1; i < len; i++) {
		if (i >= left)
			return -1;
		if (s[i] >> 6 != 2)
			return 0;
	}
	return (int)len;
}

/* A string of JSON out of anything; *used: of data, up to a sequence that is cut off. */
static json_t *to_text(const uint8_t *data, size_t len, size_t *used)
{
	char *text = malloc(len + 1);
	size_t at = 0, n = 0;
	json_t *j = NULL;

	while (text && at < len) {
		int size = sequence(data + at, len - at);

		if (size < 0 && len == PART_BYTES)
			break;
		if (size > 1) {
			/* Overlong forms and the like jansson would refuse. */
			j = json_stringn((const char *)data + at, (size_t)size);
			size = j ? size : 0;
			json_decref(j);
		}
		if (size <= 0 || data[at] == 0) {
			text[n++] = '?';
			at++;
			continue;
		}
		memcpy(text + n, data + at, (size_t)size);
		n += (size_t)size;
		at += (size_t)size;
	}
	j = text ? json_stringn(text, n) : NULL;
	free(text);
	*used = at;
	return j;
}

static json_t *read_part(int fd, int64_t from, int64_t keep, struct error *err)
{
	uint8_t *data = malloc(PART_BYTES);
	struct stat st = { 0 };
	size_t used = 0;
	ssize_t n = -1;
	json_t *text = NULL;

	if (data && fstat(fd, &st) == 0) {
		if (st.st_size > keep && from < st.st_size - keep)
			from = st.st_size - keep;
		n = pread(fd, data, PART_BYTES, from);
	}
	if (n >= 0)
		text = to_text(data, (size_t)n, &used);
	free(data);
	if (!text) {
		error_set(err, -EIO, NULL, NULL, "Cannot read the console");
		return NULL;
	}
	return json_pack("{s:o, s:I, s:I, s:I}", "text", text, "from", (json_int_t)from, "next",
			 (json_int_t)from + (json_int_t)used, "end", (json_int_t)st.st_size);
}

static int open_log_again(const struct launch *l, struct error *err)
{
	char path[32];
	int append = l->runtime->open_log(l, err), fd;

	if (append < 0)
		return append;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", append);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	fd_close(append);
	return fd;
}

json_t *console_read(struct wispd *d, const struct instance *i, bool vmm, int64_t from,
		     struct error *err)
{
	struct launch *l = calloc(1, sizeof(*l));
	json_t *j = NULL;
	int fd = -ENOMEM;

	if (!l)
		return NULL;
	l->config = &d->config;
	l->runtime = runtime_find(i->runtime);
	snprintf(l->id, sizeof(l->id), "%s", i->id);
	if (l->runtime)
		fd = vmm ? open_log_again(l, err) : l->runtime->open_console(l, err);
	if (fd >= 0)
		j = read_part(fd, from, (int64_t)d->config.console_max_bytes, err);
	else if (fd == -ENOENT)
		j = json_pack("{s:s, s:i, s:i, s:i}", "text", "", "from", 0, "next", 0, "end", 0);
	fd_close(fd);
	free(l);
	return j;
}

/* Behind the end of any file. */
static const int64_t END = INT64_C(1) << 60;

json_t *console_tail(struct wispd *d, const struct instance *i, bool vmm, int64_t bytes)
{
	struct error err;
	json_t *whole = console_read(d, i, vmm, END, &err), *part, *text;
	int64_t end = json_integer_value(json_object_get(whole, "end"));

	part = whole ? console_read(d, i, vmm, end > bytes ? end - bytes : 0, &err) : NULL;
	text = json_object_get(part, "text");
	text = text ? json_incref(text) : json_null();
	json_decref(part);
	json_decref(whole);
	return text;
}

void console_trim(struct wispd *d, const char *id)
{
	struct launch *l = calloc(1, sizeof(*l));
	const int64_t keep = (int64_t)d->config.console_max_bytes;
	struct instance i;
	struct error err;
	struct stat st;
	int fd;

	if (!l || instance_load(&d->truth, id, &i, &err) < 0) {
		free(l);
		return;
	}
	l->config = &d->config;
	l->runtime = runtime_find(i.runtime);
	snprintf(l->id, sizeof(l->id), "%s", id);
	fd = l->runtime ? l->runtime->open_console(l, &err) : -1;
	if (fd >= 0 && fstat(fd, &st) == 0 && (int64_t)st.st_blocks * 512 > keep + BLOCK_BYTES &&
	    st.st_size > keep) {
		/* Where files have no holes the rate alone limits it. */
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      (st.st_size - keep) / BLOCK_BYTES * BLOCK_BYTES) < 0)
			log_guest("%s: cannot trim its console: %s", id, strerror(errno));
	}
	fd_close(fd);
	free(l);
}
