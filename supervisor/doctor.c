/* doctor.c - a table of checks. To add one: a function and a row. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/proof.h"
#include "supervisor/books/store.h"
#include "supervisor/doctor.h"
#include "supervisor/metering/reconcile.h"
#include "supervisor/network/network.h"
#include "supervisor/wispd.h"

enum { TEXT_BYTES = 256, LEAST_FREE_PERCENT = 5, LAST_EVENTS = 10000 };

/* true: well; what: what was seen, either way. */
typedef bool (*check_fn)(struct wispd *d, char what[TEXT_BYTES]);

static bool check_kvm(struct wispd *d, char what[TEXT_BYTES])
{
	(void)d;
	snprintf(what, TEXT_BYTES, "/dev/kvm");
	return access("/dev/kvm", R_OK | W_OK) == 0;
}

static bool check_programs(struct wispd *d, char what[TEXT_BYTES])
{
	const struct config *c = &d->config;

	snprintf(what, TEXT_BYTES, "%.80s, %.80s, %.80s", c->wisp, c->wisp_jailer, c->wisp_keeper);
	return access(c->wisp, X_OK) == 0 && access(c->wisp_jailer, X_OK) == 0 &&
	       access(c->wisp_keeper, X_OK) == 0;
}

/* What the networks that there are need. */
static bool check_networks(struct wispd *d, char what[TEXT_BYTES])
{
	const struct config *c = &d->config;
	int64_t all = -1, by_passt = -1, by_ovs = -1, served = -1;
	struct error err;

	(void)store_number(d->truth.store, &all, &err, "SELECT count(*) FROM network", "");
	(void)store_number(d->truth.store, &by_passt, &err,
			   "SELECT count(*) FROM network WHERE mode = ?", "s",
			   network_mode_names[NETWORK_PASST]);
	(void)store_number(d->truth.store, &by_ovs, &err,
			   "SELECT count(*) FROM network WHERE mode = ?", "s",
			   network_mode_names[NETWORK_OVS]);
	(void)store_number(d->truth.store, &served, &err,
			   "SELECT count(*) FROM network WHERE dns OR addressing", "");
	snprintf(what, TEXT_BYTES, "%lld networks%s%.45s%s%.45s%s%.45s%s%.45s", (long long)all,
		 all ? ", " : "", all ? c->nft : "", by_passt ? ", " : "", by_passt ? c->passt : "",
		 by_ovs ? ", " : "", by_ovs ? c->ovs_vsctl : "", served ? ", " : "",
		 served ? c->dnsmasq : "");
	return (!all || access(c->nft, X_OK) == 0) && (!by_passt || access(c->passt, X_OK) == 0) &&
	       (!by_ovs || (access(c->ovs_vsctl, X_OK) == 0 && access(c->ovs_ofctl, X_OK) == 0)) &&
	       (!served || access(c->dnsmasq, X_OK) == 0);
}

/* The folders that may be shared, and what serves them. */
static bool check_shares(struct wispd *d, char what[TEXT_BYTES])
{
	const struct config *c = &d->config;

	snprintf(what, TEXT_BYTES, "%u folders%s%.200s", (unsigned)c->nshares,
		 c->nshares ? ", by " : "", c->nshares ? c->virtiofsd : "");
	if (c->nshares && access(c->virtiofsd, X_OK) < 0)
		return false;
	for (uint32_t i = 0; i < c->nshares; i++)
		if (access(c->shares[i].path, F_OK) < 0) {
			snprintf(what, TEXT_BYTES, "%.200s is not there", c->shares[i].path);
			return false;
		}
	return true;
}

static bool check_room(struct wispd *d, char what[TEXT_BYTES])
{
	struct statvfs fs;
	unsigned long percent;

	if (statvfs(d->config.state_dir, &fs) < 0 || fs.f_blocks == 0)
		return false;
	percent = (unsigned long)(fs.f_bavail * 100 / fs.f_blocks);
	snprintf(what, TEXT_BYTES, "%.200s has %lu %% free", d->config.state_dir, percent);
	return percent >= LEAST_FREE_PERCENT;
}

/* The loop waits for these two: what would take long is left to the ledger's verification. */
static bool check_database(struct wispd *d, char what[TEXT_BYTES])
{
	struct error err = { 0 };
	bool small = false;
	int faults = store_is_small(d->truth.store, &small, &err);

	if (faults == 0 && !small) {
		snprintf(what, TEXT_BYTES, "too large to be read at once: wispctl ledger verify");
		return true;
	}
	if (faults == 0)
		faults = store_check(d->truth.store, 1, what, TEXT_BYTES, &err);
	if (faults == 0)
		snprintf(what, TEXT_BYTES, "every page is as it should be");
	else if (faults < 0)
		snprintf(what, TEXT_BYTES, "%.200s", err.text);
	return faults == 0;
}

static bool check_ledger(struct wispd *d, char what[TEXT_BYTES])
{
	const struct proof_wish wish = { .last = LAST_EVENTS };
	struct proof_report report = { 0 };
	struct error err = { 0 };
	int r = proof_walk(d->truth.ledger, &wish, &report, &err);

	if (r < 0)
		snprintf(what, TEXT_BYTES, "%.200s", err.text);
	else if (report.bad_seq)
		snprintf(what, TEXT_BYTES, "%s", report.fault);
	else
		snprintf(what, TEXT_BYTES, "%lld events, all as they were written%s",
			 (long long)report.checked,
			 report.checked == LAST_EVENTS ? "; of more: wispctl ledger verify" : "");
	return r == 0 && !report.bad_seq;
}

/* A hold, lease or use without what it is of, or an instance that holds nothing. */
static bool check_holds(struct wispd *d, char what[TEXT_BYTES])
{
	struct error err;
	int64_t wrong = -1;

	(void)store_number(d->truth.store, &wrong, &err,
			   "SELECT (SELECT count(*) FROM hold WHERE NOT EXISTS (SELECT 1 FROM"
			   " instance WHERE id = hold.instance AND state <> 11)"
			   " AND NOT EXISTS (SELECT 1 FROM volume WHERE id = hold.instance)"
			   " AND NOT EXISTS (SELECT 1 FROM blank WHERE id = hold.instance)"
			   " AND NOT EXISTS (SELECT 1 FROM snapshot WHERE id = hold.instance))"
			   " + (SELECT count(*) FROM snapshot_use WHERE NOT EXISTS (SELECT 1 FROM"
			   " instance WHERE id = user AND state <> 11))"
			   " + (SELECT count(*) FROM lease WHERE NOT EXISTS (SELECT 1 FROM"
			   " instance WHERE id = lease.instance AND state <> 11)"
			   " AND NOT EXISTS (SELECT 1 FROM blank WHERE id = lease.instance))"
			   " + (SELECT count(*) FROM share WHERE NOT EXISTS (SELECT 1 FROM"
			   " instance WHERE id = share.instance AND state <> 11))"
			   " + (SELECT count(*) FROM uid_lease WHERE NOT EXISTS (SELECT 1 FROM"
			   " instance WHERE id = uid_lease.instance AND state <> 11)"
			   " AND NOT EXISTS (SELECT 1 FROM blank WHERE id = uid_lease.instance)"
			   " AND NOT EXISTS (SELECT 1 FROM network WHERE 'network-' || n ="
			   " uid_lease.instance))"
			   " + (SELECT count(*) FROM instance WHERE state <> 11 AND NOT EXISTS"
			   " (SELECT 1 FROM hold WHERE instance = id AND resource = 'instances'))",
			   "");
	snprintf(what, TEXT_BYTES, "%lld resources held by nobody, or by half", (long long)wrong);
	return wrong == 0;
}

static bool check_findings(struct wispd *d, char what[TEXT_BYTES])
{
	struct error err;
	int64_t open = -1;

	(void)reconcile_open(d, &open, &err);
	snprintf(what, TEXT_BYTES, "%lld things in which books and kernel differ", (long long)open);
	return open == 0;
}

static bool check_devices(struct wispd *d, char what[TEXT_BYTES])
{
	struct error err;
	int64_t unfit = -1;

	(void)store_number(d->truth.store, &unfit, &err, "SELECT count(*) FROM device_quarantine",
			   "");
	snprintf(what, TEXT_BYTES, "%lld devices in quarantine", (long long)unfit);
	return unfit == 0;
}

static const struct {
	const char *name;
	check_fn check;
	const char *remedy;
} checks[] = {
	{ "kvm", check_kvm,
	  "load kvm_intel or kvm_amd, and switch virtualization on in the firmware" },
	{ "programs", check_programs,
	  "install wisp, wisp-jailer and wisp-keeper, or set their paths in wispd.json" },
	{ "networks", check_networks,
	  "install nftables, passt and dnsmasq-base, or set their paths in wispd.json" },
	{ "shares", check_shares,
	  "install qemu-system-common (virtiofsd), and see that the folders of wispd.json are there" },
	{ "room", check_room, "remove images or instances, or give state_dir a larger disk" },
	{ "database", check_database, "stop wispd and restore state_dir/wispd.db from a back-up" },
	{ "ledger", check_ledger, "keep the database as evidence, and restore a back-up" },
	{ "devices", check_devices,
	  "wispctl device list says why; mend it, then wispctl device prove ADDRESS" },
	{ "holds", check_holds,
	  "restart wispd; if it stays, keep a copy of the database and report it" },
	{ "findings", check_findings,
	  "wispctl findings lists them; what is billed stays as the ledger has it" },
};

json_t *doctor_examine(struct wispd *d, struct error *err)
{
	json_t *findings = json_array(), *j;
	bool healthy = true;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		char what[TEXT_BYTES] = "";
		bool ok = checks[i].check(d, what);

		healthy = healthy && ok;
		json_array_append_new(findings, json_pack("{s:s, s:b, s:s, s:s}", "check",
							  checks[i].name, "ok", ok, "what", what,
							  "remedy", ok ? "" : checks[i].remedy));
	}
	j = json_pack("{s:b, s:o}", "healthy", healthy, "findings", findings);
	if (!j)
		error_set(err, -1, NULL, NULL, "out of memory");
	return j;
}
