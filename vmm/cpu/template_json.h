/* template_json.h - CPU templates as JSON: the body of PUT /cpu-config. */
#ifndef VMM_CPU_TEMPLATE_JSON_H
#define VMM_CPU_TEMPLATE_JSON_H

#include <jansson.h>

#include "vmm/cpu_template.h"

/* The template in a file, or, where there is no such file, of that name. 0 or a negative
 * errno. */
int template_json_load(const char *path, struct cpu_template *ret, struct error *err);

/* The template that a JSON object is. 0 or a negative errno. */
int template_json_read(const json_t *object, struct cpu_template *ret, struct error *err);

/* The caller owns the reference; NULL when memory is short. A bit that the template
 * leaves alone is an x. */
json_t *template_json_write(const struct cpu_template *t);

/* The JSON in a file. NULL and *err when it cannot be read or is none. */
json_t *json_from_file(const char *path, struct error *err);

#endif
