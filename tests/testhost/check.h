/* check.h - what the machine must have for a test host. */
#ifndef TESTS_TESTHOST_CHECK_H
#define TESTS_TESTHOST_CHECK_H

#include <stddef.h>
#include <stdio.h>

struct error;

/* A line for each thing that is missing, with what puts it there. Returns how
 * many. The kernel counts as missing only where it could not be prepared. */
unsigned check_report(FILE *to);

/* The first missing thing as an error, or 0 for none. */
int check_programs(struct error *e);

/* Writes the path of the statically linked busybox. 0; -ENOENT: no busybox;
 * -ENOEXEC: only one that needs libraries, which a RAM disk has not. */
int check_busybox(char *path, size_t len);

/* Writes the path of the emulator that guest-images/build made: in WISP_IMAGES, or beside
 * this program's folder. 0, or -ENOENT and *e. */
int check_emulator(char *path, size_t len, struct error *e);

#endif
