/* data.c - what the metadata service knows: one JSON document of a limited size.
 *
 * A patch is made on a copy, so that one that does not fit changes nothing. Jansson's
 * parser bounds the depth of what comes in, and with it every recursion here.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "devices/mmds/data.h"

enum {
	/* Longer than any request's. */
	PATH_BYTES = 4096,
	/* Digits of a double: what every one has, and what tells any two apart. */
	MIN_DIGITS = 15,
	MAX_DIGITS = 17,
	DOUBLE_CHARS = 32,
};

static int check_size(const struct data *d, const json_t *value)
{
	size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);

	return len > d->limit_bytes ? -EFBIG : 0;
}

void data_clear(struct data *d)
{
	json_decref(d->root);
	d->root = NULL;
}

int data_put(struct data *d, json_t *value)
{
	int r = check_size(d, value);

	if (r < 0)
		return r;
	data_clear(d);
	d->root = json_incref(value);
	return 0;
}

/* Takes the reference to target, which may be NULL, and gives one to the result. */
static json_t *merge(json_t *target, const json_t *patch)
{
	const char *key;
	json_t *value;

	if (!json_is_object(patch)) {
		json_decref(target);
		return json_deep_copy(patch);
	}
	if (!json_is_object(target)) {
		json_decref(target);
		target = json_object();
	}
	json_object_foreach((json_t *)patch, key, value)
	{
		if (json_is_null(value)) {
			json_object_del(target, key);
			continue;
		}

		json_t *merged = merge(json_incref(json_object_get(target, key)), value);

		if (json_object_set_new(target, key, merged) < 0) {
			json_decref(target);
			return NULL;
		}
	}
	return target;
}

int data_patch(struct data *d, const json_t *patch)
{
	json_t *merged;
	int r;

	if (!d->root)
		return -ENOENT;
	merged = json_deep_copy(d->root);
	if (merged)
		merged = merge(merged, patch);
	if (!merged)
		return -ENOMEM;
	r = data_put(d, merged);
	json_decref(merged);
	return r;
}

/* --- finding --- */

/* "~1" is "/", "~0" is "~": in place. */
static void unescape(char *key)
{
	char *to = key;

	for (const char *from = key; *from; from++) {
		bool escaped = from[0] == '~' && (from[1] == '0' || from[1] == '1');

		*to++ = !escaped ? *from : from[1] == '1' ? '/' : '~';
		from += escaped;
	}
	*to = '\0';
}

/* Digits without a zero in front. */
static const json_t *array_at(const json_t *array, const char *index)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)index[0]) || (index[0] == '0' && index[1]))
		return NULL;
	errno = 0;
	n = strtoul(index, &end, 10);
	return *end || errno ? NULL : json_array_get(array, n);
}

const json_t *data_find(const struct data *d, const char *path)
{
	const json_t *value = d->root;
	char copy[PATH_BYTES], *rest = copy, *key;
	size_t len = strlen(path);

	if (path[0] != '/' || len >= sizeof(copy))
		return NULL;
	memcpy(copy, path, len + 1);
	while (value && (key = strsep(&rest, "/")) != NULL) {
		if (!key[0])
			continue;
		unescape(key);
		if (json_is_array(value))
			value = array_at(value, key);
		else
			value = json_object_get(value, key);
	}
	return value;
}

/* --- text --- */

static unsigned digits_of(double x)
{
	char text[DOUBLE_CHARS];

	for (unsigned n = MIN_DIGITS; n < MAX_DIGITS; n++) {
		snprintf(text, sizeof(text), "%.*g", (int)n, x);
		if (strtod(text, NULL) == x)
			return n;
	}
	return MAX_DIGITS;
}

/* How many digits all the doubles in a value need: 12.12 is not to be written as
 * 12.119999999999999. */
static unsigned digits_needed(const json_t *value)
{
	unsigned most = MIN_DIGITS, n;
	const char *key;
	size_t i;
	json_t *inner;

	if (json_is_real(value))
		return digits_of(json_real_value(value));
	json_object_foreach((json_t *)value, key, inner)
	{
		n = digits_needed(inner);
		most = n > most ? n : most;
	}
	json_array_foreach(value, i, inner)
	{
		n = digits_needed(inner);
		most = n > most ? n : most;
	}
	return most;
}

static ssize_t render_json(const json_t *value, char **ret)
{
	const size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY |
			     JSON_REAL_PRECISION(digits_needed(value));

	*ret = json_dumps(value, flags);
	return *ret ? (ssize_t)strlen(*ret) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys, sorted; *bytes: what they take in a list. NULL when memory is short. */
static const char **sorted_keys(const json_t *object, size_t *bytes)
{
	const char **keys = malloc((json_object_size(object) + 1) * sizeof(*keys));
	const char *key;
	size_t n = 0;
	json_t *value;

	*bytes = 0;
	if (!keys)
		return NULL;
	json_object_foreach((json_t *)object, key, value)
	{
		keys[n++] = key;
		*bytes += strlen(key) + sizeof("/");
	}
	qsort(keys, n, sizeof(*keys), by_name);
	return keys;
}

/* A line for each key, with a "/" behind that of an object. */
static ssize_t render_keys(const json_t *object, char **ret)
{
	size_t room, len = 0, count = json_object_size(object);
	const char **keys = sorted_keys(object, &room);
	char *text = keys ? malloc(room + 1) : NULL;

	if (!text) {
		free(keys);
		return -ENOMEM;
	}
	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		bool inner = json_is_object(json_object_get(object, keys[i]));

		len += (size_t)snprintf(text + len, room + 1 - len, "%s%s%s", i > 0 ? "\n" : "",
					keys[i], inner ? "/" : "");
	}
	free(keys);
	*ret = text;
	return (ssize_t)len;
}

ssize_t data_render(const json_t *value, enum data_format format, char **ret)
{
	if (format == DATA_JSON)
		return render_json(value, ret);
	if (json_is_object(value))
		return render_keys(value, ret);
	if (!json_is_string(value))
		return -ENOTSUP;
	*ret = strdup(json_string_value(value));
	return *ret ? (ssize_t)strlen(*ret) : -ENOMEM;
}
