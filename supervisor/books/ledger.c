/* ledger.c - the chain of events: its head, and what is added to it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/record.h"
#include "vmm/base/fd.h"

struct ledger {
	struct store *store;
	char host_id[LEDGER_ID_BYTES];
	char boot_id[LEDGER_ID_BYTES];
	/* The head as it was last written; it is that for as long as that transaction lasts. */
	uint64_t head_transaction; /* 0: none was written */
	int64_t head_seq;
	uint8_t head_hash[LEDGER_HASH_BYTES];
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t ledger_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

int64_t ledger_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* --- the head --- */

/* "SEQ HASH". */
static int parse_head(const char *text, int64_t *seq, uint8_t hash[LEDGER_HASH_BYTES])
{
	char *end;

	*seq = strtoll(text, &end, 10);
	return *end == ' ' ? hex_decode(end + 1, hash, LEDGER_HASH_BYTES) : -EINVAL;
}

static int read_head(struct ledger *l, int64_t *seq, uint8_t hash[LEDGER_HASH_BYTES],
		     struct error *err)
{
	struct rows rows;
	int bad = 0;
	int r = store_select(l->store, &rows, err,
			     "SELECT value FROM meta WHERE key = 'ledger_head'", "");

	if (r < 0)
		return r;
	*seq = 0;
	memset(hash, 0, LEDGER_HASH_BYTES);
	r = rows_next(&rows, err);
	if (r > 0)
		bad = parse_head(rows_string(&rows, 0), seq, hash);
	rows_end(&rows);
	if (bad < 0)
		return error_set(err, -EUCLEAN, NULL, "restore a back-up",
				 "The head of the ledger cannot be read");
	return r < 0 ? r : 0;
}

static int write_head(struct ledger *l, int64_t seq, const uint8_t hash[LEDGER_HASH_BYTES],
		      struct error *err)
{
	char hex[LEDGER_HEX_BYTES], text[96];

	hex_encode(hash, LEDGER_HASH_BYTES, hex);
	snprintf(text, sizeof(text), "%" PRId64 " %s", seq, hex);
	return store_run(l->store, err,
			 "INSERT INTO meta VALUES ('ledger_head', ?)"
			 " ON CONFLICT DO UPDATE SET value = excluded.value",
			 "s", text);
}

int ledger_head(struct ledger *l, int64_t *seq, char hex[LEDGER_HEX_BYTES], struct error *err)
{
	uint8_t hash[LEDGER_HASH_BYTES];
	int r = read_head(l, seq, hash, err);

	if (r == 0)
		hex_encode(hash, LEDGER_HASH_BYTES, hex);
	return r;
}

/* --- opening --- */

static int read_boot_id(char id[LEDGER_ID_BYTES], struct error *err)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, id, LEDGER_ID_BYTES - 1);

	if (n < 0) {
		fd_close(fd);
		return error_errno(err, NULL, "is /proc mounted?", "Cannot tell which boot it is");
	}
	fd_close(fd);
	id[n] = '\0';
	id[strcspn(id, "\n")] = '\0';
	return 0;
}

static int read_host_id(struct ledger *l, struct error *err)
{
	struct rows rows;
	int r = store_select(l->store, &rows, err, "SELECT value FROM meta WHERE key = 'host_id'",
			     "");

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	rows_text(&rows, 0, l->host_id, sizeof(l->host_id));
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* Chosen once, with the database. */
static int find_host_id(struct ledger *l, struct error *err)
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, NULL, NULL, "There is no randomness");
	hex_encode(random, sizeof(random), hex);
	r = store_run(l->store, err,
		      "INSERT INTO meta VALUES ('host_id', ?) ON CONFLICT DO NOTHING", "s", hex);
	if (r < 0)
		return r;
	return read_host_id(l, err);
}

static int note_boot(struct ledger *l, struct error *err)
{
	struct utsname host = { 0 };
	int r = read_boot_id(l->boot_id, err);

	uname(&host);
	if (r == 0)
		r = store_run(l->store, err,
			      "INSERT INTO boot VALUES (?, ?, ?) ON CONFLICT DO NOTHING", "sis",
			      l->boot_id, ledger_wall_ns(), host.release);
	return r < 0 ? r : 0;
}

static int check_end(struct ledger *l, struct error *err)
{
	uint8_t hash[LEDGER_HASH_BYTES];
	int64_t seq = 0, last = 0;
	int r = read_head(l, &seq, hash, err);

	if (r == 0)
		r = store_number(l->store, &last, err, "SELECT ifnull(max(seq), 0) FROM event", "");
	if (r < 0 || seq == last)
		return r;
	return error_set(err, -EUCLEAN, NULL, "restore a back-up; wispctl ledger verify tells more",
			 "The ledger ends with event %" PRId64 ", but %" PRId64 " were written",
			 last, seq);
}

int ledger_open(struct store *s, struct ledger **ret, struct error *err)
{
	struct ledger *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	l->store = s;
	r = find_host_id(l, err);
	if (r == 0)
		r = note_boot(l, err);
	if (r == 0)
		r = check_end(l, err);
	if (r < 0) {
		ledger_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

int ledger_open_copy(struct store *s, struct ledger **ret, struct error *err)
{
	struct ledger *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	l->store = s;
	r = read_host_id(l, err);
	if (r < 0) {
		ledger_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

void ledger_close(struct ledger *l)
{
	free(l);
}

const char *ledger_host_id(const struct ledger *l)
{
	return l->host_id;
}

const char *ledger_boot_id(const struct ledger *l)
{
	return l->boot_id;
}

struct store *ledger_store(const struct ledger *l)
{
	return l->store;
}

/* --- writing --- */

static bool only_integers(const json_t *j)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_real(j))
		return false;
	json_object_foreach((json_t *)j, key, value) if (!only_integers(value)) return false;
	json_array_foreach(j, i, value) if (!only_integers(value)) return false;
	return true;
}

static int insert(struct ledger *l, const struct record *r, const uint8_t id[LEDGER_HASH_BYTES],
		  const uint8_t hash[LEDGER_HASH_BYTES], struct error *err)
{
	return store_run(l->store, err, "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
			 "ibisiisssissb", r->seq, id, (size_t)LEDGER_HASH_BYTES, r->subject_n,
			 r->boot_id, r->boot_ns, r->wall_ns, r->type, r->tenant, r->instance,
			 r->incarnation, r->actor, r->body, hash, (size_t)LEDGER_HASH_BYTES);
}

/* In a transaction of many events only the first reads it. */
static int find_head(struct ledger *l, int64_t *seq, uint8_t hash[LEDGER_HASH_BYTES],
		     struct error *err)
{
	if (l->head_transaction != store_transaction(l->store))
		return read_head(l, seq, hash, err);
	*seq = l->head_seq;
	memcpy(hash, l->head_hash, LEDGER_HASH_BYTES);
	return 0;
}

/* One event more of its instance. */
static int count_subject(struct ledger *l, struct record *r, struct error *err)
{
	struct rows rows;
	int64_t row = 0, last_n = 0;
	int result =
		store_select(l->store, &rows, err,
			     "SELECT n, last_n FROM subject WHERE instance = ?", "s", r->instance);

	if (result < 0)
		return result;
	result = rows_next(&rows, err);
	if (result > 0) {
		row = rows_int(&rows, 0);
		last_n = rows_int(&rows, 1);
	}
	rows_end(&rows);
	if (result < 0)
		return result;
	r->subject_n = last_n + 1;
	if (row)
		return store_run(l->store, err,
				 "UPDATE subject SET last_seq = ?, last_n = ? WHERE n = ?", "iii",
				 r->seq, r->subject_n, row);
	return store_run(l->store, err,
			 "INSERT INTO subject (instance, first_seq, last_seq, last_n)"
			 " VALUES (?1, ?2, ?2, 1)",
			 "si", r->instance, r->seq);
}

static int append(struct ledger *l, struct record *r, struct error *err)
{
	uint8_t previous[LEDGER_HASH_BYTES], hash[LEDGER_HASH_BYTES], id[LEDGER_HASH_BYTES];
	int result = find_head(l, &r->seq, previous, err);

	r->seq++;
	if (result == 0)
		result = count_subject(l, r, err);
	if (result < 0)
		return result;
	record_id(r, l->host_id, id);
	record_hash(r, previous, hash);
	result = insert(l, r, id, hash, err);
	if (result >= 0)
		result = write_head(l, r->seq, hash, err);
	if (result < 0)
		return result;
	l->head_transaction = store_transaction(l->store);
	l->head_seq = r->seq;
	memcpy(l->head_hash, hash, sizeof(hash));
	return 0;
}

int ledger_append(struct ledger *l, const struct ledger_event *e, int64_t *seq, struct error *err)
{
	char *body;
	int r;

	if (!store_in_transaction(l->store))
		return error_set(err, -EPERM, NULL, NULL, "An event outside of a transaction");
	if (!only_integers(e->body))
		return error_set(err, -EINVAL, NULL, NULL, "An event with a fraction");
	body = e->body ? json_dumps(e->body, JSON_COMPACT | JSON_SORT_KEYS) : strdup("{}");
	if (!body)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	struct record record = {
		.boot_id = l->boot_id,
		.boot_ns = ledger_boot_ns(),
		.wall_ns = ledger_wall_ns(),
		.incarnation = e->incarnation,
		.type = e->type,
		.tenant = e->tenant ? e->tenant : "",
		.instance = e->instance ? e->instance : "",
		.actor = e->actor ? e->actor : "",
		.body = body,
	};

	r = append(l, &record, err);
	free(body);
	if (r >= 0 && seq)
		*seq = record.seq;
	return r < 0 ? r : 0;
}

bool ledger_has_written(const struct ledger *l)
{
	return store_in_transaction(l->store) && l->head_transaction &&
	       l->head_transaction == store_transaction(l->store);
}
