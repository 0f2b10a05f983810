/* metrics_schema.h - lines of metrics against docs/metrics-schema.json. For cmocka tests. */
#ifndef TESTS_INTEGRATION_METRICS_SCHEMA_H
#define TESTS_INTEGRATION_METRICS_SCHEMA_H

/* Fails the test unless each line of this file is one JSON object that fits the schema.
 * Returns how many there are. */
unsigned metrics_schema_check(const char *path);

#endif
