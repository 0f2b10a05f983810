/* outbox.h - the ledger's events, sent on as CloudEvents: to a file, to a web server.
 *
 * The ledger is the outbox: of each receiver only the number of the last event that he has
 * is kept, in the database. So a receiver that is away for a day costs nothing, and gets all
 * of it afterwards, in order. He gets each event at least once; one that comes again, after a
 * crash, has the same id.
 *
 *   {"specversion": "1.0", "id": the event's id, "source": "/wisp/hosts/HOST",
 *    "type": "wisp.instance.running", "subject": the instance, "time": "...Z",
 *    "datacontenttype": "application/json", "wisptenant": the tenant,
 *    "data": {"seq", "boot_id", "boot_ns", "wall_ns", "incarnation", "actor", "body"}}
 *
 * The file (events_file) has one such a line; the web server (events_url) is sent arrays of
 * them, application/cloudevents-batch+json, and says by a status of 2xx that he has them.
 * Whoever is not there is tried again, in the end every five minutes. CloudEvents 1.0.
 *
 * Loop thread; files and network are waited for by workers.
 */
#ifndef SUPERVISOR_OUTBOX_H
#define SUPERVISOR_OUTBOX_H

#include <jansson.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct outbox;
struct rows;
struct wispd;

/* Begins, if a receiver is configured. */
int outbox_create(struct wispd *d, struct outbox **ret, struct error *err);
void outbox_destroy(struct outbox *o); /* accepts NULL */

/* Up to which event every receiver that is configured has them all; without one, all. o may be
 * NULL. */
int outbox_everybody_has(struct outbox *o, int64_t *ret, struct error *err);

/* {"receiver": {"sent_seq", "behind", "failing"}}; NULL: none is configured. The caller owns
 * the reference. */
json_t *outbox_describe(struct outbox *o);

#endif
