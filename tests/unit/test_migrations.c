/* test_migrations.c - databases of every older wispd, with rows in them, come up to date.
 *
 * A database of version N is made by the first N texts of store_schema.c, and after each of
 * them gets the rows that a wispd of that version had. Then a wispd of today opens it: nothing
 * is lost, the ledger's chain is whole and goes on, and what has got a meter since is metered.
 * The texts themselves must not change: their hashes are kept here.
 */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <nettle/sha2.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/proof.h"
#include "supervisor/books/record.h"
#include "supervisor/books/store.h"
#include "supervisor/books/store_schema.h"
#include "supervisor/metering/holdings.h"
#include "tests/unit/books.h"

enum { EVENTS = 40, SQL_BYTES = 2048 };

/* Of the texts in their order, the first digits of SHA-256. */
static const char *const released[] = {
	"1d0b9da62185d958", "50e7a53a75d8e748", "96c64187540db6c5", "eb35148788004285",
	"a2aa864fd9977dd6", "3429a2500de12a53", "54401f30c759bb5c", "b3f66c0f4a6b6d7c",
	"9646e4373bb1517c", "face77fa219ccf4b", "317ab60408757d1f", "3dca2edeb227f856",
	"3006f21c43699a07", "15116deec78c7235", "70c65dfca5f54118", "e455337e71836dad",
	"739ee28c77402998", "6c5af58a571a86cc", "41ecdff8bf83fb52", "a59ace666cb1ef94",
	"9ba331c9809071c0",
};

/* What there was from a version on. */
static const struct {
	int version;
	const char *sql;
} rows[] = {
	{ 1, "INSERT INTO meta VALUES ('host_id', 'old'), ('kept', 'yes');"
	     "INSERT INTO boot VALUES ('boot-0', 1, '6.1')" },
	{ 2, "INSERT INTO tenant VALUES ('acme', 1);"
	     "INSERT INTO quota VALUES ('acme', 'instances', 5);"
	     "INSERT INTO hold VALUES ('vm-1', 'addresses', 'acme', 2)" },
	{ 3,
	  "INSERT INTO image VALUES ('d1', 'linux', 'k', 'i', 'r', 0, '', 5000000, 2);"
	  "INSERT INTO instance VALUES ('vm-1', 'acme', 'one', 'wisp', 'wisp', 'd1', 'tiny', 1, 1,"
	  " 128, '', 8, '', 1, 1, '{}', 0, 0, 0, 0, 0, 1, 3);"
	  "INSERT INTO incarnation VALUES ('vm-1', 1, 'boot-0', 7, 7, 3, 4, 'exited', 0);"
	  "INSERT INTO uid_lease VALUES (900000000, 'vm-1')" },
	{ 4,
	  "INSERT INTO operation VALUES ('op-1', 'acme', 'linux', 'import', 0, 'done', '', '', '',"
	  " 1, 2);"
	  "INSERT INTO idempotency VALUES ('acme', 'k', x'00', 200, '{}', 1)" },
	{ 5, "INSERT INTO sample VALUES ('vm-1', 1, 1, 0, '{}');"
	     "INSERT INTO held VALUES ('disk_space', 'acme', 'vm-1', 'vm-1', 10, 5)" },
	{ 6, "INSERT INTO drained VALUES ('vm-1')" },
	{ 7, "INSERT INTO finding VALUES (1, 'ghost', 'vm-1', '', 5, 6)" },
	{ 8, "INSERT INTO network VALUES (1, 'acme', 'net', 'bridge', '192.0.2.0/24', '', 1, 0, '',"
	     " 5);"
	     "INSERT INTO lease VALUES (1, 'vm-1', 0, 1, 2, 0, 0, '');"
	     "INSERT INTO publication VALUES (6, 8080, 1, 80), (6, 8443, 1, 443)" },
	{ 10, "INSERT INTO volume VALUES ('vol-1', 'acme', 'data', 0, 1, 64, 0, NULL, 0, 0),"
	      " ('vol-2', 'acme', 'going', 0, 4, 64, 0, NULL, 0, 0)" },
	{ 12, "INSERT INTO device_claim VALUES ('0000:00:04.0', 'vm-1', 4, '', '', 1)" },
	{ 14,
	  "INSERT INTO pool (n, tenant, name, image, shape, cmdline, least, most, keep_s, leaving)"
	  " VALUES (1, 'acme', 'warm', 'linux', 'tiny', '', 2, 4, 60, 0),"
	  " (2, '', 'hosts', 'linux', 'tiny', '', 2, 4, 60, 0)" },
	{ 15, "INSERT INTO snapshot VALUES ('snap-1', 'acme', 'then', '{}', 1, 0, 0, 200, 150, 1,"
	      " 'vm-1', 'd1', 'tiny', '', 1, 1, 128, 0, '[]')" },
	{ 19, "INSERT INTO budget VALUES ('acme', 1000, 800, 3600000, 0, 0, 0)" },
	{ 20, "INSERT INTO seat VALUES (3, 'vm-1', NULL, 0)" },
	{ 31, "INSERT INTO snapshot_volume VALUES ('snap-1', 0, 'vol-1', 'data', 0, 64, 1)" },
	{ 32, "INSERT INTO attended VALUES ('vm-1')" },
};

/* What is on acme's bill then. */
static const struct {
	int version;
	const char *meter, *thing;
	int64_t amount;
} metered[] = {
	{ 3, "address_time", "vm-1", 2 },    { 4, "image_space", "d1", 5 },
	{ 5, "disk_space", "vm-1", 10 },     { 8, "port_time", "vm-1", 2 },
	{ 10, "volume_space", "vol-1", 64 }, { 12, "device_time", "0000:00:04.0", 1 },
	{ 14, "pool_time", "pool warm", 2 }, { 15, "snapshot_space", "snap-1", 150 },
	{ 20, "processor_time", "vm-1", 1 },
};

static void execute(sqlite3 *db, const char *sql)
{
	char *fault = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &fault) != SQLITE_OK)
		fail_msg("%s: %.200s", fault, sql);
}

/* A ledger of then. */
static void write_events(sqlite3 *db)
{
	uint8_t hash[LEDGER_HASH_BYTES] = { 0 }, id[LEDGER_HASH_BYTES];
	char hash_hex[LEDGER_HEX_BYTES], id_hex[LEDGER_HEX_BYTES], sql[SQL_BYTES];

	for (int n = 1; n <= EVENTS; n++) {
		const struct record r = { .seq = n,
					  .subject_n = n,
					  .boot_id = "boot-0",
					  .boot_ns = n,
					  .wall_ns = n,
					  .type = n % 2 ? "meter.confirmed" : "test.happened",
					  .tenant = "acme",
					  .instance = "vm-1",
					  .actor = "test",
					  .body = "{}" };

		record_id(&r, "old", id);
		record_hash(&r, hash, hash);
		hex_encode(id, sizeof(id), id_hex);
		hex_encode(hash, sizeof(hash), hash_hex);
		snprintf(sql, sizeof(sql),
			 "INSERT INTO event VALUES (%d, x'%s', %d, 'boot-0', %d, %d, '%s', 'acme',"
			 " 'vm-1', 0, 'test', '{}', x'%s')",
			 n, id_hex, n, n, n, r.type, hash_hex);
		execute(db, sql);
	}
	snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES ('ledger_head', '%d %s')", EVENTS,
		 hash_hex);
	execute(db, sql);
}

static void make_old(const char *path, int version)
{
	char sql[96];
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (int v = 1; v <= version; v++) {
		execute(db, store_migrations[v - 1]);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (rows[i].version == v)
				execute(db, rows[i].sql);
		if (v == 1)
			write_events(db);
	}
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 0x77697370, version);
	execute(db, sql);
	sqlite3_close(db);
}

static int64_t number(struct books *b, const char *sql)
{
	struct error err = { 0 };
	int64_t n = -1;

	if (store_number(b->truth.store, &n, &err, sql, "") < 0)
		fail_msg("%s: %s", sql, err.text);
	return n;
}

/* Rows that were there are there, whole, each once. */
static void check_kept(struct books *b, int version)
{
	static const struct {
		int version;
		const char *sql;
		int64_t count;
	} kept[] = {
		{ 1, "SELECT count(*) FROM event", EVENTS },
		{ 1, "SELECT count(*) FROM meta WHERE key = 'kept'", 1 },
		{ 1, "SELECT last_n FROM subject WHERE instance = 'vm-1'", EVENTS },
		{ 2, "SELECT count(*) FROM tenant", 2 },
		{ 3, "SELECT count(*) FROM instance JOIN image ON image = digest", 1 },
		{ 3, "SELECT count(*) FROM incarnation JOIN uid_lease USING (instance)", 1 },
		{ 4, "SELECT count(*) FROM operation JOIN idempotency USING (tenant)", 1 },
		{ 7, "SELECT count(*) FROM drained JOIN finding ON instance = subject", 1 },
		{ 8,
		  "SELECT count(*) FROM publication p JOIN lease l ON p.lease = l.n JOIN network n"
		  " ON l.network = n.n JOIN instance i ON l.instance = i.id",
		  2 },
		{ 10, "SELECT count(*) FROM volume", 2 },
		{ 14, "SELECT count(*) FROM pool", 2 },
		{ 15, "SELECT count(*) FROM snapshot", 1 },
		{ 19, "SELECT count(*) FROM budget", 1 },
		{ 31, "SELECT count(*) FROM snapshot_volume", 1 },
		{ 32, "SELECT count(*) FROM attended JOIN instance ON instance = id", 1 },
	};
	char line[256];
	struct error err;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (version >= kept[i].version && number(b, kept[i].sql) != kept[i].count)
			fail_msg("of version %d: %s", version, kept[i].sql);
	assert_int_equal(number(b, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
	assert_int_equal(store_check(b->truth.store, 1, line, sizeof(line), &err), 0);
}

/* Once, however often wispd starts. */
static void check_metered(struct books *b, int version)
{
	int64_t count = 0;
	struct error err;

	for (int start = 0; start < 2; start++) {
		assert_int_equal(store_begin(b->truth.store, &err), 0);
		assert_true(holdings_tell(&b->truth, &err) >= 0);
		assert_int_equal(store_commit(b->truth.store, &err), 0);
	}
	for (size_t i = 0; i < sizeof(metered) / sizeof(metered[0]); i++) {
		int64_t amount = 0;

		if (version < metered[i].version)
			continue;
		count++;
		assert_int_equal(store_number(b->truth.store, &amount, &err,
					      "SELECT ifnull(sum(amount), 0) FROM held"
					      " WHERE tenant = 'acme' AND meter = ? AND thing = ?",
					      "ss", metered[i].meter, metered[i].thing),
				 0);
		if (amount != metered[i].amount)
			fail_msg("of version %d: %s", version, metered[i].meter);
	}
	assert_int_equal(number(b, "SELECT count(*) FROM held"), count);
	assert_int_equal(number(b, "SELECT count(*) FROM event WHERE type = 'meter.held'"),
			 count - (version >= 5));
}

static void check_whole(struct books *b, int64_t count)
{
	struct proof_report report;
	struct error err;

	assert_int_equal(proof_walk(b->truth.ledger, NULL, &report, &err), 0);
	assert_string_equal(report.fault, "");
	assert_int_equal(report.checked, count);
}

static void test_every_version(void **state)
{
	(void)state;
	for (int version = 1; version <= store_migrations_count; version++) {
		struct books b = { 0 };
		struct error err;

		assert_int_equal(scratch_make(&b.dir), 0);
		make_old(scratch_path(b.dir, "db"), version);
		if (store_open(scratch_path(b.dir, "db"), &b.truth.store, &err) < 0 ||
		    ledger_open(b.truth.store, &b.truth.ledger, &err) < 0)
			fail_msg("of version %d: %s", version, err.text);
		check_whole(&b, EVENTS);
		check_kept(&b, version);
		check_metered(&b, version);
		check_whole(&b, number(&b, "SELECT count(*) FROM event WHERE seq > 0"));
		books_close(&b);
	}
}

/* One that was changed after its release would be missing where it ran before. */
static void test_released(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(released) / sizeof(released[0]); i++) {
		const char *text = store_migrations[i];
		uint8_t digest[SHA256_DIGEST_SIZE];
		char hex[2 * SHA256_DIGEST_SIZE + 1];
		struct sha256_ctx hash;

		sha256_init(&hash);
		sha256_update(&hash, strlen(text), (const uint8_t *)text);
		sha256_digest(&hash, sizeof(digest), digest);
		hex_encode(digest, sizeof(digest), hex);
		if (strncmp(hex, released[i], strlen(released[i])) != 0)
			fail_msg("text %zu was changed: %s", i + 1, hex);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_version),
		cmocka_unit_test(test_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
