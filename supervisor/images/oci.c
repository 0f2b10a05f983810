/* oci.c - index.json, the manifest that it names, and the configuration that this names. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/images/oci.h"
#include "supervisor/life/confined.h"
#include "vmm/base/fd.h"

enum { DOCUMENT_MAX_BYTES = 4 << 20, PATH_BYTES = 256, TEXTS_MAX = 256 };

static int refuse(const char *what, struct error *err)
{
	return error_set(err, -EBADMSG, "source", "is it an OCI image?", "%s makes no sense", what);
}

static json_t *read_document(int dir, const char *path, struct error *err)
{
	int fd = confined_open(dir, path, err);
	json_t *document = NULL;
	struct stat st;
	char *text;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= DOCUMENT_MAX_BYTES) {
		text = malloc((size_t)st.st_size);
		if (text && fd_pread_all(fd, text, (size_t)st.st_size, 0) == 0)
			document = json_loadb(text, (size_t)st.st_size, 0, NULL);
		free(text);
	}
	fd_close(fd);
	if (!document)
		refuse(path, err);
	return document;
}

/* The hexadecimal part of a descriptor's digest; it becomes a file's name. */
static bool read_digest(const json_t *descriptor, char ret[DIGEST_BYTES])
{
	static const char prefix[] = "sha256:";
	const char *text = json_string_value(json_object_get(descriptor, "digest"));

	if (!text || strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return false;
	text += sizeof(prefix) - 1;
	if (strlen(text) != DIGEST_BYTES - 1 ||
	    strspn(text, "0123456789abcdef") != DIGEST_BYTES - 1)
		return false;
	memcpy(ret, text, DIGEST_BYTES);
	return true;
}

static json_t *read_blob(int dir, const char *layout, const char *digest, struct error *err)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", layout, digest);
	return read_document(dir, path, err);
}

/* --- how it wants to be run --- */

/* A list of texts, or an empty one; false: it is something else. */
static bool add_texts(json_t *run, const char *name, const json_t *value)
{
	json_t *list = json_array(), *text;
	size_t i;

	json_array_foreach(value, i, text) json_array_append(list, text);
	json_object_set_new(run, name, list);
	json_array_foreach(list, i, text)
	{
		if (!json_is_string(text) || i >= TEXTS_MAX)
			return false;
	}
	return true;
}

static bool add_text(json_t *run, const char *name, const json_t *value)
{
	json_object_set_new(run, name,
			    json_is_string(value) ? json_incref((json_t *)value) : json_string(""));
	return json_is_string(value) || !value || json_is_null(value);
}

static int read_run(const json_t *document, char ret[IMAGE_RUN_BYTES], struct error *err)
{
	const json_t *config = json_object_get(document, "config");
	json_t *run = json_object();
	bool good = add_texts(run, "entrypoint", json_object_get(config, "Entrypoint")) &&
		    add_texts(run, "cmd", json_object_get(config, "Cmd")) &&
		    add_texts(run, "env", json_object_get(config, "Env")) &&
		    add_text(run, "user", json_object_get(config, "User")) &&
		    add_text(run, "workdir", json_object_get(config, "WorkingDir"));
	size_t len = good ? json_dumpb(run, ret, IMAGE_RUN_BYTES - 1, JSON_COMPACT) : 0;

	json_decref(run);
	if (len == 0 || len > IMAGE_RUN_BYTES - 1)
		return refuse("How the image wants to be run", err);
	ret[len] = '\0';
	return 0;
}

/* --- the image --- */

static int read_layers(const json_t *manifest, struct oci_image *ret, struct error *err)
{
	const json_t *layers = json_object_get(manifest, "layers");
	json_t *layer;
	size_t i;

	if (json_array_size(layers) > OCI_LAYERS_MAX)
		return refuse("The number of layers", err);
	json_array_foreach(layers, i, layer)
	{
		if (!read_digest(layer, ret->layers[i]))
			return refuse("The digest of a layer", err);
	}
	ret->nlayers = (unsigned)json_array_size(layers);
	return 0;
}

static int read_manifest(int dir, const char *layout, const json_t *manifest, struct oci_image *ret,
			 struct error *err)
{
	char digest[DIGEST_BYTES];
	json_t *config;
	int r = read_layers(manifest, ret, err);

	if (r < 0)
		return r;
	if (!read_digest(json_object_get(manifest, "config"), digest))
		return refuse("The digest of the configuration", err);
	config = read_blob(dir, layout, digest, err);
	r = config ? read_run(config, ret->run, err) : err->code;
	json_decref(config);
	return r;
}

int oci_read(int dir, const char *layout, struct oci_image *ret, struct error *err)
{
	char path[PATH_BYTES];
	json_t *index, *manifest = NULL;
	int r;

	snprintf(path, sizeof(path), "%s/index.json", layout);
	index = read_document(dir, path, err);
	if (!index)
		return err->code;
	r = read_digest(json_array_get(json_object_get(index, "manifests"), 0), ret->digest)
		    ? 0
		    : refuse("The index", err);
	if (r == 0) {
		manifest = read_blob(dir, layout, ret->digest, err);
		r = manifest ? read_manifest(dir, layout, manifest, ret, err) : err->code;
	}
	json_decref(manifest);
	json_decref(index);
	return r;
}
