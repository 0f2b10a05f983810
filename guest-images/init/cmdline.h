/* cmdline.h - what the kernel command line asks of wisp-init.
 *
 * Parameters are separated by blanks; double quotes keep blanks together and are
 * dropped, as the kernel does (Documentation/admin-guide/kernel-parameters.rst). A
 * parameter that is just "--" ends them: what follows is the command, verbatim. Of a
 * parameter given twice the last counts. Names that wisp-init does not know are the
 * kernel's business and ignored.
 */
#ifndef GUEST_IMAGES_INIT_CMDLINE_H
#define GUEST_IMAGES_INIT_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

/* The strings point into the line that was parsed; NULL: not given. */
struct cmdline {
	const char *marker; /* wisp.marker=: printed before anything else */
	const char *root;   /* root=: device of the real root file system */
	const char *rootfstype;
	const char *rootflags;
	const char *init;     /* init=: what to start there */
	const char *command;  /* all that follows "--" */
	unsigned agent_port;  /* wisp.agent: vsock port of the agent; 0: none */
	unsigned agent_ports; /* wisp.ports=: as many virtio ports instead; 0: the vsock */
	unsigned exit_port;   /* wisp.exit_port=: x86 port for the exit status; 0: none */
	bool boot_timer;      /* wisp.boot_timer: tell the host when init started */
	bool stay;	      /* wisp.stay: remain the first process on the root device */
	bool grow;	      /* wisp.grow: the root file system becomes as large as its disk */
	bool rootwait;	      /* wait for the root device without a limit */
	bool root_writable;   /* rw was given later than ro */
	const char *bad_name; /* first parameter whose value made no sense */
};

/* Parses the NUL-terminated line in place (it is cut into strings) and fills *ret.
 * Never fails: a bad value is left out and its parameter's name kept in bad_name. */
void cmdline_parse(char *line, struct cmdline *ret);

/* Splits a command at blanks, in place, into at most max - 1 words and a NULL; words
 * beyond are dropped. Returns the number of words. */
size_t cmdline_split(char *command, char **words, size_t max);

/* The text of --help that describes the parameters, ending in a newline. */
const char *cmdline_help(void);

#endif
