/* tool_edit.c - wisp-snapshot edit: a snapshot for another place.
 *
 * What the host gives a machine (files, taps, sockets, its id) stands in the manifest and
 * nowhere else, so it can be changed there; what the guest has seen stands in the other
 * sections, which stay as they are. The memory file belongs to both states. Whether the
 * new values are any good is for a load to say, as it is for those that were saved.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/tool.h"

/* "drive.rootfs=/some/path": the word, the id where there can be several, the value. */
static const struct setting {
	const char *word;
	const char *list, *id; /* in the manifest's config; id NULL: an object, not a list */
	const char *member;
	const char *instead; /* of this member, which excludes it; NULL: of none */
} settings[] = {
	{ "drive", "drives", "drive_id", "path_on_host", "socket" },
	{ "socket", "drives", "drive_id", "socket", "path_on_host" },
	{ "pmem", "pmem", "id", "path_on_host", NULL },
	{ "tap", "network-interfaces", "iface_id", "host_dev_name", "passt_socket" },
	{ "passt", "network-interfaces", "iface_id", "passt_socket", "host_dev_name" },
	{ "mac", "network-interfaces", "iface_id", "guest_mac", NULL },
	{ "vsock", "vsock", NULL, "uds_path", NULL },
	{ "console", "console", NULL, "uds_path", "pty_path" },
	{ "pty", "console", NULL, "pty_path", "uds_path" },
};

/* --- one setting --- */

/* Cut apart in a copy of its own. */
struct words {
	char *copy;
	const char *word, *id, *value; /* id NULL: none was given */
};

/* False: out of memory, or it is none. */
static bool split(const char *text, struct words *ret, struct error *err)
{
	char *copy = strdup(text), *equals = copy ? strchr(copy, '=') : NULL, *dot;

	*ret = (struct words){ .copy = copy, .word = copy };
	if (!equals || !equals[1]) {
		error_set(err, copy ? -EINVAL : -ENOMEM, "SETTING", "give NAME=VALUE",
			  "\"%.64s\" sets nothing", text);
		return false;
	}
	*equals = '\0';
	ret->value = equals + 1;
	dot = strchr(copy, '.');
	if (dot)
		*dot = '\0';
	ret->id = dot ? dot + 1 : NULL;
	return true;
}

static const struct setting *find_setting(const char *word)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(settings[i].word, word) == 0)
			return &settings[i];
	}
	return NULL;
}

/* The one of the list that has this id, or NULL. */
static json_t *find_element(const json_t *list, const char *member, const char *id)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *element = json_array_get(list, i);
		const char *name = json_string_value(json_object_get(element, member));

		if (name && id && strcmp(name, id) == 0)
			return element;
	}
	return NULL;
}

static int set_member(json_t *config, const struct setting *s, const struct words *w,
		      struct error *err)
{
	json_t *place = json_object_get(config, s->list);

	if (s->id)
		place = find_element(place, s->id, w->id);
	if (!json_is_object(place) || (!s->id && w->id))
		return error_set(err, -ENODEV, "SETTING",
				 s->id ? "name one that info shows" : "see info",
				 "The snapshot has no %s%s%.64s", w->word, w->id ? " " : "",
				 w->id ? w->id : "");
	if (s->instead)
		json_object_del(place, s->instead);
	if (json_object_set_new(place, s->member, json_string(w->value)) < 0)
		return error_set(err, -EINVAL, "SETTING", "give it in UTF-8",
				 "The value of %s is no text", w->word);
	return 0;
}

static int set(json_t *manifest, const struct words *w, struct error *err)
{
	const struct setting *s = find_setting(w->word);

	if (s)
		return set_member(json_object_get(manifest, "config"), s, w, err);
	if (strcmp(w->word, "id") == 0 && !w->id &&
	    json_object_set_new(manifest, "id", json_string(w->value)) == 0)
		return 0;
	return error_set(err, -EINVAL, "SETTING", "see wisp-snapshot(1)", "\"%.64s\" cannot be set",
			 w->word);
}

static int apply(json_t *manifest, const char *text, struct error *err)
{
	struct words w;
	int r = split(text, &w, err) ? set(manifest, &w, err) : -EINVAL;

	free(w.copy);
	return r;
}

/* --- the state --- */

static int write_out(const char *path, struct state *s, struct error *err)
{
	struct staged_file f;
	size_t len;
	const void *bytes = state_seal(s, &len);
	int r = bytes ? staged_file_open(&f, path, "OUTPUT", err) : state_error(s, err);

	if (!bytes)
		return r;
	if (r == 0) {
		r = fd_pwrite_all(f.fd, bytes, len, 0);
		if (r < 0)
			error_set(err, r, "OUTPUT", "is there room on its disk?",
				  "The state cannot be written: %s", strerror(-r));
	}
	if (r == 0)
		r = staged_file_sync(&f, err);
	if (r == 0)
		r = staged_file_publish(&f, err);
	staged_file_drop(&f);
	return r;
}

static int write_edited(const char *path, const struct state *old, const json_t *manifest,
			struct error *err)
{
	char *text = json_dumps(manifest, JSON_COMPACT);
	struct state *s = NULL;
	int r = text ? state_remake(old, text, strlen(text), &s) : -ENOMEM;

	if (r < 0)
		error_set(err, r, NULL, NULL, "The state cannot be put together: %s", strerror(-r));
	else
		r = write_out(path, s, err);
	state_destroy(s);
	free(text);
	return r;
}

int tool_edit(char *const argv[], struct error *err)
{
	struct state *s = NULL;
	json_t *manifest = NULL;
	int r = snapshot_read_state(argv[0], "STATE", &s, err);

	if (r == 0)
		r = tool_manifest(s, &manifest, err);
	for (unsigned i = 2; r == 0 && argv[i]; i++)
		r = apply(manifest, argv[i], err);
	if (r == 0)
		r = write_edited(argv[1], s, manifest, err);
	json_decref(manifest);
	state_destroy(s);
	return r;
}
