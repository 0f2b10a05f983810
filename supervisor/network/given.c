/* given.c - the rows of namespaces that instances were given. */
#include <errno.h>
#include <stdio.h>

#include "supervisor/books/store.h"
#include "supervisor/network/given.h"

int given_take(struct truth *t, const struct instance *i, const char *path, const char *link,
	       const char *actor, struct error *err)
{
	int64_t n = 0;
	int r = store_number(t->store, &n, err, "SELECT ifnull(max(n), 0) + 1 FROM netns", "");

	if (r == 0)
		r = store_run(t->store, err, "INSERT INTO netns VALUES (?, ?, ?, ?)", "siss", i->id,
			      n, path, link);
	if (r == -EEXIST)
		return error_set(err, -EEXIST, "netns", "choose another",
				 "Another instance has %s of %.200s", link, path);
	return r < 0 ? r
		     : instance_tell(t, i, "instance.netns", actor,
				     json_pack("{s:s, s:s}", "path", path, "link", link), NULL,
				     err);
}

int given_drop(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM netns WHERE instance = ?", "s", i->id);

	return r < 0 ? r : 0;
}

int given_load(struct truth *t, const char *instance, struct netns *ret, struct error *err)
{
	char tag[NETWORK_TAG_BYTES];
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT path, link, n FROM netns WHERE instance = ?", "s", instance);

	*ret = (struct netns){ .path = "" };
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		rows_text(&rows, 0, ret->path, sizeof(ret->path));
		rows_text(&rows, 1, ret->link, sizeof(ret->link));
		network_tag(t, tag);
		snprintf(ret->tap, sizeof(ret->tap), "wn%.6s%x", tag,
			 (unsigned)rows_int(&rows, 2) & 0xfffffffU);
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

json_t *given_describe(struct truth *t, const char *instance, struct error *err)
{
	struct netns n;

	if (given_load(t, instance, &n, err) < 0)
		return NULL;
	return n.path[0]
		       ? json_pack("{s:s, s:s, s:s}", "path", n.path, "link", n.link, "tap", n.tap)
		       : json_null();
}
