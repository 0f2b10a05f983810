/* report.c - one write per line, so that lines of children do not cut ours. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest-images/init/report.h"

enum { LINE_LEN = 512 };

__attribute__((format(printf, 2, 0))) static void line_write(const char *suffix, const char *fmt,
							     va_list args)
{
	char text[LINE_LEN / 2], line[LINE_LEN];

	vsnprintf(text, sizeof(text), fmt, args);
	int len = snprintf(line, sizeof(line), "wisp-init: %s%s%s\n", text, *suffix ? ": " : "",
			   suffix);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(line))
		len = (int)sizeof(line) - 1;
	ssize_t n = write(STDERR_FILENO, line, (size_t)len);
	(void)n;
}

void report(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_write("", fmt, args);
	va_end(args);
}

void report_errno(const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, fmt);
	line_write(strerror(saved), fmt, args);
	va_end(args);
	errno = saved;
}
