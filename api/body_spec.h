/* body_spec.h - a body as a schema of OpenAPI 3. Any thread. */
#ifndef API_BODY_SPEC_H
#define API_BODY_SPEC_H

#include <jansson.h>

#include "api/body.h"

/* What a BODY_ID looks like. */
#define BODY_ID_PATTERN "^[A-Za-z0-9_]+$"

/* The caller owns the reference; NULL when memory is short. */
json_t *body_spec(const struct body_table *t);

#endif
