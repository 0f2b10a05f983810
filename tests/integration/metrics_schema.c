/* metrics_schema.c - lines of metrics against docs/metrics-schema.json.
 *
 * As much of JSON Schema as that file needs: each word has a function, and a word that
 * has none fails the test, so that nothing in the file is passed over.
 */
#include <jansson.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/metrics_schema.h"

struct check {
	const json_t *root;
	const char *line; /* for messages */
};

static void check_value(const struct check *c, const json_t *schema, const json_t *value,
			const char *where);

static void check_type(const struct check *c, const json_t *schema, const json_t *rule,
		       const json_t *value, const char *where)
{
	const char *type = json_string_value(rule);
	bool fits = strcmp(type, "object") == 0	   ? json_is_object(value)
		    : strcmp(type, "string") == 0  ? json_is_string(value)
		    : strcmp(type, "integer") == 0 ? json_is_integer(value)
						   : false;

	(void)schema;
	if (!fits)
		fail_msg("%s is no %s in %s", where, type, c->line);
}

static void check_minimum(const struct check *c, const json_t *schema, const json_t *rule,
			  const json_t *value, const char *where)
{
	(void)schema;
	if (json_integer_value(value) < json_integer_value(rule))
		fail_msg("%s is too small in %s", where, c->line);
}

static void check_ref(const struct check *c, const json_t *schema, const json_t *rule,
		      const json_t *value, const char *where)
{
	const char *name = json_string_value(rule) + strlen("#/$defs/");
	const json_t *target = json_object_get(json_object_get(c->root, "$defs"), name);

	(void)schema;
	if (!target)
		fail_msg("the schema has no %s", name);
	check_value(c, target, value, where);
}

static void check_required(const struct check *c, const json_t *schema, const json_t *rule,
			   const json_t *value, const char *where)
{
	size_t i;
	json_t *name;

	(void)schema;
	json_array_foreach(rule, i, name)
	{
		if (!json_object_get(value, json_string_value(name)))
			fail_msg("%s has no %s in %s", where, json_string_value(name), c->line);
	}
}

static bool matches(const char *pattern, const char *name)
{
	regex_t regex;
	bool found;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	found = regexec(&regex, name, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

/* The schema of a member: its own, one for names of its pattern, or that of all others. */
static const json_t *member_schema(const json_t *schema, const char *name)
{
	json_t *found = json_object_get(json_object_get(schema, "properties"), name), *rule;
	const char *pattern;

	if (found)
		return found;
	json_object_foreach(json_object_get(schema, "patternProperties"), pattern, rule)
	{
		if (matches(pattern, name))
			return rule;
	}
	return json_object_get(schema, "additionalProperties");
}

/* Of all members at once; the words for some of them need nothing more. */
static void check_members(const struct check *c, const json_t *schema, const json_t *rule,
			  const json_t *value, const char *where)
{
	const char *name;
	json_t *member;

	(void)rule;
	json_object_foreach((json_t *)value, name, member)
	{
		const json_t *of_member = member_schema(schema, name);

		if (!json_is_object(of_member))
			fail_msg("%s has a %s, of which the schema says nothing, in %s", where,
				 name, c->line);
		check_value(c, of_member, member, name);
	}
}

static void check_nothing(const struct check *c, const json_t *schema, const json_t *rule,
			  const json_t *value, const char *where)
{
	(void)c;
	(void)schema;
	(void)rule;
	(void)value;
	(void)where;
}

static const struct {
	const char *word;
	void (*check)(const struct check *c, const json_t *schema, const json_t *rule,
		      const json_t *value, const char *where);
} words[] = {
	{ "type", check_type },
	{ "minimum", check_minimum },
	{ "required", check_required },
	{ "additionalProperties", check_members },
	{ "properties", check_nothing },
	{ "patternProperties", check_nothing },
	{ "$ref", check_ref },
	{ "$defs", check_nothing },
	{ "$schema", check_nothing },
	{ "title", check_nothing },
	{ "description", check_nothing },
};

static void check_value(const struct check *c, const json_t *schema, const json_t *value,
			const char *where)
{
	const char *word;
	json_t *rule;

	json_object_foreach((json_t *)schema, word, rule)
	{
		bool known = false;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (strcmp(words[i].word, word) != 0)
				continue;
			words[i].check(c, schema, rule, value, where);
			known = true;
		}
		if (!known)
			fail_msg("the schema says \"%s\", which this test does not know", word);
	}
}

unsigned metrics_schema_check(const char *path)
{
	json_t *schema = json_load_file(WISP_METRICS_SCHEMA, JSON_REJECT_DUPLICATES, NULL);
	FILE *f = fopen(path, "re");
	char *text = NULL;
	unsigned n = 0;
	size_t room = 0;

	assert_non_null(schema);
	assert_non_null(f);
	for (; getline(&text, &room, f) > 0; n++) {
		json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

		if (!line)
			fail_msg("no JSON: %s", text);
		check_value(&(struct check){ schema, text }, schema, line, "the line");
		json_decref(line);
	}
	free(text);
	fclose(f);
	json_decref(schema);
	return n;
}
