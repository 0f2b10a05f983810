/* report.h - what process 1 has to say, on the console. */
#ifndef GUEST_IMAGES_INIT_REPORT_H
#define GUEST_IMAGES_INIT_REPORT_H

/* One line, "wisp-init: ...", to standard error, which the kernel opened on the
 * console. Errors of the console itself are nobody's to tell: ignored. */
void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* As report, with ": " and the text of errno behind. Keeps errno. */
void report_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
