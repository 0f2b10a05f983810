/* root.h - from the initrd to the real root file system. */
#ifndef GUEST_IMAGES_INIT_ROOT_H
#define GUEST_IMAGES_INIT_ROOT_H

#include <stdbool.h>

struct cmdline;

/* True while / is the initrd, that is, a file system in memory. */
bool root_is_initrd(void);

/* Mounts the device that cmdline->root names, makes it / and frees the initrd's memory. 0,
 * or a negative errno, which it has reported; / may be the new root then. */
int root_switch(const struct cmdline *cmdline);

/* Becomes the init program: wanted, or, when it is NULL, the first of the usual ones. argv
 * are its arguments; argv[0] is replaced. Returns only on failure, which it has reported. */
void root_exec_init(const char *wanted, char **argv);

#endif
