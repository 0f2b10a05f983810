/* states.h - the states of an instance, and the moves between them: one table.
 *
 * What is not in the table does not happen: instance_move() refuses it. GET /states and
 * docs/wispd-api.md are printed from here. Any thread.
 */
#ifndef SUPERVISOR_STATES_H
#define SUPERVISOR_STATES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The numbers are in the database: they never change. */
enum state {
	STATE_CREATING,
	STATE_CREATED,
	STATE_STARTING,
	STATE_RUNNING,
	STATE_PAUSING,
	STATE_PAUSED,
	STATE_RESUMING,
	STATE_STOPPING,
	STATE_STOPPED,
	STATE_FAILED,
	STATE_DELETING,
	STATE_DELETED,
	STATE_QUEUED,
	STATE_SAVING,
	STATE_RESIZING,
	STATE_SAVING_LIVE,
	STATES_COUNT,
};

/* What an instance in a state holds of its tenant's quota and of the host. */
enum hold {
	HOLD_NOTHING,
	HOLD_SLOT, /* to exist */
	HOLD_ALL,  /* and processors and memory */
	HOLD_SAME, /* as in the state before, until it is known that nothing runs */
};

struct state_info {
	const char *name;
	const char *meaning;
	enum hold hold;
	bool alive;   /* a VMM may run */
	bool resting; /* nothing is under way: what was asked for has come, or has failed */
};

struct state_move {
	enum state from, to;
	const char *by; /* a verb of the API, or what happened */
	bool asked;	/* a verb */
};

extern const struct state_info states[STATES_COUNT];
extern const struct state_move state_moves[];
extern const size_t state_moves_count;

bool state_may_move(enum state from, enum state to);

/* A snapshot is being made of it. */
bool state_is_saving(enum state state);

/* The states in which a verb of the API is allowed, as "created, stopped or failed". */
const char *state_names_for(const char *verb, char *buf, size_t size);

/* The move that a verb makes from a state; NULL: it is not allowed there. */
const struct state_move *state_find_move(enum state from, const char *verb);

/* Both tables; the caller owns the reference. */
json_t *states_describe(void);

#endif
