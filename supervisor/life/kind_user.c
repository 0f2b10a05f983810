/* kind_user.c - a user id for each instance, out of a range that is wispd's own.
 *
 * Two VMMs with one user could signal and trace each other, were it not for the rest of the
 * jail; and a file that one leaves is not the next one's. So an id is leased for the life of
 * an instance, not of a VMM, and the one that was free for longest is taken next. What serves a
 * network has one, too.
 */
#include <errno.h>

#include "supervisor/books/store.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/users.h"
#include "supervisor/wispd.h"

/* Behind the highest that is leased, while there are any; then the lowest gap. */
static int choose(struct wispd *d, int64_t *uid, struct error *err)
{
	const int64_t first = (int64_t)d->config.uid_first;
	const int64_t end = first + (int64_t)d->config.uid_count;
	int r = store_number(d->truth.store, uid, err,
			     "SELECT max(ifnull((SELECT max(uid) + 1 FROM uid_lease), ?1), ?1)",
			     "i", first);

	if (r < 0 || *uid < end)
		return r;
	r = store_number(d->truth.store, uid, err,
			 "SELECT ifnull((SELECT min(u) FROM (SELECT ?1 AS u UNION ALL"
			 " SELECT uid + 1 FROM uid_lease WHERE uid >= ?1)"
			 " WHERE u NOT IN (SELECT uid FROM uid_lease)), ?2)",
			 "ii", first, end);
	if (r < 0 || *uid < end)
		return r;
	return error_set(err, -EUSERS, "uid_count", "raise uid_count in wispd's configuration",
			 "All users for VMMs are taken");
}

int users_lease(struct wispd *d, const char *whose, struct error *err)
{
	int64_t uid = 0, has = 0;
	int r = store_number(d->truth.store, &has, err,
			     "SELECT count(*) FROM uid_lease WHERE instance = ?", "s", whose);

	if (r < 0 || has)
		return r;
	r = choose(d, &uid, err);
	if (r == 0)
		r = store_run(d->truth.store, err, "INSERT INTO uid_lease VALUES (?, ?)", "is", uid,
			      whose);
	return r < 0 ? r : 0;
}

/* One that was a blank (pool/pool.h) has its own already. */
static int reserve(struct wispd *d, const struct instance *i, struct error *err)
{
	return users_lease(d, i->id, err);
}

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM uid_lease WHERE instance = ?", "s",
			  i->id);

	return r < 0 ? r : 0;
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	int64_t uid = 0;
	int r = store_number(d->truth.store, &uid, err,
			     "SELECT uid FROM uid_lease WHERE instance = ?", "s", i->id);

	l->uid = (uid_t)uid;
	return r;
}

const struct kind kind_user = {
	.name = "user",
	.reserve = reserve,
	.release = release,
	.load = load,
};
