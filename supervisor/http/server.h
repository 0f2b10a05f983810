/* server.h - HTTP on a Unix socket: connections in, answers out. Loop thread. */
#ifndef SUPERVISOR_SERVER_H
#define SUPERVISOR_SERVER_H

#include "vmm/base/error.h"

struct server;
struct wispd;

/* Listens at the configuration's socket, or at the one that whoever started this process
 * hands over (LISTEN_FDS). 0 and *ret, or a negative errno and *err. */
int server_create(struct wispd *d, struct server **ret, struct error *err);
void server_destroy(struct server *s); /* accepts NULL */

/* Something has changed: those who wait for news look again, in the loop's next turn. */
void server_wake(struct server *s);

#endif
