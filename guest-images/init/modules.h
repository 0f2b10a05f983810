/* modules.h - kernel modules that the initrd brings along. */
#ifndef GUEST_IMAGES_INIT_MODULES_H
#define GUEST_IMAGES_INIT_MODULES_H

#define MODULES_LIST "/etc/wisp/modules"

/* Loads the modules that the file at `list` names, in its order: a line is a path and,
 * after a blank, the module's parameters; empty lines and lines that start with # do
 * not count. A missing list is no error (a kernel without modules has none); a module
 * that cannot be loaded is reported and the rest is tried. */
void modules_load(const char *list);

#endif
