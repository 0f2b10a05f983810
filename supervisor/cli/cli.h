/* cli.h - wispctl: commands in tables, and what they have in common.
 *
 * A command is a function and a row in the table of its area (command_AREA.c); areas are
 * listed in main.c. Options are rows, too: the parser and the help read them.
 */
#ifndef SUPERVISOR_CLI_CLI_H
#define SUPERVISOR_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/client/libwisp.h"

enum {
	CLI_OPTIONS_MAX = 40,
	CLI_OPERANDS_MAX = 256,
	CLI_PATH_BYTES = 512,
	EXIT_REFUSED = 1,
	EXIT_UNREACHABLE = 2,
	EXIT_USAGE = 153,
};

struct cli {
	struct wisp *client;
	const char *socket;
	const char *tenant; /* NULL: not said */
	bool quiet;	    /* say nothing about what fails */
	bool no_wait;	    /* who does not listen yet will not */
	bool json;	    /* print what came, rather than a table */
};

struct cli_option {
	const char *name;  /* without "--"; "env,e": and "-e" is the same */
	const char *value; /* what stands for it in the help; NULL: a flag; with "..." at its end:
			      may be given often, and all values are in many[] */
	const char *what;
};

/* What stood on the command line. option[i] belongs to the row i of the command's; a flag
 * that was given is "". One that is given again replaces the first, but for the row
 * `many` of the command and those that say so themselves, whose values are in many[]. */
struct cli_arguments {
	const char *option[CLI_OPTIONS_MAX];
	const char *operand[CLI_OPERANDS_MAX];
	const char *many[CLI_OPERANDS_MAX];
	int many_row[CLI_OPERANDS_MAX]; /* whose it is */
	unsigned operands, many_count;
};

struct cli_command {
	const char *name;     /* one or two words */
	const char *operands; /* for the help: "INSTANCE..." */
	const char *what;
	const struct cli_option *options; /* ended by a row without a name; NULL: none */
	int many;			  /* the row that may be given often; -1: none; or */
#define CLI_REST (-2) /* behind its first operand no options are looked for: a command line */
	unsigned least, most;					    /* operands */
	int (*run)(struct cli *cli, const struct cli_arguments *a); /* an exit status */
};

struct cli_area {
	const char *title;
	const struct cli_command *commands; /* ended by a row without a name */
};

extern const struct cli_area cli_instances, cli_images, cli_networks, cli_volumes, cli_host,
	cli_billing, cli_scheduling, cli_ledger;
extern const struct cli_area cli_guests, cli_snapshots, cli_changes;
extern const struct cli_area cli_devices, cli_top, cli_runbooks;
extern const struct cli_area cli_placement;
extern const struct cli_area cli_engines, cli_pools;

/* Whether somebody listens: one who is just beginning, or again, is waited for, but not twice in
 * vain (reach.c). */
bool cli_await_wispd(struct cli *cli);

/* As wisp_call(), but wispd is waited for; and asked again, for the answer may have been lost, not
 * the request: the key makes it one. */
int cli_try(struct cli *cli, const char *verb, const char *path, const char *body,
	    struct wisp_reply *reply);

/* One request; body: stolen, NULL: none. An exit status: 0 and *ret, which is the caller's
 * (ret may be NULL), or why it failed has been said. What changes something carries a key
 * of its own, and is sent again when the answer got lost. path: below the tenant's query;
 * it may have one itself. */
int cli_call(struct cli *cli, const char *verb, const char *path, json_t *body, json_t **ret);

/* Adds a member to a body, unless text is NULL; a list: of its parts between commas. */
void cli_add_text(json_t *body, const char *member, const char *text);
void cli_add_list(json_t *body, const char *member, const char *text);

/* What was given as KEY=VALUE to this row, as an object; the caller's. */
json_t *cli_labels(const struct cli_arguments *a, int row);

/* Waits for the operation that a reply names; an exit status. */
int cli_wait(struct cli *cli, const json_t *reply);

/* One look at an operation, for at most so long; *active: it goes on. */
int cli_look(struct cli *cli, const char *operation, unsigned wait_ms, bool *active);

/* A connection that wispd makes a stream of (POST path): an exit status, and *fd, which is
 * the caller's. */
int cli_stream(struct cli *cli, const char *path, int *fd);

/* Prints what makes bash complete command lines. */
void cli_complete(const struct cli_area *const areas[]);

/* What was got, as it is, where --json says so: true. */
bool cli_print_json(const struct cli *cli, const json_t *j);

/* A member of an object as text; "" when it has none. buf: for numbers. */
const char *cli_text(const json_t *object, const char *member, char *buf, size_t size);

/* A table: a row an object of the list, a column a member; NULL-ended. */
void cli_print_table(const json_t *list, const char *const members[]);

/* What a list command does: gets the path, prints the list that this member of the answer
 * is, as a table of these columns. An exit status. */
int cli_list(struct cli *cli, const char *path, const char *member, const char *const columns[]);

/* What an inspect command does: gets the path, and prints the answer, which is JSON for
 * people, too. An exit status. */
int cli_inspect(struct cli *cli, const char *path);

/* A decision record (preflight.h), for a person. */
void cli_print_decision(const json_t *decision);
/* Where an instance runs, or would, and why (host/place.h). */
void cli_print_place(const json_t *place);

#endif
