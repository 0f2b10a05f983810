/* cmdline.c - builds the kernel command line within its limit. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/loader/cmdline.h"

#define FIELD "boot_args"

static int too_long(struct error *err)
{
	return error_set(err, -EINVAL, FIELD, "shorten boot_args, or attach fewer devices",
			 "the kernel command line is longer than %d bytes", VM_MAX_CMDLINE - 1);
}

static int check_printable(const char *text, struct error *err)
{
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return error_set(err, -EINVAL, FIELD, "use printable ASCII characters only",
					 "the kernel command line has byte 0x%02x at offset %zu",
					 (unsigned char)*p, (size_t)(p - text));
	return 0;
}

/* Finds the separator as the kernel's parser does: double quotes hide spaces. */
static int find_separator(struct cmdline *c, struct error *err)
{
	bool quoted = false;
	size_t word = 0; /* where the current one starts */

	c->insert_at = c->len;
	for (size_t i = 0; i <= c->len; i++) {
		if (c->text[i] == '"')
			quoted = !quoted;
		if (i < c->len && (quoted || c->text[i] != ' '))
			continue;
		if (i - word == 2 && memcmp(c->text + word, "--", 2) == 0) {
			c->insert_at = word;
			return 0;
		}
		word = i + 1;
	}
	if (quoted)
		return error_set(err, -EINVAL, FIELD, "close the double quote",
				 "the kernel command line has a quote that is never closed");
	return 0;
}

int cmdline_init(struct cmdline *c, const char *line, struct error *err)
{
	int r = check_printable(line, err);

	if (r < 0)
		return r;
	c->len = strlen(line);
	if (c->len >= sizeof(c->text))
		return too_long(err);
	memcpy(c->text, line, c->len + 1);
	return find_separator(c, err);
}

int cmdline_add(struct cmdline *c, struct error *err, const char *word)
{
	size_t n = strlen(word);
	bool space_before = c->insert_at > 0 && c->text[c->insert_at - 1] != ' ';
	bool space_behind = c->insert_at < c->len;
	int r = check_printable(word, err);

	if (r < 0)
		return r;
	if (n == 0 || strpbrk(word, " \""))
		return error_set(err, -EINVAL, FIELD, "leave out spaces and quotes",
				 "\"%s\" is not one word of a kernel command line", word);

	size_t grow = n + space_before + space_behind;
	char *at = c->text + c->insert_at;

	if (grow >= sizeof(c->text) - c->len)
		return too_long(err);
	memmove(at + grow, at, c->len - c->insert_at + 1);
	if (space_before)
		*at++ = ' ';
	memcpy(at, word, n);
	if (space_behind)
		at[n] = ' ';
	c->len += grow;
	c->insert_at += grow;
	return 0;
}

int cmdline_addf(struct cmdline *c, struct error *err, const char *fmt, ...)
{
	char word[VM_MAX_CMDLINE];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(word, sizeof(word), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(word))
		return too_long(err);
	return cmdline_add(c, err, word);
}
