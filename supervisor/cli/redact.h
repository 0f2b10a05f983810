/* redact.h - what looks like a secret is left out of what is handed on. Any thread. */
#ifndef SUPERVISOR_CLI_REDACT_H
#define SUPERVISOR_CLI_REDACT_H

#include <jansson.h>

/* Throughout a document, in place: the values of members whose names speak of secrets; of
 * texts the values of words NAME=VALUE whose names do (a kernel's command line); of lists that
 * are called "env" all values. Returns how many were left out. */
unsigned redact(json_t *j);

#endif
