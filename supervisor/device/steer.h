/* steer.h - where the interrupts of a guest's device arrive.
 *
 * A guest asks for interrupts when it likes, and each begins where the kernel puts it; so this
 * is done again and again. root: "/", or a tree that a test made. Any thread.
 */
#ifndef SUPERVISOR_DEVICE_STEER_H
#define SUPERVISOR_DEVICE_STEER_H

#include <jansson.h>

/* Sends those that VFIO has for this function to these processors, a list as "2-3,8"; "": to those
 * of its node. How many were moved; one that cannot be stays. */
unsigned steer_interrupts(const char *root, const char *address, const char *cpus);

/* [{"interrupt", "cpus"}]: where they go now; the caller owns it. */
json_t *steer_describe(const char *root, const char *address);

#endif
