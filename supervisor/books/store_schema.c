/* store_schema.c - the tables, in the order in which they came to be.
 *
 * All tables are STRICT. Times are integers in nanoseconds: boot_ns of CLOCK_BOOTTIME,
 * which means something within one boot_id only, and wall_ns of CLOCK_REALTIME. A column
 * named *_seq is the number of the event that tells of it.
 */
#include "supervisor/books/store_schema.h"

/* The ledger. What is written there stays: the database itself refuses anything else. */
static const char ledger[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE boot (boot_id TEXT PRIMARY KEY, first_wall_ns INTEGER NOT NULL,"
	"  kernel TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE event (seq INTEGER PRIMARY KEY, event_id BLOB NOT NULL UNIQUE,"
	"  subject_n INTEGER NOT NULL, boot_id TEXT NOT NULL, boot_ns INTEGER NOT NULL,"
	"  wall_ns INTEGER NOT NULL, type TEXT NOT NULL, tenant TEXT NOT NULL,"
	"  instance TEXT NOT NULL, incarnation INTEGER NOT NULL, actor TEXT NOT NULL,"
	"  body TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX event_subject ON event (instance, subject_n);"
	"CREATE TRIGGER event_no_update BEFORE UPDATE ON event"
	"  BEGIN SELECT raise(ABORT, 'events are never changed'); END;"
	"CREATE TRIGGER event_no_delete BEFORE DELETE ON event"
	"  BEGIN SELECT raise(ABORT, 'events are never removed'); END;";

static const char tenants[] =
	"CREATE TABLE tenant (name TEXT PRIMARY KEY, created_seq INTEGER NOT NULL)"
	"  STRICT, WITHOUT ROWID;"
	"CREATE TABLE quota (tenant TEXT NOT NULL REFERENCES tenant, resource TEXT NOT NULL,"
	"  most INTEGER NOT NULL, PRIMARY KEY (tenant, resource)) STRICT, WITHOUT ROWID;"
	/* What an instance holds of its tenant's quota and of the host. */
	"CREATE TABLE hold (instance TEXT NOT NULL, resource TEXT NOT NULL,"
	"  tenant TEXT NOT NULL, amount INTEGER NOT NULL,"
	"  PRIMARY KEY (instance, resource)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX hold_sum ON hold (resource, tenant, amount);"
	"CREATE TABLE shape (name TEXT NOT NULL, version INTEGER NOT NULL,"
	"  vcpus INTEGER NOT NULL, mem_mib INTEGER NOT NULL,"
	"  PRIMARY KEY (name, version)) STRICT, WITHOUT ROWID;"
	"INSERT INTO tenant VALUES ('default', 0);"
	"INSERT INTO shape VALUES ('tiny', 1, 1, 128), ('small', 1, 1, 512),"
	"  ('medium', 1, 2, 2048), ('large', 1, 4, 8192);";

static const char instances[] =
	"CREATE TABLE image (digest TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	"  kernel TEXT NOT NULL, initrd TEXT NOT NULL, rootfs TEXT NOT NULL,"
	"  rootfs_read_only INTEGER NOT NULL, cmdline TEXT NOT NULL, bytes INTEGER NOT NULL,"
	"  created_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE instance (id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant,"
	"  name TEXT NOT NULL, owner_engine TEXT NOT NULL, runtime TEXT NOT NULL,"
	"  image TEXT NOT NULL, shape TEXT NOT NULL, shape_version INTEGER NOT NULL,"
	"  vcpus INTEGER NOT NULL, mem_mib INTEGER NOT NULL, cmdline TEXT NOT NULL,"
	"  state INTEGER NOT NULL, cause TEXT NOT NULL, generation INTEGER NOT NULL,"
	"  incarnation INTEGER NOT NULL, labels TEXT NOT NULL,"
	"  start_wanted INTEGER NOT NULL, remove_wanted INTEGER NOT NULL,"
	"  stop_boot_ns INTEGER NOT NULL, expires_boot_ns INTEGER NOT NULL,"
	"  expires_wall_ns INTEGER NOT NULL, created_wall_ns INTEGER NOT NULL,"
	"  changed_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	/* 11: deleted (states.h), where a name is free again. */
	"CREATE UNIQUE INDEX instance_name ON instance (tenant, name) WHERE state <> 11;"
	"CREATE INDEX instance_image ON instance (image) WHERE state <> 11;"
	"CREATE TABLE incarnation (instance TEXT NOT NULL REFERENCES instance,"
	"  n INTEGER NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,"
	"  pid_start INTEGER NOT NULL, started_seq INTEGER NOT NULL,"
	"  ended_seq INTEGER, exit_kind TEXT, exit_code INTEGER,"
	"  PRIMARY KEY (instance, n)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE uid_lease (uid INTEGER PRIMARY KEY, instance TEXT NOT NULL UNIQUE) STRICT;";

static const char requests[] =
	"CREATE TABLE operation (id TEXT PRIMARY KEY, tenant TEXT NOT NULL,"
	"  subject TEXT NOT NULL, verb TEXT NOT NULL, goal INTEGER NOT NULL,"
	"  state TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,"
	"  result TEXT NOT NULL, created_wall_ns INTEGER NOT NULL,"
	"  done_wall_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX operation_active ON operation (subject) WHERE state = 'active';"
	"CREATE TABLE idempotency (tenant TEXT NOT NULL, key TEXT NOT NULL,"
	"  request BLOB NOT NULL, status INTEGER NOT NULL, response TEXT NOT NULL,"
	"  wall_ns INTEGER NOT NULL, PRIMARY KEY (tenant, key)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX idempotency_age ON idempotency (wall_ns);";

/* Counters of VMMs as they were last read (counters: meter.c), until the event that tells
 * of a VMM's end; and what is held, by METER_HELD meters (billing/plan.h). */
static const char metering[] =
	"CREATE TABLE sample (instance TEXT NOT NULL, incarnation INTEGER NOT NULL,"
	"  wall_ns INTEGER NOT NULL, lines INTEGER NOT NULL, counters TEXT NOT NULL,"
	"  PRIMARY KEY (instance, incarnation)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE held (meter TEXT NOT NULL, tenant TEXT NOT NULL, thing TEXT NOT NULL,"
	"  instance TEXT NOT NULL, amount INTEGER NOT NULL, seq INTEGER NOT NULL,"
	"  PRIMARY KEY (meter, tenant, thing)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX held_instance ON held (instance);";

/* Waiting for room on the host (queue.h). 12: queued. */
static const char waiting[] =
	"ALTER TABLE instance ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instance ADD COLUMN wait_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instance ADD COLUMN queued_boot_ns INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX instance_queued ON instance (queued_boot_ns) WHERE state = 12;"
	"ALTER TABLE tenant ADD COLUMN weight INTEGER NOT NULL DEFAULT 100;"
	/* Stopped by a drain; to be started again after it. */
	"CREATE TABLE drained (instance TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/* What reconcile.h found; open until it is cleared. */
static const char findings[] =
	"CREATE TABLE finding (id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
	"  subject TEXT NOT NULL, detail TEXT NOT NULL, opened_seq INTEGER NOT NULL,"
	"  cleared_seq INTEGER) STRICT;"
	"CREATE INDEX finding_open ON finding (kind, subject) WHERE cleared_seq IS NULL;";

static const char networks[] =
	"CREATE TABLE network (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant,"
	"  name TEXT NOT NULL, mode TEXT NOT NULL, prefix4 TEXT NOT NULL, prefix6 TEXT NOT NULL,"
	"  nat INTEGER NOT NULL, leaving INTEGER NOT NULL, egress TEXT NOT NULL,"
	"  created_seq INTEGER NOT NULL, UNIQUE (tenant, name)) STRICT;"
	/* place: which address of its network. An address is leased once. */
	"CREATE TABLE lease (n INTEGER PRIMARY KEY, instance TEXT NOT NULL REFERENCES instance,"
	"  slot INTEGER NOT NULL, network INTEGER NOT NULL REFERENCES network,"
	"  place INTEGER NOT NULL, rx_bytes_per_s INTEGER NOT NULL,"
	"  tx_bytes_per_s INTEGER NOT NULL, egress TEXT NOT NULL,"
	"  UNIQUE (instance, slot), UNIQUE (network, place)) STRICT;"
	"CREATE TABLE publication (protocol INTEGER NOT NULL, port INTEGER NOT NULL,"
	"  lease INTEGER NOT NULL REFERENCES lease, guest_port INTEGER NOT NULL,"
	"  PRIMARY KEY (protocol, port)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX publication_lease ON publication (lease);";

static const char agents[] = "ALTER TABLE image ADD COLUMN agent INTEGER NOT NULL DEFAULT 0;";

/* Numbers: volume/volume.h. */
static const char volumes[] =
	"CREATE TABLE volume (id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant,"
	"  name TEXT NOT NULL, format INTEGER NOT NULL, state INTEGER NOT NULL,"
	"  size_mib INTEGER NOT NULL, place INTEGER NOT NULL,"
	"  instance TEXT REFERENCES instance, slot INTEGER NOT NULL,"
	"  read_only INTEGER NOT NULL, UNIQUE (tenant, name)) STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX volume_slot ON volume (instance, slot)"
	"  WHERE instance IS NOT NULL;"
	/* Instances whose drives can come and go while they run. */
	"CREATE TABLE hotplug (instance TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/* Images that are proved by a boot (image_probe.h). */
static const char imports[] =
	"ALTER TABLE image ADD COLUMN run TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE image ADD COLUMN state TEXT NOT NULL DEFAULT 'published';"
	"ALTER TABLE image ADD COLUMN wanted TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE image ADD COLUMN cause TEXT NOT NULL DEFAULT '';";

/* used: by a guest, and not proven since. What is in quarantine is given to nobody. */
static const char devices[] =
	"CREATE TABLE device_claim (address TEXT PRIMARY KEY, instance TEXT NOT NULL,"
	"  iommu_group INTEGER NOT NULL, driver TEXT NOT NULL, override TEXT NOT NULL,"
	"  used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX device_claim_instance ON device_claim (instance);"
	"CREATE TABLE device_quarantine (address TEXT PRIMARY KEY, iommu_group INTEGER NOT NULL,"
	"  driver TEXT NOT NULL, override TEXT NOT NULL, reason TEXT NOT NULL)"
	"  STRICT, WITHOUT ROWID;"
	"CREATE TABLE decision (instance TEXT PRIMARY KEY, record TEXT NOT NULL)"
	"  STRICT, WITHOUT ROWID;";

/* The inventory of this host as it was last seen (host/report.h). */
static const char inventory[] =
	"CREATE TABLE host_section (name TEXT PRIMARY KEY, report TEXT NOT NULL)"
	"  STRICT, WITHOUT ROWID;";

/* Warm pools, of a tenant or ('') the host's, and the VMMs that wait in them (pool/pool.h). */
static const char pools[] =
	"CREATE TABLE pool (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,"
	"  image TEXT NOT NULL, shape TEXT NOT NULL, cmdline TEXT NOT NULL,"
	"  least INTEGER NOT NULL, most INTEGER NOT NULL, keep_s INTEGER NOT NULL,"
	"  leaving INTEGER NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX pool_name ON pool (tenant, name) WHERE NOT leaving;"
	"CREATE TABLE blank (id TEXT PRIMARY KEY, pool INTEGER NOT NULL REFERENCES pool,"
	"  image TEXT NOT NULL, shape_version INTEGER NOT NULL, vcpus INTEGER NOT NULL,"
	"  mem_mib INTEGER NOT NULL, cmdline TEXT NOT NULL, disk_mib INTEGER NOT NULL,"
	"  boot_id TEXT NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL)"
	"  STRICT, WITHOUT ROWID;"
	"CREATE INDEX blank_pool ON blank (pool);";

/* Numbers: snapshot/snapshot.h. A user is an instance that is to begin by loading one. */
static const char snapshots[] =
	"CREATE TABLE snapshot (id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant,"
	"  name TEXT NOT NULL, labels TEXT NOT NULL, state INTEGER NOT NULL,"
	"  resume INTEGER NOT NULL, passing INTEGER NOT NULL, most_mib INTEGER NOT NULL,"
	"  size_mib INTEGER NOT NULL, created_wall_ns INTEGER NOT NULL,"
	"  instance TEXT NOT NULL REFERENCES instance, image TEXT NOT NULL,"
	"  shape TEXT NOT NULL, cmdline TEXT NOT NULL, shape_version INTEGER NOT NULL,"
	"  vcpus INTEGER NOT NULL, mem_mib INTEGER NOT NULL, hotplug INTEGER NOT NULL,"
	"  interfaces TEXT NOT NULL, UNIQUE (tenant, name)) STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX snapshot_making ON snapshot (instance) WHERE state = 0;"
	"CREATE TABLE snapshot_use (user TEXT PRIMARY KEY REFERENCES instance,"
	"  snapshot TEXT NOT NULL REFERENCES snapshot) STRICT, WITHOUT ROWID;"
	"CREATE INDEX snapshot_users ON snapshot_use (snapshot);";

/* Virtual functions that a device is to have (device/functions.h); links: JSON. */
static const char functions[] =
	"CREATE TABLE device_functions (address TEXT PRIMARY KEY, count INTEGER NOT NULL,"
	"  links TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/* The snapshot that a pool's blanks begin with, and what makes it (pool/golden.h). */
static const char goldens[] =
	"CREATE TABLE golden (pool INTEGER PRIMARY KEY REFERENCES pool,"
	"  instance TEXT NOT NULL, snapshot TEXT NOT NULL, image TEXT NOT NULL,"
	"  shape_version INTEGER NOT NULL, version TEXT NOT NULL) STRICT;"
	"ALTER TABLE blank ADD COLUMN snapshot TEXT NOT NULL DEFAULT '';";

/* Instances whose disks are overwritten before they are removed. */
static const char wipes[] = "CREATE TABLE wipe (instance TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/* What a tenant may spend (budget.h), and what was last told of it, for which month. */
static const char budgets[] =
	"CREATE TABLE budget (tenant TEXT PRIMARY KEY REFERENCES tenant,"
	"  limit_nano INTEGER NOT NULL, warn_per_mille INTEGER NOT NULL,"
	"  ahead_ms INTEGER NOT NULL, action INTEGER NOT NULL, level INTEGER NOT NULL,"
	"  period INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* Where instances run (seats.h). A processor is one row, so nobody shares it; vcpu: which of
 * the guest's it is, NULL: one that is left to the VMM, or a slice's. */
static const char places[] =
	"ALTER TABLE instance ADD COLUMN profile INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instance ADD COLUMN node INTEGER NOT NULL DEFAULT -1;"
	"ALTER TABLE instance ADD COLUMN huge_pages INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE placement (instance TEXT PRIMARY KEY, node INTEGER NOT NULL,"
	"  mem_mib INTEGER NOT NULL, huge_pages INTEGER NOT NULL, record TEXT NOT NULL)"
	"  STRICT, WITHOUT ROWID;"
	"CREATE TABLE slice (name TEXT PRIMARY KEY, cpus TEXT NOT NULL,"
	"  memory_mib INTEGER NOT NULL, huge_mib INTEGER NOT NULL, node INTEGER NOT NULL)"
	"  STRICT, WITHOUT ROWID;"
	"CREATE TABLE seat (cpu INTEGER PRIMARY KEY, instance TEXT, slice TEXT, vcpu INTEGER,"
	"  CHECK ((instance IS NULL) <> (slice IS NULL))) STRICT;"
	"CREATE INDEX seat_instance ON seat (instance) WHERE instance IS NOT NULL;";

/* The ledger without an index of event_id, which is random: each event cost a page of that index
 * when it was larger than the cache. An id is a hash over what is unique by event_subject. */
static const char narrow_ledger[] =
	"CREATE TABLE event_next (seq INTEGER PRIMARY KEY, event_id BLOB NOT NULL,"
	"  subject_n INTEGER NOT NULL, boot_id TEXT NOT NULL, boot_ns INTEGER NOT NULL,"
	"  wall_ns INTEGER NOT NULL, type TEXT NOT NULL, tenant TEXT NOT NULL,"
	"  instance TEXT NOT NULL, incarnation INTEGER NOT NULL, actor TEXT NOT NULL,"
	"  body TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
	"INSERT INTO event_next SELECT * FROM event ORDER BY seq;"
	"DROP TABLE event;"
	"ALTER TABLE event_next RENAME TO event;"
	"CREATE UNIQUE INDEX event_subject ON event (instance, subject_n);"
	"CREATE TRIGGER event_no_update BEFORE UPDATE ON event"
	"  BEGIN SELECT raise(ABORT, 'events are never changed'); END;"
	"CREATE TRIGGER event_no_delete BEFORE DELETE ON event"
	"  BEGIN SELECT raise(ABORT, 'events are never removed'); END;";

/* What engines have offered (life/adopted.h): the process that is to be a VMM's jailer, of
 * which boot, and its control group. */
static const char engines[] =
	"CREATE TABLE adopted (instance TEXT PRIMARY KEY REFERENCES instance,"
	"  ref TEXT NOT NULL, pid INTEGER NOT NULL DEFAULT 0,"
	"  pid_start INTEGER NOT NULL DEFAULT 0, boot_id TEXT NOT NULL DEFAULT '',"
	"  cgroup TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;";

/* Pools with networks: a lease may be a blank's, which is no instance. */
static const char pooled_leases[] =
	"ALTER TABLE pool ADD COLUMN networks TEXT NOT NULL DEFAULT '';"
	"CREATE TABLE new_lease (n INTEGER PRIMARY KEY, instance TEXT NOT NULL,"
	"  slot INTEGER NOT NULL, network INTEGER NOT NULL REFERENCES network,"
	"  place INTEGER NOT NULL, rx_bytes_per_s INTEGER NOT NULL,"
	"  tx_bytes_per_s INTEGER NOT NULL, egress TEXT NOT NULL,"
	"  UNIQUE (instance, slot), UNIQUE (network, place)) STRICT;"
	"CREATE TABLE new_publication (protocol INTEGER NOT NULL, port INTEGER NOT NULL,"
	"  lease INTEGER NOT NULL REFERENCES new_lease, guest_port INTEGER NOT NULL,"
	"  PRIMARY KEY (protocol, port)) STRICT, WITHOUT ROWID;"
	"INSERT INTO new_lease SELECT * FROM lease;"
	"INSERT INTO new_publication SELECT * FROM publication;"
	"DROP TABLE publication; DROP TABLE lease;"
	"ALTER TABLE new_lease RENAME TO lease;"
	"ALTER TABLE new_publication RENAME TO publication;"
	"CREATE INDEX publication_lease ON publication (lease);";

/* Folders of the host that instances have (share/share.h). */
static const char shares[] =
	"CREATE TABLE share (instance TEXT NOT NULL REFERENCES instance, slot INTEGER NOT NULL,"
	"  path TEXT NOT NULL, tag TEXT NOT NULL, read_only INTEGER NOT NULL,"
	"  PRIMARY KEY (instance, slot), UNIQUE (instance, tag)) STRICT, WITHOUT ROWID;";

/* Instances that are not a microVM's kind of machine (life/board.h, which has the numbers). */
static const char boards[] =
	"CREATE TABLE board (instance TEXT PRIMARY KEY, firmware INTEGER NOT NULL,"
	"  disks INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* Events that were rolled up, and are in the archive (cut.h): only such may leave. The index
 * finds the few that part two stretches of time (LEDGER_LANDMARKS). */
static const char rollups[] =
	"CREATE TABLE cut (from_seq INTEGER PRIMARY KEY, to_seq INTEGER NOT NULL,"
	"  hash BLOB NOT NULL) STRICT;"
	"CREATE TABLE rollup (to_seq INTEGER PRIMARY KEY, from_seq INTEGER NOT NULL,"
	"  event_seq INTEGER NOT NULL) STRICT;"
	"CREATE INDEX event_landmark ON event (seq)"
	"  WHERE type IN ('period.closed', 'plan.published', 'tenant.plan');"
	"DROP TRIGGER event_no_delete;"
	"CREATE TRIGGER event_no_delete BEFORE DELETE ON event"
	"  WHEN OLD.type NOT IN ('meter.confirmed', 'meter.counted') OR ifnull((SELECT to_seq"
	"  FROM cut WHERE from_seq <= OLD.seq ORDER BY from_seq DESC LIMIT 1), 0) < OLD.seq"
	"  BEGIN SELECT raise(ABORT, 'events are never removed'); END;";

/* Sizes beyond shape and image, and the change of one that is under way (size.h). */
static const char sizes[] =
	"ALTER TABLE shape ADD COLUMN mem_max_mib INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE snapshot ADD COLUMN disk_mib INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE root_disk (instance TEXT PRIMARY KEY REFERENCES instance,"
	"  size_mib INTEGER NOT NULL, image_mib INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE resize (instance TEXT PRIMARY KEY REFERENCES instance,"
	"  operation TEXT NOT NULL, mem_from_mib INTEGER NOT NULL, mem_mib INTEGER NOT NULL,"
	"  disk_from_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL,"
	"  timeout_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* Near which memory a device is (seats.h); -1: nobody knows. */
static const char claim_nodes[] =
	"ALTER TABLE device_claim ADD COLUMN node INTEGER NOT NULL DEFAULT -1;";

/* The index of instances' events in parts of 8192 events: a batch whose events are each another
 * instance's touched as many pages of one that was over all. Which parts have an instance's, and
 * how many there were, stands beside; rows in the order of birth, so that those which live are
 * close to each other. */
static const char ledger_parts[] =
	"CREATE TABLE subject (n INTEGER PRIMARY KEY, instance TEXT NOT NULL UNIQUE,"
	"  first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, last_n INTEGER NOT NULL) STRICT;"
	"INSERT INTO subject (instance, first_seq, last_seq, last_n)"
	"  SELECT instance, min(seq), max(seq), max(subject_n) FROM event GROUP BY instance"
	"  ORDER BY min(seq);"
	"DROP INDEX event_subject;"
	"CREATE UNIQUE INDEX event_subject ON event (seq >> 13, instance, subject_n);";

/* The same index. For a list of three SQLite makes a table, at each event that is written. */
static const char plain_landmarks[] =
	"DROP INDEX event_landmark;"
	"CREATE INDEX event_landmark ON event (seq) WHERE type = 'period.closed'"
	"  OR type = 'plan.published' OR type = 'tenant.plan';";

/* Volumes of instances that were saved (snapshot/volumes.h). */
static const char saved_volumes[] =
	"CREATE TABLE snapshot_volume (snapshot TEXT NOT NULL REFERENCES snapshot,"
	"  slot INTEGER NOT NULL, volume TEXT NOT NULL, name TEXT NOT NULL,"
	"  format INTEGER NOT NULL, size_mib INTEGER NOT NULL, read_only INTEGER NOT NULL,"
	"  PRIMARY KEY (snapshot, slot)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX snapshot_volume_volume ON snapshot_volume (volume);";

/* Instances that last no longer than their clients (life/attend.h). */
static const char attendances[] = "CREATE TABLE attended (instance TEXT PRIMARY KEY REFERENCES"
				  "  instance) STRICT, WITHOUT ROWID;";

/* What a network's guests are served with (network/names.h); resolvers: addresses, "a b". */
static const char network_services[] =
	"ALTER TABLE network ADD COLUMN addressing INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE network ADD COLUMN dns INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE network ADD COLUMN resolvers TEXT NOT NULL DEFAULT '';";

/* Namespaces that instances were given (network/given.h); n: in the name of its tap there. */
static const char namespaces[] =
	"CREATE TABLE netns (instance TEXT PRIMARY KEY REFERENCES instance, n INTEGER NOT NULL,"
	"  path TEXT NOT NULL, link TEXT NOT NULL, UNIQUE (n), UNIQUE (path, link))"
	"  STRICT, WITHOUT ROWID;";

/* Networks of Open vSwitch (network/ovs.h): another's bridge, or "", one of its own; of the
 * latter netdev: in vswitchd, not in the kernel. */
static const char switches[] = "ALTER TABLE network ADD COLUMN bridge TEXT NOT NULL DEFAULT '';"
			       "ALTER TABLE network ADD COLUMN vlan INTEGER NOT NULL DEFAULT 0;"
			       "ALTER TABLE network ADD COLUMN netdev INTEGER NOT NULL DEFAULT 0;";

const char *const store_migrations[] = {
	ledger,		  tenants,	   instances,	  requests,
	metering,	  waiting,	   findings,	  networks,
	agents,		  volumes,	   imports,	  devices,
	inventory,	  pools,	   snapshots,	  functions,
	goldens,	  wipes,	   budgets,	  places,
	narrow_ledger,	  engines,	   pooled_leases, shares,
	boards,		  rollups,	   sizes,	  claim_nodes,
	ledger_parts,	  plain_landmarks, saved_volumes, attendances,
	network_services, namespaces,	   switches
};
const int store_migrations_count = sizeof(store_migrations) / sizeof(store_migrations[0]);
