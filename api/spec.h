/* spec.h - the API as an OpenAPI 3 document, made from the table of routes.
 *
 * The tables that check requests are the ones that describe them here, so the
 * document cannot differ from what is served.
 */
#ifndef API_SPEC_H
#define API_SPEC_H

#include <jansson.h>

/* The caller owns the reference; NULL when memory is short. Any thread. */
json_t *spec_openapi(void);

#endif
