/* store_schema.h - what is in the database, as the steps that made it so.
 *
 * To change the schema: append a text, never edit one that was released. It runs in a
 * transaction of its own, once, on every database that is older.
 */
#ifndef SUPERVISOR_STORE_SCHEMA_H
#define SUPERVISOR_STORE_SCHEMA_H

extern const char *const store_migrations[];
extern const int store_migrations_count;

#endif
