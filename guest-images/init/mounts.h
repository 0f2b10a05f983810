/* mounts.h - the file systems that programs expect to find mounted. */
#ifndef GUEST_IMAGES_INIT_MOUNTS_H
#define GUEST_IMAGES_INIT_MOUNTS_H

/* /proc and /dev: what is needed before the command line can be read. Failures are
 * reported on the console; a file system that is mounted already, or that the kernel
 * does not have, is not a failure. */
void mounts_first(void);

/* The rest: /sys, /dev/pts, /dev/shm, /run, /tmp, control groups. Failures as above. */
void mounts_rest(void);

/* Moves /proc and /dev to where the same names are under root, or detaches them if
 * they are not there. */
void mounts_move(const char *root);

#endif
