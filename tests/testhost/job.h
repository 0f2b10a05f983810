/* job.h - what the guest is to do, as a piece of shell that its init reads. */
#ifndef TESTS_TESTHOST_JOB_H
#define TESTS_TESTHOST_JOB_H

#include <stddef.h>

struct options;

struct job_context {
	const char *cwd;      /* where the command runs */
	char *const *environ; /* NULL-ended */
	const char *token;    /* ends the output streams: endmark.h */
};

/* The text of guest-run.sh's /job: variables, and the functions that mount the
 * shares and become the command. 0 and a text to free(), or -ENOMEM. */
int job_text(const struct options *o, const struct job_context *context, char **ret, size_t *len);

#endif
