/* snapshot.h - what PUT /snapshot/create and /snapshot/load do.
 *
 * Between the API's descriptions and the machine: a state's manifest is
 *
 *	{"wisp": "0.1.0", "id": "vm-1", "created_ms": 1769860800000, "type": "Full",
 *	 "config": {what GET /vm/config tells}}
 *
 * Loop thread.
 */
#ifndef API_SNAPSHOT_H
#define API_SNAPSHOT_H

#include "api/routes.h"

int snapshot_create(struct api_call *call);
int snapshot_load(struct api_call *call);

/* The manifest of a state, checked to be JSON; the caller's. NULL and *err. */
json_t *snapshot_manifest(struct state *state, struct error *err);

#endif
