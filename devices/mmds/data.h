/* data.h - what the metadata service knows: one JSON document of a limited size.
 *
 * Main thread. The size is that of the document as compact JSON.
 */
#ifndef DEVICES_MMDS_DATA_H
#define DEVICES_MMDS_DATA_H

#include <jansson.h>
#include <stddef.h>

struct data {
	json_t *root; /* NULL: never put */
	size_t limit_bytes;
};

enum data_format {
	DATA_JSON, /* compact, keys sorted */
	DATA_IMDS, /* an object is the list of its keys, a string its text */
};

/* Replaces the document; value is shared, and must not change any more. 0, -EFBIG beyond
 * the limit, or -ENOMEM. */
int data_put(struct data *d, json_t *value);

/* Merges (RFC 7396). 0, -ENOENT before the first data_put(), -EFBIG or -ENOMEM. */
int data_patch(struct data *d, const json_t *patch);

void data_clear(struct data *d);

/* The value at a path like "/a/b/0", borrowed: keys and indices as in a JSON pointer
 * (RFC 6901), any number of slashes for one, and one at the end for none. NULL: there
 * is none. */
const json_t *data_find(const struct data *d, const char *path);

/* *ret: the value as text, NUL-terminated, to be freed. Its length; -ENOTSUP for what has
 * no form as IMDS, or -ENOMEM. */
ssize_t data_render(const json_t *value, enum data_format format, char **ret);

#endif
