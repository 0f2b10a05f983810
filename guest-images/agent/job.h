/* job.h - a process with its own session, and pipes or a terminal to talk to it.
 *
 * The streams are non-blocking. With a terminal, in and out are two descriptors of it and
 * errors is -1.
 */
#ifndef GUEST_IMAGES_AGENT_JOB_H
#define GUEST_IMAGES_AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest-images/agent/user.h"

enum { JOB_MAX_WORDS = 4096 }; /* arguments, and as many variables */

/* Pointers into the caller's memory. */
struct job_spec {
	const char *arguments[JOB_MAX_WORDS + 1];   /* ends with NULL; the first is the program */
	const char *environment[JOB_MAX_WORDS + 1]; /* "NAME=VALUE", ends with NULL */
	const char *directory;			    /* NULL: the user's home */
	const struct user *user;
	bool terminal;
	uint16_t rows, columns;
};

struct job {
	pid_t pid;
	int pidfd; /* readable when the process has ended */
	int in, out, errors;
};

/* Where a start failed. */
enum job_step { JOB_PREPARE, JOB_USER, JOB_DIRECTORY, JOB_PROGRAM };

/* Starts it. 0, or a negative errno and *step. The process starts with no variables but
 * PATH, HOME, USER, and TERM with a terminal, unless the spec has others. */
int job_start(const struct job_spec *spec, struct job *ret, enum job_step *step);

/* Signals the process and all that it started and that made no session of its own. */
void job_signal(const struct job *j, int number);

void job_resize(const struct job *j, uint16_t rows, uint16_t columns);

/* Waits for the end; as waitpid() tells it. Closes what is open. */
int job_finish(struct job *j);

#endif
