/* qmp.h - QEMU's machine protocol: one command at a time, over a socket.
 *
 * The peer may be a QEMU that its guest has taken over. So a line is read up to a limit, and
 * an answer is waited for up to a deadline, whatever else comes meanwhile; nothing that it
 * says is more than text and numbers. Any thread, one at a time for a connection.
 */
#ifndef SUPERVISOR_QMP_H
#define SUPERVISOR_QMP_H

#include <jansson.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct qmp;

/* Takes fd, a connected socket, also when it fails, and shakes hands: -EPROTO, this is no
 * QMP; -ETIMEDOUT. timeout_ms: of this and of each command. */
int qmp_open(int fd, unsigned timeout_ms, struct qmp **ret, struct error *err);
void qmp_close(struct qmp *q); /* accepts NULL */

/* arguments: stolen, NULL: none. 0 and *ret (NULL: not wanted), which is the caller's;
 * -EREMOTEIO: refused, err->text is QEMU's; -EPROTO, -ETIMEDOUT, -EPIPE: the connection is of
 * no more use. */
int qmp_call(struct qmp *q, const char *command, json_t *arguments, json_t **ret,
	     struct error *err);

/* For who cannot wait, instead of the two above. The first takes fd as qmp_open() does, says
 * nothing yet, and never blocks on it. The second sends a command that the peer answers in
 * its own time; -EAGAIN: it does not read. The third gives the next object that the peer
 * said, which is the caller's; -EAGAIN: there is no whole one yet. */
int qmp_attach(int fd, struct qmp **ret, struct error *err);
int qmp_say(struct qmp *q, const char *command, struct error *err);
int qmp_hear(struct qmp *q, json_t **ret, struct error *err);

#endif
