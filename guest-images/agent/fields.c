/* fields.c - texts one behind the other. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-images/agent/fields.h"

void fields_add(struct fields *f, const char *name, const char *fmt, ...)
{
	size_t left = f->size - f->len;
	char *to = f->bytes + f->len;
	va_list args;
	int n = snprintf(to, left, "%s=", name), value = -1;

	if (n >= 0 && (size_t)n < left) {
		va_start(args, fmt);
		value = vsnprintf(to + n, left - (size_t)n, fmt, args);
		va_end(args);
	}
	if (value < 0 || (size_t)value >= left - (size_t)n)
		f->full = true;
	else
		f->len += (size_t)(n + value) + 1;
}

void fields_add_text(struct fields *f, const char *text)
{
	size_t len = strlen(text) + 1;

	if (len > f->size - f->len) {
		f->full = true;
		return;
	}
	memcpy(f->bytes + f->len, text, len);
	f->len += len;
}

bool fields_valid(const char *bytes, size_t len)
{
	size_t place = 0;

	if (len > 0 && bytes[len - 1] != '\0')
		return false;
	while (place < len) {
		if (!strchr(bytes + place, '='))
			return false;
		place += strlen(bytes + place) + 1;
	}
	return true;
}

const char *fields_next(const char *bytes, size_t len, const char *name, size_t *place)
{
	size_t name_len = strlen(name);

	while (*place < len) {
		const char *text = bytes + *place;

		*place += strlen(text) + 1;
		if (strncmp(text, name, name_len) == 0 && text[name_len] == '=')
			return text + name_len + 1;
	}
	return NULL;
}

const char *fields_get(const char *bytes, size_t len, const char *name)
{
	size_t place = 0;

	return fields_next(bytes, len, name, &place);
}

bool fields_number(const char *bytes, size_t len, const char *name, uint64_t least, uint64_t most,
		   uint64_t *ret)
{
	const char *text = fields_get(bytes, len, name);
	unsigned long long value;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value < least || value > most)
		return false;
	*ret = value;
	return true;
}
