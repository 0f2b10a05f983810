/* moddep.c - modules.dep, as a list of lines that are walked depth first.
 *
 * depmod lists a module's dependencies whole and in an order that insmod could
 * follow backwards. The walk here relies on neither: it takes each dependency's
 * own line first, so that any correct file gives a correct order.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/testhost/moddep.h"

enum state { FRESH, OPEN, TAKEN };

struct entry {
	char *path;
	char *needs; /* the rest of the line */
	enum state state;
};

struct moddep {
	char *text;
	struct entry *entries;
	size_t count;
};

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n + 1; /* the last line may lack its newline */
}

static int parse_lines(struct moddep *d)
{
	char *rest = d->text, *line;

	while ((line = strsep(&rest, "\n"))) {
		char *colon = strchr(line, ':');

		if (*line == '\0')
			continue;
		if (!colon)
			return -EINVAL;
		*colon = '\0';
		d->entries[d->count++] = (struct entry){ .path = line, .needs = colon + 1 };
	}
	return 0;
}

int moddep_parse(const char *text, size_t len, struct moddep **ret)
{
	struct moddep *d = calloc(1, sizeof(*d));
	int r = -ENOMEM;

	if (!d)
		return r;
	d->text = strndup(text, len);
	if (!d->text)
		goto fail;
	d->entries = calloc(count_lines(d->text), sizeof(*d->entries));
	if (!d->entries)
		goto fail;
	r = parse_lines(d);
	if (r < 0)
		goto fail;
	*ret = d;
	return 0;

fail:
	moddep_destroy(d);
	return r;
}

void moddep_destroy(struct moddep *d)
{
	if (!d)
		return;
	free(d->entries);
	free(d->text);
	free(d);
}

/* True when path is ".../NAME.ko" or a compressed one. */
static bool path_is_module(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	const char *at = slash ? slash + 1 : path;

	for (; *name; at++, name++) {
		char a = *at == '-' ? '_' : *at;
		char b = *name == '-' ? '_' : *name;

		if (a != b)
			return false;
	}
	return strncmp(at, ".ko", 3) == 0 && (at[3] == '\0' || at[3] == '.');
}

static struct entry *find_path(struct moddep *d, const char *path, size_t len)
{
	for (size_t i = 0; i < d->count; i++) {
		if (strncmp(d->entries[i].path, path, len) == 0 && !d->entries[i].path[len])
			return &d->entries[i];
	}
	return NULL;
}

static int take_entry(struct moddep *d, struct entry *m, moddep_fn fn, void *arg)
{
	if (m->state == TAKEN)
		return 0;
	if (m->state == OPEN)
		return -ELOOP;
	m->state = OPEN;

	const char *at = m->needs;

	for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");
		struct entry *need = find_path(d, at, len);
		int r = need ? take_entry(d, need, fn, arg) : -ENOENT;

		if (r < 0)
			return r;
		at += len;
	}
	m->state = TAKEN;
	return fn(arg, m->path);
}

int moddep_take(struct moddep *d, const char *name, moddep_fn fn, void *arg)
{
	for (size_t i = 0; i < d->count; i++) {
		if (path_is_module(d->entries[i].path, name))
			return take_entry(d, &d->entries[i], fn, arg);
	}
	return -ENOENT;
}
