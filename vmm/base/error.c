/* error.c - filling and printing struct error. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/error.h"

static void copy_text(char *dst, size_t len, const char *src)
{
	snprintf(dst, len, "%s", src ? src : "");
}

static void set_labels(struct error *e, int code, const char *field, const char *hint)
{
	e->code = code;
	copy_text(e->field, sizeof(e->field), field);
	copy_text(e->hint, sizeof(e->hint), hint);
}

int error_set(struct error *e, int code, const char *field, const char *hint, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	set_labels(e, code, field, hint);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}

int error_errno(struct error *e, const char *field, const char *hint, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!e)
		return -saved;
	set_labels(e, -saved, field, hint);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);

	size_t used = strlen(e->text);

	snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(saved));
	return -saved;
}

const char *error_line(const struct error *e, char *buf, size_t len)
{
	if (e->hint[0])
		snprintf(buf, len, "%s (%s)", e->text, e->hint);
	else
		snprintf(buf, len, "%s", e->text);
	return buf;
}
