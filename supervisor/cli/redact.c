/* redact.c - a walk through a document; see redact.h. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/redact.h"

static const char left_out[] = "(left out)";

/* Parts of names, in any case. */
static const char *const secrets[] = { "secret",  "token",  "passw",   "credential",
				       "private", "apikey", "api_key", "auth" };

static bool speaks_of_secrets(const char *name, size_t len)
{
	char *copy = strndup(name, len);
	bool found = false;

	if (!copy)
		return true; /* rather too much */
	for (size_t i = 0; !found && i < sizeof(secrets) / sizeof(secrets[0]); i++)
		found = strcasestr(copy, secrets[i]) != NULL;
	free(copy);
	return found;
}

/* A text of NAME=VALUE words, without values: all of them, or those of secrets. NULL: there is
 * nothing to leave out. */
static char *redact_words(const char *text, bool all)
{
	unsigned count = 0;
	size_t len = 0;
	char *ret = NULL;
	FILE *out = open_memstream(&ret, &len);

	if (!out)
		return strdup(left_out);
	while (*text) {
		size_t word = strcspn(text, " "), name = strcspn(text, " =");
		bool hide = text[name] == '=' && (all || speaks_of_secrets(text, name));

		fprintf(out, "%.*s", (int)(hide ? name + 1 : word), text);
		if (hide)
			fputs(left_out, out);
		count += hide;
		/* The values of a list may have blanks. */
		text += hide && all ? strlen(text) : word;
		if (*text)
			fputc(*text++, out);
	}
	fclose(out);
	if (count)
		return ret;
	free(ret);
	return NULL;
}

static unsigned redact_text(json_t *j, bool all)
{
	char *text = redact_words(json_string_value(j), all);
	unsigned count = text != NULL;

	if (text)
		json_string_set(j, text);
	free(text);
	return count;
}

static unsigned walk(json_t *j, bool all);

static unsigned walk_object(json_t *j)
{
	unsigned count = 0;
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(j, next, name, value)
	{
		if (speaks_of_secrets(name, strlen(name)) && !json_is_boolean(value)) {
			json_object_set_new(j, name, json_string(left_out));
			count++;
		} else {
			count += walk(value, strcmp(name, "env") == 0);
		}
	}
	return count;
}

static unsigned walk(json_t *j, bool all)
{
	unsigned count = 0;
	json_t *value;
	size_t i;

	if (json_is_object(j))
		return walk_object(j);
	if (json_is_string(j))
		return redact_text(j, all);
	json_array_foreach(j, i, value) count += walk(value, all);
	return count;
}

unsigned redact(json_t *j)
{
	return walk(j, false);
}
