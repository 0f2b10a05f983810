/* steer.h - where the interrupts of a guest's device arrive: on processors near the device.
 *
 * A guest asks for interrupts when it likes, and each begins where the kernel puts it; so this
 * is done again and again. Any thread.
 */
#ifndef SUPERVISOR_DEVICE_STEER_H
#define SUPERVISOR_DEVICE_STEER_H

/* Sends those that VFIO has for this function to the processors of its node; root: "/", or a
 * tree that a test made. How many were moved; one that cannot be stays. */
unsigned steer_interrupts(const char *root, const char *address);

#endif
