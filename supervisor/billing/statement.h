/* statement.h - an invoice for those who do not read JSON: a table, a page.
 *
 * Made of the invoice's own text (invoice.h) and of nothing else, so that they say the same.
 * Any thread. Results are from malloc; -EINVAL: that is no invoice; -ENOMEM.
 */
#ifndef SUPERVISOR_BILLING_STATEMENT_H
#define SUPERVISOR_BILLING_STATEMENT_H

#include <jansson.h>

/* A list of objects as CSV (RFC 4180), a column a member; NULL-ended. */
int statement_table(const json_t *list, const char *const members[], char **ret);

/* An invoice's lines as CSV. */
int statement_csv(const char *invoice, char **ret);

/* The invoice as a page of HTML: lines, sums, and what is not known. */
int statement_html(const char *invoice, char **ret);

#endif
