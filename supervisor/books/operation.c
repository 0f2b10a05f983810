/* operation.c - the rows of operations. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"

int operation_begin(struct truth *t, const char *tenant, const char *subject, const char *verb,
		    int goal, char id[OPERATION_ID_BYTES], struct error *err)
{
	uint8_t random[8];
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, NULL, NULL, "There is no randomness");
	memcpy(id, "op-", 3);
	hex_encode(random, sizeof(random), id + 3);
	r = store_run(t->store, err,
		      "INSERT INTO operation VALUES (?, ?, ?, ?, ?, 'active', '', '', '', ?, 0)",
		      "ssssii", id, tenant, subject, verb, (int64_t)goal, ledger_wall_ns());
	return r < 0 ? r : 0;
}

int operation_settle(struct truth *t, const char *subject, int state, const char *code,
		     const char *message, struct error *err)
{
	int r = store_run(t->store, err,
			  "UPDATE operation SET done_wall_ns = ?1,"
			  " state = iif(goal = ?2, 'done', 'failed'),"
			  " code = iif(goal = ?2, '', ?3), message = iif(goal = ?2, '', ?4)"
			  " WHERE subject = ?5 AND state = 'active'",
			  "iisss", ledger_wall_ns(), (int64_t)state, code, message, subject);

	return r < 0 ? r : 0;
}

int operation_end(struct truth *t, const char *id, const char *code, const char *message,
		  const char *result, struct error *err)
{
	int r = store_run(t->store, err,
			  "UPDATE operation SET state = ?, code = ?, message = ?, result = ?,"
			  " done_wall_ns = ? WHERE id = ? AND state = 'active'",
			  "ssssis", code ? "failed" : "done", code ? code : "", message, result,
			  ledger_wall_ns(), id);

	return r < 0 ? r : 0;
}

int operation_fail_orphans(struct truth *t, struct error *err)
{
	return store_run(t->store, err,
			 "UPDATE operation SET state = 'failed', code = 'interrupted',"
			 " message = 'wispd was restarted meanwhile', done_wall_ns = ?"
			 " WHERE state = 'active' AND goal < 0",
			 "i", ledger_wall_ns());
}

json_t *operation_describe(struct truth *t, const char *tenant, const char *id, struct error *err)
{
	struct rows rows;
	json_t *j = NULL;
	int r = store_select(t->store, &rows, err,
			     "SELECT id, tenant, subject, verb, state, code, message, result,"
			     " created_wall_ns, done_wall_ns FROM operation"
			     " WHERE id = ?1 AND ifnull(?2, tenant) = tenant",
			     "ss", id, tenant);

	if (r < 0)
		return NULL;
	r = rows_next(&rows, err);
	if (r > 0)
		j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id",
			      rows_string(&rows, 0), "tenant", rows_string(&rows, 1), "subject",
			      rows_string(&rows, 2), "verb", rows_string(&rows, 3), "state",
			      rows_string(&rows, 4), "code", rows_string(&rows, 5), "message",
			      rows_string(&rows, 6), "result", rows_string(&rows, 7),
			      "created_wall_ns", (json_int_t)rows_int(&rows, 8), "done_wall_ns",
			      (json_int_t)rows_int(&rows, 9));
	rows_end(&rows);
	if (r == 0)
		error_set(err, -ENOENT, NULL, NULL, "There is no operation %.64s", id);
	return j;
}
