/* run.h - the one program that the guest was started for. */
#ifndef GUEST_IMAGES_INIT_RUN_H
#define GUEST_IMAGES_INIT_RUN_H

#include <stdint.h>

/* Blocks the signals that run_command() waits for. To be called before the first
 * child exists. */
void run_setup(void);

/* Runs the command (NULL: an interactive shell; where there is none, nothing) on the
 * console, in a session of its own, and waits for it; reaps every other process that
 * ends meanwhile. SIGTERM, SIGINT (Ctrl-Alt-Del) and SIGPWR are passed on to it as
 * SIGTERM, a second one as SIGKILL. The command is cut into words when there is no
 * shell. Returns the exit status as a shell would give it: 128 plus the signal that
 * killed it, 127 when it could not be run. */
uint32_t run_command(const char *command);

/* Waits for SIGTERM, SIGPWR or SIGINT, which it returns, reaping every process that ends,
 * then asks all others to end, and gives them some seconds for it. */
int run_until_told(void);

#endif
