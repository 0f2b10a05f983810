/* report.h - what this host is: the inventory, in sections.
 *
 * A section is an object; what there are many of are members by their names ("eth0"), so
 * that two reports can be held against each other. What changes by itself from one second to
 * the next (free memory) is in none of them, but in report_now(). All of it is read from
 * sysfs and procfs below a root, "/" or one that a test made, and from the topology. Any
 * thread; some milliseconds.
 */
#ifndef SUPERVISOR_HOST_REPORT_H
#define SUPERVISOR_HOST_REPORT_H

#include <jansson.h>

#include "supervisor/host/topology.h"

enum { REPORT_WHAT_BYTES = 512 };

/* labels: an operator's file, a JSON object of texts; "": none. One that cannot be read is
 * a member "fault" of the section. NULL: memory is short, or root is not there. */
json_t *report_make(const char *root, const char *labels, const struct topology *t);
json_t *report_now(const char *root);

/* What has become different in a section, for a person: "eth1 added, eth0.speed_mbps 1000 ->
 * 100", cut to size; how many things that are. */
unsigned report_compare(const json_t *before, const json_t *after, char *what, size_t size);

#endif
