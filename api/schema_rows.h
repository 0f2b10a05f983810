/* schema_rows.h - how the rows of the bodies' tables are written; for schema.c and its like.
 *
 * PLACE: where a value lands in a config struct. MARK: where it is noted that it was given.
 * TABLE: a table of these rows, for this struct.
 */
#ifndef API_SCHEMA_ROWS_H
#define API_SCHEMA_ROWS_H

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define MARK(type, member) .mark = offsetof(struct type, member)
#define TABLE(type, rows) \
	.size = sizeof(struct type), .fields = (rows), .nfields = sizeof(rows) / sizeof((rows)[0])

#endif
