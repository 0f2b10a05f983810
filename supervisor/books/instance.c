/* instance.c - the rows of instances, and the choke point of their states. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/instance.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"

#define COLUMNS                                                                            \
	"id, tenant, name, owner_engine, runtime, image, shape, shape_version, vcpus, "    \
	"mem_mib, cmdline, state, cause, generation, incarnation, labels, start_wanted, "  \
	"remove_wanted, stop_boot_ns, expires_boot_ns, expires_wall_ns, created_wall_ns, " \
	"changed_seq, priority, wait_ms, queued_boot_ns, profile, node, huge_pages"

bool instance_name_ok(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";

	return name[0] && strchr(first, name[0]) && strspn(name, rest) == strlen(name);
}

/* --- reading --- */

static void read_row(const struct rows *r, struct instance *i)
{
	*i = (struct instance){
		.shape_version = rows_int(r, 7),
		.vcpus = rows_int(r, 8),
		.mem_mib = rows_int(r, 9),
		.state = (enum state)rows_int(r, 11),
		.generation = rows_int(r, 13),
		.incarnation = rows_int(r, 14),
		.start_wanted = rows_int(r, 16) != 0,
		.remove_wanted = rows_int(r, 17) != 0,
		.stop_boot_ns = rows_int(r, 18),
		.expires_boot_ns = rows_int(r, 19),
		.expires_wall_ns = rows_int(r, 20),
		.created_wall_ns = rows_int(r, 21),
		.changed_seq = rows_int(r, 22),
		.priority = rows_int(r, 23),
		.wait_ms = rows_int(r, 24),
		.queued_boot_ns = rows_int(r, 25),
		.wish = { .profile = (enum place_profile)rows_int(r, 26),
			  .has_node = rows_int(r, 27) >= 0,
			  .node = (int)rows_int(r, 27),
			  .huge_pages = rows_int(r, 28) != 0 },
	};
	rows_text(r, 0, i->id, sizeof(i->id));
	rows_text(r, 1, i->tenant, sizeof(i->tenant));
	rows_text(r, 2, i->name, sizeof(i->name));
	rows_text(r, 3, i->owner_engine, sizeof(i->owner_engine));
	rows_text(r, 4, i->runtime, sizeof(i->runtime));
	rows_text(r, 5, i->image, sizeof(i->image));
	rows_text(r, 6, i->shape, sizeof(i->shape));
	rows_text(r, 10, i->cmdline, sizeof(i->cmdline));
	rows_text(r, 12, i->cause, sizeof(i->cause));
	rows_text(r, 15, i->labels, sizeof(i->labels));
}

static int read_one(struct rows *rows, const char *which, struct instance *ret, struct error *err)
{
	int r = rows_next(rows, err);

	if (r > 0)
		read_row(rows, ret);
	rows_end(rows);
	if (r == 0)
		return error_set(err, -ENOENT, NULL, "wispctl ps lists what there is",
				 "There is no instance %.64s", which);
	return r < 0 ? r : 0;
}

int instance_load(struct truth *t, const char *id, struct instance *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err, "SELECT " COLUMNS " FROM instance WHERE id = ?",
			     "s", id);

	return r < 0 ? r : read_one(&rows, id, ret, err);
}

int instance_find(struct truth *t, const char *tenant, const char *which, struct instance *ret,
		  struct error *err)
{
	struct rows rows;
	int r = store_select(
		t->store, &rows, err,
		"SELECT " COLUMNS " FROM instance WHERE"
		" (id = ?1 OR (name = ?1 AND state <> 11)) AND ifnull(?2, tenant) = tenant"
		" ORDER BY id = ?1 DESC LIMIT 1",
		"ss", which, tenant);

	return r < 0 ? r : read_one(&rows, which, ret, err);
}

int instance_each(struct truth *t, const char *tenant, instance_fn fn, void *ctx, struct error *err)
{
	struct instance i;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM instance WHERE state <> 11"
			     " AND ifnull(?1, tenant) = tenant ORDER BY created_wall_ns, id",
			     "s", tenant);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &i);
		r = fn(ctx, &i);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

int instance_incarnation(struct truth *t, const struct instance *i, struct incarnation *ret,
			 struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT boot_id, pid, pid_start, ended_seq, exit_kind, exit_code"
			     " FROM incarnation"
			     " WHERE instance = ? AND n = ?",
			     "si", i->id, i->incarnation);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		rows_text(&rows, 0, ret->boot_id, sizeof(ret->boot_id));
		ret->pid = (pid_t)rows_int(&rows, 1);
		ret->pid_start = rows_int(&rows, 2);
		ret->ended = !rows_is_null(&rows, 3);
		rows_text(&rows, 4, ret->exit_kind, sizeof(ret->exit_kind));
		ret->exit_code = (int)rows_int(&rows, 5);
	}
	rows_end(&rows);
	return r;
}

/* --- quota --- */

static int hold(struct truth *t, const struct instance *i, enum state state, struct error *err)
{
	enum hold what = states[state].hold;
	int r;

	if (what == HOLD_SAME)
		return 0;
	/* What is to be started as soon as it can be has its place from the beginning, unless
	 * it may wait for one; what is started again keeps its place. */
	if (what == HOLD_SLOT && i->start_wanted && (state == STATE_STOPPED || !i->wait_ms))
		what = HOLD_ALL;
	/* First: those who have cores are no load on what is shared. */
	r = seats_hold(t, i, what == HOLD_ALL, err);
	if (r == 0)
		r = quota_hold(t, i->id, i->tenant, RESOURCE_INSTANCES, what != HOLD_NOTHING, err);
	if (r == 0)
		r = quota_hold(t, i->id, i->tenant, RESOURCE_VCPUS, what == HOLD_ALL ? i->vcpus : 0,
			       err);
	if (r == 0)
		r = quota_hold(t, i->id, i->tenant, RESOURCE_MEMORY_MIB,
			       what == HOLD_ALL ? i->mem_mib : 0, err);
	return r;
}

/* --- events --- */

int instance_tell(struct truth *t, const struct instance *i, const char *type, const char *actor,
		  json_t *body, int64_t *seq, struct error *err)
{
	struct ledger_event e = {
		.type = type,
		.tenant = i->tenant,
		.instance = i->id,
		.incarnation = i->incarnation,
		.actor = actor,
		.body = body,
	};
	int r = body ? ledger_append(t->ledger, &e, seq, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

static json_t *created_body(const struct instance *i)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "name", i->name, "image",
			 i->image, "runtime", i->runtime, "shape", i->shape, "shape_version",
			 (json_int_t)i->shape_version, "vcpus", (json_int_t)i->vcpus, "mem_mib",
			 (json_int_t)i->mem_mib, "owner_engine", i->owner_engine);
}

static json_t *moved_body(const struct instance *i, enum state from, const struct move *move)
{
	json_t *body = json_pack("{s:s, s:s, s:s, s:I, s:I}", "from", states[from].name, "to",
				 states[i->state].name, "cause", i->cause, "vcpus",
				 (json_int_t)i->vcpus, "mem_mib", (json_int_t)i->mem_mib);

	if (body && move->exit_kind) {
		json_object_set_new(body, "exit_kind", json_string(move->exit_kind));
		json_object_set_new(body, "exit_code", json_integer(move->exit_code));
	}
	return body;
}

/* --- writing --- */

int instance_choose_id(char id[INSTANCE_ID_BYTES], struct error *err)
{
	uint8_t random[6];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, NULL, NULL, "There is no randomness");
	memcpy(id, "vm-", 3);
	hex_encode(random, sizeof(random), id + 3);
	return 0;
}

static int insert(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err,
			  "INSERT INTO instance (" COLUMNS
			  ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
			  "sssssssiiisisiisiiiiiiiiiiiii", i->id, i->tenant, i->name,
			  i->owner_engine, i->runtime, i->image, i->shape, i->shape_version,
			  i->vcpus, i->mem_mib, i->cmdline, (int64_t)i->state, i->cause,
			  i->generation, i->incarnation, i->labels, (int64_t)i->start_wanted,
			  (int64_t)i->remove_wanted, i->stop_boot_ns, i->expires_boot_ns,
			  i->expires_wall_ns, i->created_wall_ns, i->changed_seq, i->priority,
			  i->wait_ms, i->queued_boot_ns, (int64_t)i->wish.profile,
			  (int64_t)place_wished_node(&i->wish), (int64_t)i->wish.huge_pages);

	if (r == -EEXIST)
		return error_set(err, -EEXIST, "name", "choose another, or delete that one",
				 "There is an instance %s already", i->name);
	return r < 0 ? r : 0;
}

int instance_create(struct truth *t, struct instance *i, const char *actor, struct error *err)
{
	int r = i->id[0] ? 0 : instance_choose_id(i->id, err);

	if (r < 0)
		return r;
	if (!i->name[0])
		snprintf(i->name, sizeof(i->name), "%s", i->id);
	i->state = STATE_CREATING;
	i->generation = 1;
	i->incarnation = 0;
	i->created_wall_ns = ledger_wall_ns();
	snprintf(i->cause, sizeof(i->cause), "create");
	r = instance_tell(t, i, "instance.creating", actor, created_body(i), &i->changed_seq, err);
	if (r == 0)
		r = insert(t, i, err);
	return r < 0 ? r : hold(t, i, STATE_CREATING, err);
}

static int write_state(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err,
			  "UPDATE instance SET state = ?, cause = ?, generation = generation + 1,"
			  " incarnation = ?, start_wanted = ?, stop_boot_ns = ?, changed_seq = ?,"
			  " queued_boot_ns = ? WHERE id = ? AND generation = ?",
			  "isiiiiisi", (int64_t)i->state, i->cause, i->incarnation,
			  (int64_t)i->start_wanted, i->stop_boot_ns, i->changed_seq,
			  i->queued_boot_ns, i->id, i->generation);

	if (r == 0)
		return error_set(err, -ESTALE, NULL, "look at it again, and repeat",
				 "%s has changed meanwhile", i->name);
	return r < 0 ? r : 0;
}

static int end_incarnation(struct truth *t, const struct instance *i, const struct move *move,
			   struct error *err)
{
	int r;

	if (!move->exit_kind)
		return 0;
	r = store_run(t->store, err,
		      "UPDATE incarnation SET ended_seq = ?, exit_kind = ?, exit_code = ?"
		      " WHERE instance = ? AND n = ? AND ended_seq IS NULL",
		      "isisi", i->changed_seq, move->exit_kind, (int64_t)move->exit_code, i->id,
		      i->incarnation);
	return r < 0 ? r : 0;
}

static const char *usual_cause(enum state from, enum state to)
{
	for (size_t k = 0; k < state_moves_count; k++)
		if (state_moves[k].from == from && state_moves[k].to == to)
			return state_moves[k].by;
	return "";
}

static int settle(struct truth *t, const struct instance *i, const struct move *move,
		  struct error *err)
{
	if (!states[i->state].resting || i->start_wanted)
		return 0;
	return operation_settle(t, i->id, (int)i->state, move->code ? move->code : "failed",
				i->cause, err);
}

int instance_move(struct truth *t, struct instance *i, enum state to, const struct move *move,
		  struct error *err)
{
	struct instance next = *i;
	char type[32];
	int r;

	if (!state_may_move(i->state, to))
		return error_set(err, -EPERM, "state", "GET /states lists the moves that there are",
				 "%s is %s and cannot become %s", i->name, states[i->state].name,
				 states[to].name);
	next.state = to;
	snprintf(next.cause, sizeof(next.cause), "%s",
		 move->cause ? move->cause : usual_cause(i->state, to));
	if (to == STATE_STOPPING)
		next.start_wanted = move->then_start;
	else if (to != STATE_CREATED && to != STATE_STOPPED)
		next.start_wanted = false;
	if (to != STATE_STOPPING)
		next.stop_boot_ns = 0;
	next.queued_boot_ns = to == STATE_QUEUED ? ledger_boot_ns() : 0;
	snprintf(type, sizeof(type), "instance.%s", states[to].name);
	r = instance_tell(t, &next, type, move->actor, moved_body(&next, i->state, move),
			  &next.changed_seq, err);
	if (r == 0)
		r = write_state(t, &next, err);
	if (r == 0)
		r = end_incarnation(t, &next, move, err);
	if (r == 0)
		r = hold(t, &next, to, err);
	if (r == 0)
		r = settle(t, &next, move, err);
	if (r < 0)
		return r;
	next.generation++;
	*i = next;
	return 0;
}

int instance_update(struct truth *t, struct instance *i, const char *actor, struct error *err)
{
	json_t *body = json_pack("{s:s, s:s, s:I}", "name", i->name, "labels", i->labels,
				 "expires_wall_ns", (json_int_t)i->expires_wall_ns);
	int r = instance_tell(t, i, "instance.updated", actor, body, NULL, err);

	if (r < 0)
		return r;
	r = store_run(t->store, err,
		      "UPDATE instance SET name = ?, labels = ?, expires_boot_ns = ?,"
		      " expires_wall_ns = ?, stop_boot_ns = ?, remove_wanted = ?,"
		      " generation = generation + 1 WHERE id = ? AND generation = ?",
		      "ssiiiisi", i->name, i->labels, i->expires_boot_ns, i->expires_wall_ns,
		      i->stop_boot_ns, (int64_t)i->remove_wanted, i->id, i->generation);
	if (r == -EEXIST)
		return error_set(err, -EEXIST, "name", "choose another",
				 "There is an instance %s already", i->name);
	if (r == 0)
		return error_set(err, -ESTALE, NULL, "look at it again, and repeat",
				 "%s has changed meanwhile", i->name);
	if (r < 0)
		return r;
	i->generation++;
	return 0;
}

int instance_remake(struct truth *t, struct instance *i, const char *actor, struct error *err)
{
	int r = instance_tell(t, i, "instance.remade", actor, created_body(i), NULL, err);

	if (r < 0)
		return r;
	r = store_run(t->store, err,
		      "UPDATE instance SET image = ?, shape = ?, shape_version = ?, vcpus = ?,"
		      " mem_mib = ?, generation = generation + 1 WHERE id = ? AND generation = ?",
		      "ssiiisi", i->image, i->shape, i->shape_version, i->vcpus, i->mem_mib, i->id,
		      i->generation);
	if (r == 0)
		return error_set(err, -ESTALE, NULL, "look at it again, and repeat",
				 "%s has changed meanwhile", i->name);
	if (r > 0)
		r = hold(t, i, i->state, err);
	if (r < 0)
		return r;
	i->generation++;
	return 0;
}

int instance_spawned(struct truth *t, struct instance *i, pid_t pid, int64_t pid_start,
		     const char *actor, struct error *err)
{
	json_t *body =
		json_pack("{s:I, s:I}", "pid", (json_int_t)pid, "pid_start", (json_int_t)pid_start);
	struct instance next = *i;
	int64_t seq = 0;
	int r;

	next.incarnation++;
	r = instance_tell(t, &next, "instance.spawned", actor, body, &seq, err);
	if (r == 0)
		r = store_run(t->store, err,
			      "INSERT INTO incarnation VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
			      "sisiii", next.id, next.incarnation, ledger_boot_id(t->ledger),
			      (int64_t)pid, pid_start, seq);
	if (r >= 0)
		r = write_state(t, &next, err);
	if (r < 0)
		return r;
	next.generation++;
	*i = next;
	return 0;
}

/* --- showing --- */

json_t *instance_describe(const struct instance *i)
{
	json_t *labels = json_loads(i->labels, 0, NULL);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I,"
			 " s:I, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:{s:s, s:o, s:b}}",
			 "id", i->id, "name", i->name, "tenant", i->tenant, "state",
			 states[i->state].name, "cause", i->cause, "image", i->image, "runtime",
			 i->runtime, "owner_engine", i->owner_engine, "shape", i->shape,
			 "shape_version", (json_int_t)i->shape_version, "vcpus",
			 (json_int_t)i->vcpus, "mem_mib", (json_int_t)i->mem_mib, "cmdline",
			 i->cmdline, "generation", (json_int_t)i->generation, "incarnation",
			 (json_int_t)i->incarnation, "labels", labels ? labels : json_object(),
			 "remove_wanted", i->remove_wanted, "expires_wall_ns",
			 (json_int_t)i->expires_wall_ns, "created_wall_ns",
			 (json_int_t)i->created_wall_ns, "changed_seq", (json_int_t)i->changed_seq,
			 "priority", (json_int_t)i->priority, "wait_ms", (json_int_t)i->wait_ms,
			 "placement", "profile", place_profile_names[i->wish.profile], "node",
			 i->wish.has_node ? json_integer(i->wish.node) : json_null(), "huge_pages",
			 i->wish.huge_pages);
}

/* Of a thousand, only what one looks for. */
json_t *instance_summarize(const struct instance *i)
{
	bool labelled = strcmp(i->labels, "{}") != 0;
	json_t *labels = labelled ? json_loads(i->labels, 0, NULL) : NULL;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "id", i->id, "name",
			 i->name, "tenant", i->tenant, "state", states[i->state].name, "cause",
			 i->cause, "shape", i->shape, "vcpus", (json_int_t)i->vcpus, "mem_mib",
			 (json_int_t)i->mem_mib, "generation", (json_int_t)i->generation, "labels",
			 labels ? labels : json_object());
}
