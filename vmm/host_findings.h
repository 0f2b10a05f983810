/* host_findings.h - what on this host weakens the walls between microVMs, and the remedy.
 *
 * Read from sysfs and procfs alone. docs/threat-model.md says why each matters.
 */
#ifndef VMM_HOST_FINDINGS_H
#define VMM_HOST_FINDINGS_H

#include <stdio.h>

/* Prints a line for each finding to out: "NAME: STATE", and " -> REMEDY" where something
 * is to be done. root is put before every path: "" on a real host. Returns the number of
 * lines with a remedy. */
unsigned host_findings_print(FILE *out, const char *root);

#endif
