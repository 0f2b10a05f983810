/* root.h - from the initrd to the real root file system. */
#ifndef GUEST_IMAGES_INIT_ROOT_H
#define GUEST_IMAGES_INIT_ROOT_H

#include <stdbool.h>

struct cmdline;

/* True while / is the initrd, that is, a file system in memory. */
bool root_is_initrd(void);

/* Mounts the device that cmdline->root names, makes it /, frees the initrd's memory
 * and becomes the init program there, with argv as its arguments (argv[0] is
 * replaced). Returns only on failure, which it has reported; / may be the new root
 * then. */
void root_switch(const struct cmdline *cmdline, char **argv);

#endif
