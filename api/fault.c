/* fault.c - errors as a client of the API, or a reader of stderr, sees them. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fault.h"

const char *fault_line(const struct error *e, char *buf, size_t len)
{
	const char *sep = e->field[0] && e->hint[0] ? ": " : "";

	if (e->field[0] || e->hint[0])
		snprintf(buf, len, "%s (%s%s%s)", e->text, e->field, sep, e->hint);
	else
		snprintf(buf, len, "%s", e->text);
	return buf;
}

/* A message cut in the middle of a character, or one that quotes a path. */
static json_t *ascii_string(const char *message)
{
	char *copy = strdup(message);

	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';

	json_t *s = json_string(copy);

	free(copy);
	return s;
}

char *fault_json(const char *message)
{
	json_t *text = json_string(message);
	json_t *object = json_pack("{s:o}", "fault_message", text ? text : ascii_string(message));
	char *json = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return json;
}

void fault_introduce(struct error *err)
{
	char text[sizeof(err->text)];

	if (err->code != -EBADMSG && err->code != -ENODATA)
		return;
	memcpy(text, err->text, sizeof(text));
	snprintf(err->text, sizeof(err->text),
		 "An error occurred when deserializing the json body of a request: %.440s.", text);
}
