/* job_guests.h - guests of wispd's that run one shell script on a stock kernel.
 *
 * All of them fail the test when they cannot.
 */
#ifndef TESTS_INTEGRATION_JOB_GUESTS_H
#define TESTS_INTEGRATION_JOB_GUESTS_H

#include <stdbool.h>

#include "tests/integration/wispd_host.h"

/* The kernel's command line, which ends with the script. */
#define JOB_CMDLINE "console=hvc0 console=ttyS0 quiet -- /job"

/* An initrd that has this script behind wisp-init; its path, until the next one is made. */
const char *job_initrd(const char *job);
/* An image of it; with an agent it is proved in a microVM first. */
void job_image_add(struct wispd_host *h, const char *name, bool agent, const char *job);

/* Until its console has said this, or "FAILED". */
void job_await_words(struct wispd_host *h, const char *name, const char *words);
void job_await_state(struct wispd_host *h, const char *name, const char *state);

#endif
