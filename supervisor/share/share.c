/* share.c - the rows of shares, and what may become one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/share/folder.h"
#include "supervisor/share/share.h"

#define TAG_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* --- what is asked for --- */

int share_parse(const char *text, struct share *ret, struct error *err)
{
	size_t path = strcspn(text, ":"), tag = 0;
	const char *rest = text + path;

	if (*rest)
		tag = strcspn(++rest, ":");
	*ret = (struct share){ .read_only = strcmp(rest + tag, ":ro") == 0 };
	if (path < sizeof(ret->path))
		memcpy(ret->path, text, path);
	if (tag < sizeof(ret->tag))
		memcpy(ret->tag, rest, tag);
	if (folder_name_plain(ret->path) && ret->tag[0] && strspn(ret->tag, TAG_LETTERS) == tag &&
	    (!rest[tag] || ret->read_only))
		return 0;
	return error_set(err, -EINVAL, "shares", "/FOLDER:TAG, or /FOLDER:TAG:ro",
			 "\"%.200s\" cannot be shared", text);
}

const struct shared_folder *share_allowed(const struct config *c, const char *tenant,
					  const char *path, const char **below)
{
	const struct shared_folder *best = NULL;

	for (uint32_t i = 0; i < c->nshares; i++) {
		const struct shared_folder *f = &c->shares[i];
		size_t len = strlen(f->path);

		if (strcmp(f->tenant, tenant) != 0 || strncmp(path, f->path, len) != 0 ||
		    (path[len] && path[len] != '/') || (best && strlen(best->path) > len))
			continue;
		best = f;
		*below = path + len + (path[len] == '/');
	}
	return best;
}

/* --- taking --- */

static int check(const struct config *c, const struct instance *i, const struct share *s,
		 struct error *err)
{
	const char *below = "";
	const struct shared_folder *f = share_allowed(c, i->tenant, s->path, &below);

	if (strcmp(i->runtime, "wisp") != 0)
		return error_set(err, -ENOTSUP, "shares", "only what wisp itself runs has shares",
				 "%s cannot be given to what %s runs", s->path, i->runtime);
	if (!f)
		return error_set(err, -EACCES, "shares",
				 "shares in wispd.json lists what a tenant may have",
				 "Guests of tenant %s may not have %s", i->tenant, s->path);
	if (f->read_only && !s->read_only)
		return error_set(err, -EACCES, "shares", "ask for it with :ro",
				 "Guests of tenant %s may only read %s", i->tenant, s->path);
	return 0;
}

static int tell(struct truth *t, const struct instance *i, const struct share *s, const char *actor,
		struct error *err)
{
	json_t *body = json_pack("{s:s, s:s, s:s, s:b}", "instance", i->id, "path", s->path, "tag",
				 s->tag, "read_only", s->read_only);
	struct ledger_event e = {
		.type = "instance.shared", .tenant = i->tenant, .actor = actor, .body = body
	};
	int r = body ? ledger_append(t->ledger, &e, NULL, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

int share_take(struct truth *t, const struct config *c, const struct instance *i,
	       const char q[][SHARE_REQUEST_BYTES], unsigned count, const char *actor,
	       struct error *err)
{
	int r = 0;

	for (unsigned slot = 0; slot < count && r == 0; slot++) {
		struct share s;

		r = share_parse(q[slot], &s, err);
		if (r == 0)
			r = check(c, i, &s, err);
		if (r == 0)
			r = store_run(t->store, err, "INSERT INTO share VALUES (?, ?, ?, ?, ?)",
				      "sissi", i->id, (int64_t)slot, s.path, s.tag,
				      (int64_t)s.read_only);
		if (r == -EEXIST)
			return error_set(err, -EEXIST, "shares", "choose another tag",
					 "Two shares have the tag %s", s.tag);
		if (r >= 0)
			r = tell(t, i, &s, actor, err);
	}
	return r;
}

int share_drop(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM share WHERE instance = ?", "s", i->id);

	return r < 0 ? r : 0;
}

/* --- reading --- */

int share_load(struct truth *t, const char *instance, struct share ret[SHARES_MAX],
	       struct error *err)
{
	struct rows rows;
	int count = 0;
	int r = store_select(t->store, &rows, err,
			     "SELECT path, tag, read_only FROM share WHERE instance = ?"
			     " ORDER BY slot",
			     "s", instance);

	if (r < 0)
		return r;
	while (count < SHARES_MAX && (r = rows_next(&rows, err)) > 0) {
		struct share *s = &ret[count++];

		*s = (struct share){ .read_only = rows_int(&rows, 2) };
		rows_text(&rows, 0, s->path, sizeof(s->path));
		rows_text(&rows, 1, s->tag, sizeof(s->tag));
	}
	rows_end(&rows);
	return r < 0 ? r : count;
}

json_t *share_list(struct truth *t, const char *instance, struct error *err)
{
	struct share shares[SHARES_MAX];
	int count = share_load(t, instance, shares, err);
	json_t *list = count < 0 ? NULL : json_array();

	for (int n = 0; n < count; n++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b}", "path", shares[n].path, "tag",
						shares[n].tag, "read_only", shares[n].read_only));
	return list;
}
