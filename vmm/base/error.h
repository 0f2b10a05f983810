/* error.h - an error for a person: what was tried, on what, what would be right.
 *
 * Inside, a function that can fail returns a negative errno. At the edges (API,
 * command line, configuration, host resources) it also fills a struct error, so
 * that the one place that talks to the user can name the field and the remedy.
 * A function either returns an error or logs it, never both.
 */
#ifndef VMM_BASE_ERROR_H
#define VMM_BASE_ERROR_H

#include <stddef.h>

struct error {
	int code;	/* negative errno; 0: no error */
	char field[64]; /* the configuration field or option at fault, or "" */
	char text[512]; /* what was tried and what happened */
	char hint[256]; /* what would be right, or "" */
};

/* Fills *e (which may be NULL: then nobody wants the text) and returns code, so
 * that `return error_set(...)` reads as one step. field and hint may be NULL.
 * Overlong text is cut, never overrun. Any thread; *e belongs to the caller. */
int error_set(struct error *e, int code, const char *field, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* As error_set for a failed system call: code becomes -errno, and ": " and the
 * errno's text follow the message. */
int error_errno(struct error *e, const char *field, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* One line, "text (hint)", into buf; returns buf. */
const char *error_line(const struct error *e, char *buf, size_t len);

#endif
