/* identity.h - what a guest is told to be from now on.
 *
 * A clone of a saved machine has another's name, addresses and keys until somebody who
 * knows better tells it. Each of these makes one thing so, and returns 0 or a negative
 * errno. They wait, and want root.
 */
#ifndef GUEST_IMAGES_AGENT_IDENTITY_H
#define GUEST_IMAGES_AGENT_IDENTITY_H

/* Mixes bytes, in hexadecimal digits, into the kernel's generator of random numbers,
 * which gives other numbers from now on. */
int identity_seed(const char *hex);

/* Sets the wall clock: nanoseconds since 1970. */
int identity_clock(const char *ns);

/* The kernel's host name, and /etc/hostname where it can be written. */
int identity_hostname(const char *name);

/* /etc/machine-id: 32 hexadecimal digits. Where it cannot be written, a file is mounted
 * over it; where there is no /etc, nothing is done. */
int identity_machine_id(const char *hex);

/* "eth0 06:00:0a:00:00:02" */
int identity_mac(const char *text);

/* "eth0 10.0.0.2/24" or "eth0 fd00::2/64": the interface's only address of that family, but
 * for what IPv6 makes for the link itself. It is up afterwards. */
int identity_address(const char *text);

/* "10.0.0.1", "fd00::1", or "eth0 fd00::1", which is reached by that interface in any case:
 * the only default route of that family. */
int identity_gateway(const char *text);

/* "10.0.0.1 net.internal": who is asked for names, and the domain of those that are not whole,
 * in /etc/resolv.conf. One that is a link, or cannot be written, is left to whoever made it so. */
int identity_resolver(const char *text);

/* Runs the programs in the folder IDENTITY_HOOKS, in the order of their names. The first
 * one that fails ends it: -ECANCELED. No folder, no programs. */
#define IDENTITY_HOOKS "/etc/wisp/identity.d"
int identity_hooks(void);

#endif
