/* states.c - the states of an instance, and the moves between them. */
#include <stdio.h>
#include <string.h>

#include "supervisor/books/states.h"

/* clang-format off */
const struct state_info states[STATES_COUNT] = {
	[STATE_CREATING] = { "creating", "its folder and disk are being made", HOLD_SLOT, false, false },
	[STATE_CREATED]  = { "created",  "ready to be started",                HOLD_SLOT, false, true },
	[STATE_STARTING] = { "starting", "a VMM is being started",             HOLD_ALL,  true,  false },
	[STATE_RUNNING]  = { "running",  "the guest runs",                     HOLD_ALL,  true,  true },
	[STATE_PAUSING]  = { "pausing",  "the vCPUs are being stopped",        HOLD_ALL,  true,  false },
	[STATE_PAUSED]   = { "paused",   "in memory; its vCPUs stand still",   HOLD_ALL,  true,  true },
	[STATE_RESUMING] = { "resuming", "the vCPUs are being let go",         HOLD_ALL,  true,  false },
	[STATE_STOPPING] = { "stopping", "asked to power off; killed at the deadline",
			     HOLD_ALL, true, false },
	[STATE_STOPPED]  = { "stopped",  "no VMM; its disk is kept",           HOLD_SLOT, false, true },
	[STATE_FAILED]   = { "failed",   "ended as it should not have; its disk is kept",
			     HOLD_SLOT, false, true },
	[STATE_DELETING] = { "deleting", "all that it has is being taken down", HOLD_SAME, true, false },
	[STATE_DELETED]  = { "deleted",  "gone; its record is kept",           HOLD_NOTHING, false, true },
	[STATE_QUEUED]   = { "queued",   "waits until the host has room for it", HOLD_SLOT, false, false },
	[STATE_SAVING]   = { "saving",   "a snapshot is being made; its vCPUs stand still",
			     HOLD_ALL, true, false },
	[STATE_RESIZING] = { "resizing", "the guest runs, and is given memory or disk, or gives memory back",
			     HOLD_ALL, true, false },
	[STATE_SAVING_LIVE] = { "saving_live",
				"a snapshot is being made, and the guest runs on; it stands still for a moment",
				HOLD_ALL, true, false },
};

const struct state_move state_moves[] = {
	{ STATE_CREATING, STATE_CREATED,  "prepared",        false },
	{ STATE_CREATING, STATE_FAILED,   "not prepared",    false },
	{ STATE_CREATING, STATE_DELETING, "delete",          true },
	{ STATE_CREATED,  STATE_STARTING, "start",           true },
	{ STATE_CREATED,  STATE_QUEUED,   "no room",         false },
	{ STATE_CREATED,  STATE_FAILED,   "no room to wait", false },
	{ STATE_CREATED,  STATE_CREATING, "rebuild",         true },
	{ STATE_CREATED,  STATE_CREATING, "rollback",        true },
	{ STATE_CREATED,  STATE_DELETING, "delete",          true },
	{ STATE_QUEUED,   STATE_STARTING, "room",            false },
	{ STATE_QUEUED,   STATE_STOPPED,  "stop",            true },
	{ STATE_QUEUED,   STATE_DELETING, "delete",          true },
	{ STATE_STARTING, STATE_RUNNING,  "started",         false },
	{ STATE_STARTING, STATE_FAILED,   "not started",     false },
	{ STATE_STARTING, STATE_STOPPING, "stop",            true },
	{ STATE_STARTING, STATE_DELETING, "delete",          true },
	{ STATE_RUNNING,  STATE_PAUSING,  "pause",           true },
	{ STATE_RUNNING,  STATE_STOPPING, "stop",            true },
	{ STATE_RUNNING,  STATE_STOPPING, "reboot",          true },
	{ STATE_RUNNING,  STATE_STOPPED,  "guest ended",     false },
	{ STATE_RUNNING,  STATE_FAILED,   "VMM died",        false },
	{ STATE_RUNNING,  STATE_DELETING, "delete",          true },
	{ STATE_PAUSING,  STATE_PAUSED,   "paused",          false },
	{ STATE_PAUSING,  STATE_RUNNING,  "not paused",      false },
	{ STATE_PAUSING,  STATE_STOPPED,  "guest ended",     false },
	{ STATE_PAUSING,  STATE_FAILED,   "VMM died",        false },
	{ STATE_PAUSING,  STATE_DELETING, "delete",          true },
	{ STATE_PAUSED,   STATE_RESUMING, "resume",          true },
	{ STATE_PAUSED,   STATE_STOPPING, "stop",            true },
	{ STATE_PAUSED,   STATE_STOPPING, "reboot",          true },
	{ STATE_PAUSED,   STATE_STOPPED,  "ended unseen",    false },
	{ STATE_PAUSED,   STATE_FAILED,   "VMM died",        false },
	{ STATE_PAUSED,   STATE_DELETING, "delete",          true },
	{ STATE_RESUMING, STATE_RUNNING,  "resumed",         false },
	{ STATE_RESUMING, STATE_PAUSED,   "not resumed",     false },
	{ STATE_RESUMING, STATE_STOPPED,  "guest ended",     false },
	{ STATE_RESUMING, STATE_FAILED,   "VMM died",        false },
	{ STATE_RESUMING, STATE_DELETING, "delete",          true },
	{ STATE_RUNNING,  STATE_SAVING,   "snapshot",        true },
	{ STATE_PAUSED,   STATE_SAVING,   "snapshot",        true },
	{ STATE_SAVING,   STATE_RUNNING,  "saved",           false },
	{ STATE_SAVING,   STATE_PAUSED,   "saved",           false },
	{ STATE_SAVING,   STATE_STOPPED,  "guest ended",     false },
	{ STATE_SAVING,   STATE_FAILED,   "VMM died",        false },
	{ STATE_SAVING,   STATE_DELETING, "delete",          true },
	{ STATE_RUNNING,  STATE_SAVING_LIVE, "live snapshot", true },
	{ STATE_SAVING_LIVE, STATE_RUNNING, "saved",         false },
	{ STATE_SAVING_LIVE, STATE_STOPPED, "guest ended",   false },
	{ STATE_SAVING_LIVE, STATE_FAILED, "VMM died",       false },
	{ STATE_SAVING_LIVE, STATE_DELETING, "delete",       true },
	{ STATE_RUNNING,  STATE_RESIZING, "resize",          true },
	{ STATE_RESIZING, STATE_RUNNING,  "resized",         false },
	{ STATE_RESIZING, STATE_STOPPED,  "guest ended",     false },
	{ STATE_RESIZING, STATE_FAILED,   "VMM died",        false },
	{ STATE_RESIZING, STATE_DELETING, "delete",          true },
	{ STATE_STOPPING, STATE_STOPPED,  "ended",           false },
	{ STATE_STOPPING, STATE_DELETING, "delete",          true },
	{ STATE_STOPPED,  STATE_STARTING, "start",           true },
	{ STATE_STOPPED,  STATE_QUEUED,   "no room",         false },
	{ STATE_STOPPED,  STATE_CREATING, "rebuild",         true },
	{ STATE_STOPPED,  STATE_CREATING, "rollback",        true },
	{ STATE_STOPPED,  STATE_DELETING, "delete",          true },
	{ STATE_FAILED,   STATE_STARTING, "start",           true },
	{ STATE_FAILED,   STATE_QUEUED,   "no room",         false },
	{ STATE_FAILED,   STATE_CREATING, "rebuild",         true },
	{ STATE_FAILED,   STATE_CREATING, "rollback",        true },
	{ STATE_FAILED,   STATE_DELETING, "delete",          true },
	{ STATE_DELETING, STATE_DELETED,  "removed",         false },
};
/* clang-format on */
const size_t state_moves_count = sizeof(state_moves) / sizeof(state_moves[0]);

bool state_may_move(enum state from, enum state to)
{
	for (size_t i = 0; i < state_moves_count; i++)
		if (state_moves[i].from == from && state_moves[i].to == to)
			return true;
	return false;
}

bool state_is_saving(enum state state)
{
	return state == STATE_SAVING || state == STATE_SAVING_LIVE;
}

const struct state_move *state_find_move(enum state from, const char *verb)
{
	for (size_t i = 0; i < state_moves_count; i++) {
		const struct state_move *m = &state_moves[i];

		if (m->asked && m->from == from && strcmp(m->by, verb) == 0)
			return m;
	}
	return NULL;
}

const char *state_names_for(const char *verb, char *buf, size_t size)
{
	size_t used = 0, left = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < state_moves_count; i++)
		left += state_moves[i].asked && strcmp(state_moves[i].by, verb) == 0;
	for (size_t i = 0; i < state_moves_count && used < size; i++) {
		const struct state_move *m = &state_moves[i];

		if (!m->asked || strcmp(m->by, verb) != 0)
			continue;
		left--;
		used += (size_t)snprintf(buf + used, size - used, "%s%s", states[m->from].name,
					 left > 1    ? ", "
					 : left == 1 ? " or "
						     : "");
	}
	return buf;
}

json_t *states_describe(void)
{
	static const char *const holds[] = {
		[HOLD_NOTHING] = "nothing",
		[HOLD_SLOT] = "a place",
		[HOLD_ALL] = "a place, processors and memory",
		[HOLD_SAME] = "what it held before",
	};
	json_t *all = json_array(), *moves = json_array();

	for (unsigned i = 0; i < STATES_COUNT; i++)
		json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "name", states[i].name,
						     "meaning", states[i].meaning, "holds",
						     holds[states[i].hold]));
	for (size_t i = 0; i < state_moves_count; i++) {
		const struct state_move *m = &state_moves[i];

		json_array_append_new(
			moves, json_pack("{s:s, s:s, s:s, s:b}", "from", states[m->from].name, "to",
					 states[m->to].name, "by", m->by, "asked", m->asked));
	}
	return json_pack("{s:o, s:o}", "states", all, "moves", moves);
}
