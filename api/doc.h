/* doc.h - the reference of the API, made from the table of routes. */
#ifndef API_DOC_H
#define API_DOC_H

#include <stdio.h>

/* Writes docs/api.md. 0 or -EIO. Any thread. */
int doc_write(FILE *out);

#endif
