/* body_doc.h - the fields of a body as a table of the reference. Any thread. */
#ifndef API_BODY_DOC_H
#define API_BODY_DOC_H

#include <stdbool.h>
#include <stdio.h>

#include "api/body.h"

/* A Markdown table. keep: a field that is not given stays as it is. */
void body_doc(FILE *out, const struct body_table *t, bool keep);

#endif
