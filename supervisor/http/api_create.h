/* api_create.h - the making of instances, behind POST /instances (api_instances.c). */
#ifndef SUPERVISOR_API_CREATE_H
#define SUPERVISOR_API_CREATE_H

#include "api/body.h"

struct api_call;

/* What its body may have. */
extern const struct body_table api_create_table;

/* Admits it, and writes down all that it holds, in the call's transaction. As each route's
 * function (api.h). */
int api_create(struct api_call *call);

#endif
