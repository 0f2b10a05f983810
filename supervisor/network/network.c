/* network.c - the rows of networks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/network/network.h"

/* The column leaving: the last one takes the table of rules along. */
enum { STAYS, LEAVES, LEAVES_LAST };

#define COLUMNS                                                         \
	"n, tenant, name, mode, prefix4, prefix6, nat, leaving, egress" \
	", addressing, dns, resolvers, bridge, vlan, netdev"
/* The owner's name is network_owner()'s. */
#define USER "(SELECT uid FROM uid_lease WHERE instance = 'network-' || n)"

const char *const network_mode_names[] = {
	[NETWORK_BRIDGE] = "bridge",
	[NETWORK_ROUTED] = "routed",
	[NETWORK_PASST] = "passt",
	[NETWORK_OVS] = "ovs",
	NULL,
};

const char *const network_addressing_names[] = { "told", "dhcp", NULL };
const char *const network_datapath_names[] = { "system", "netdev", NULL };

/* The host's identity is random, and hexadecimal. */
void network_tag(struct truth *t, char tag[NETWORK_TAG_BYTES])
{
	snprintf(tag, NETWORK_TAG_BYTES, "%.6s", ledger_host_id(t->ledger));
}

void network_link(const char *tag, int64_t n, char name[LINK_BYTES])
{
	snprintf(name, LINK_BYTES, "wb%.6s%x", tag, (unsigned)n);
}

void network_owner(const struct network *n, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "network-%lld", (long long)n->n);
}

/* --- reading --- */

static enum network_mode mode_of(const char *name)
{
	unsigned mode = NETWORK_BRIDGE;

	for (unsigned i = 0; network_mode_names[i]; i++)
		if (strcmp(name, network_mode_names[i]) == 0)
			mode = i;
	return (enum network_mode)mode;
}

static void read_row(const struct rows *r, struct network *n)
{
	*n = (struct network){
		.n = rows_int(r, 0),
		.mode = mode_of(rows_string(r, 3)),
		.nat = rows_int(r, 6) != 0,
		.leaving = rows_int(r, 7) != STAYS,
		.last = rows_int(r, 7) == LEAVES_LAST,
		.addressing = rows_int(r, 9) == NETWORK_DHCP ? NETWORK_DHCP : NETWORK_TOLD,
		.dns = rows_int(r, 10) != 0,
		.vlan = (unsigned)rows_int(r, 13),
		.netdev = rows_int(r, 14) != 0,
		.user = (uid_t)rows_int(r, 15),
	};
	rows_text(r, 1, n->tenant, sizeof(n->tenant));
	rows_text(r, 2, n->name, sizeof(n->name));
	(void)prefix_parse(rows_string(r, 4), &n->prefix4);
	(void)prefix_parse(rows_string(r, 5), &n->prefix6);
	rows_text(r, 8, n->egress, sizeof(n->egress));
	rows_text(r, 11, n->resolvers, sizeof(n->resolvers));
	rows_text(r, 12, n->bridge, sizeof(n->bridge));
}

static int read_one(struct rows *rows, const char *which, struct network *ret, struct error *err)
{
	int r = rows_next(rows, err);

	if (r > 0)
		read_row(rows, ret);
	rows_end(rows);
	if (r == 0)
		return error_set(err, -ENOENT, "network", "wispctl net ls lists what there is",
				 "There is no network %.64s", which);
	return r < 0 ? r : 0;
}

int network_find(struct truth *t, const char *tenant, const char *name, struct network *ret,
		 struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS ", " USER
			     " FROM network WHERE name = ?1 AND leaving = 0"
			     " AND ifnull(?2, tenant) = tenant"
			     " AND (?2 IS NOT NULL OR 1 = (SELECT count(*) FROM network"
			     "  WHERE name = ?1 AND leaving = 0))",
			     "ss", name, tenant);

	return r < 0 ? r : read_one(&rows, name, ret, err);
}

int network_load(struct truth *t, int64_t n, struct network *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS ", " USER " FROM network WHERE n = ?", "i", n);

	return r < 0 ? r : read_one(&rows, "of that number", ret, err);
}

int network_each(struct truth *t, const char *tenant, network_fn fn, void *ctx, struct error *err)
{
	struct network n;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS ", " USER
			     " FROM network WHERE ifnull(?1, tenant) = tenant"
			     " ORDER BY n",
			     "s", tenant);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &n);
		r = fn(ctx, &n);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* --- writing --- */

static int tell(struct truth *t, const char *type, const struct network *n, const char *actor,
		int64_t *seq, struct error *err)
{
	char prefix4[PREFIX_TEXT], prefix6[PREFIX_TEXT];
	json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:s, s:i}", "name", n->name,
				 "mode", network_mode_names[n->mode], "prefix4",
				 prefix_print(&n->prefix4, prefix4), "prefix6",
				 prefix_print(&n->prefix6, prefix6), "nat", n->nat, "addressing",
				 network_addressing_names[n->addressing], "dns", n->dns, "bridge",
				 n->bridge, "vlan", (int)n->vlan);
	struct ledger_event e = { .type = type, .tenant = n->tenant, .actor = actor, .body = body };
	int r = body ? ledger_append(t->ledger, &e, seq, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

struct rival {
	const struct network *of;
	struct error *err;
};

static int refuse_overlap(void *ctx, const struct network *other)
{
	const struct rival *rival = ctx;
	const struct network *n = rival->of;

	if (strcmp(n->tenant, other->tenant) == 0 && strcmp(n->name, other->name) == 0)
		return error_set(rival->err, -EEXIST, "name", "choose another",
				 "There is a network %s already", n->name);
	if (prefix_overlaps(&n->prefix4, &other->prefix4))
		return error_set(rival->err, -EEXIST, "prefix4", "choose another",
				 "Another network has addresses of that prefix");
	if (n->prefix6.base.family && prefix_overlaps(&n->prefix6, &other->prefix6))
		return error_set(rival->err, -EEXIST, "prefix6", "choose another",
				 "Another network has addresses of that prefix");
	if (n->bridge[0] && strcmp(n->bridge, other->bridge) == 0 && n->vlan == other->vlan)
		return error_set(rival->err, -EEXIST, "vlan", "choose another",
				 "Another network is on bridge %s with that VLAN", n->bridge);
	return 0;
}

/* The table of rules goes with the last network: it must not take a new one's along, nor be
 * made again by the removal of another. */
static int refuse_haste(struct truth *t, int64_t least, struct error *err)
{
	int64_t leaving = 0;
	int r = store_number(t->store, &leaving, err,
			     "SELECT count(*) FROM network WHERE leaving >= ?", "i", least);

	if (r < 0 || !leaving)
		return r;
	return error_set(err, -EAGAIN, NULL, "try again in a moment",
			 "Another network is just being removed");
}

int network_add(struct truth *t, struct network *n, const char *actor, struct error *err)
{
	char prefix4[PREFIX_TEXT], prefix6[PREFIX_TEXT];
	struct rival rival = { n, err };
	int64_t seq = 0;
	int r = refuse_haste(t, LEAVES_LAST, err);

	if (r == 0)
		r = network_each(t, NULL, refuse_overlap, &rival, err);
	if (r == 0)
		r = store_number(t->store, &n->n, err, "SELECT ifnull(max(n), 0) + 1 FROM network",
				 "");
	if (r == 0)
		r = tell(t, "network.created", n, actor, &seq, err);
	if (r == 0)
		r = store_run(t->store, err,
			      "INSERT INTO network (" COLUMNS ", created_seq)"
			      " VALUES (?,?,?,?,?,?,?,0,?,?,?,?,?,?,?,?)",
			      "isssssisiissiii", n->n, n->tenant, n->name,
			      network_mode_names[n->mode], prefix_print(&n->prefix4, prefix4),
			      prefix_print(&n->prefix6, prefix6), (int64_t)n->nat, n->egress,
			      (int64_t)n->addressing, (int64_t)n->dns, n->resolvers, n->bridge,
			      (int64_t)n->vlan, (int64_t)n->netdev, seq);
	return r < 0 ? r : 0;
}

/* A pool's blanks come and go: it must not find its network gone. */
static int refuse_pooled(struct truth *t, const struct network *n, struct error *err)
{
	int64_t pools = 0;
	int r = store_number(t->store, &pools, err,
			     "SELECT count(*) FROM pool WHERE tenant = ?1 AND NOT leaving"
			     " AND instr(' ' || networks || ' ', ' ' || ?2 || ' ')",
			     "ss", n->tenant, n->name);

	if (r < 0 || !pools)
		return r;
	return error_set(err, -EBUSY, "network", "remove it first: wispctl pool rm",
			 "A pool is for network %s", n->name);
}

int network_leave(struct truth *t, struct network *n, const char *actor, struct error *err)
{
	int64_t users = 0, others = 0;
	int r = refuse_haste(t, LEAVES, err);

	if (r == 0)
		r = refuse_pooled(t, n, err);
	if (r == 0)
		r = store_number(t->store, &users, err,
				 "SELECT count(*) FROM lease WHERE network = ?", "i", n->n);
	if (r == 0 && users)
		return error_set(err, -EBUSY, "network", "delete them first",
				 "%lld interfaces are in network %s", (long long)users, n->name);
	if (r == 0)
		r = store_number(t->store, &others, err,
				 "SELECT count(*) FROM network WHERE n <> ?", "i", n->n);
	if (r == 0)
		r = tell(t, "network.deleted", n, actor, NULL, err);
	if (r == 0)
		r = store_run(t->store, err, "UPDATE network SET leaving = ? WHERE n = ?", "ii",
			      (int64_t)(others ? LEAVES : LEAVES_LAST), n->n);
	if (r < 0)
		return r;
	n->leaving = true;
	n->last = others == 0;
	return 0;
}

int network_forget(struct truth *t, int64_t n, struct error *err)
{
	const struct network gone = { .n = n };
	char owner[NAME_BYTES];
	int r;

	network_owner(&gone, owner);
	r = store_run(t->store, err, "DELETE FROM uid_lease WHERE instance = ?", "s", owner);
	if (r >= 0)
		r = store_run(t->store, err, "DELETE FROM network WHERE n = ?", "i", n);
	return r < 0 ? r : 0;
}

/* --- showing --- */

json_t *network_egress_list(const char *lines)
{
	json_t *list = json_array();

	while (*lines) {
		size_t len = strcspn(lines, "\n");

		json_array_append_new(list, json_stringn(lines, len));
		lines += len + (lines[len] == '\n');
	}
	return list;
}

bool network_next_resolver(const char **list, struct address *ret)
{
	char text[ADDRESS_TEXT];
	size_t len = strcspn(*list, " ");

	snprintf(text, sizeof(text), "%.*s", (int)len, *list);
	*list += len + ((*list)[len] == ' ');
	return len > 0 && address_parse(text, ret) == 0;
}

static json_t *list_resolvers(const struct network *n)
{
	const char *rest = n->resolvers;
	json_t *list = json_array();
	char text[ADDRESS_TEXT];
	struct address a;

	while (network_next_resolver(&rest, &a))
		json_array_append_new(list, json_string(address_print(&a, text)));
	return list;
}

json_t *network_describe(const struct network *n, const char *tag)
{
	struct address gateway4 = prefix_address(&n->prefix4, NETWORK_GATEWAY);
	struct address gateway6 = prefix_address(&n->prefix6, NETWORK_GATEWAY);
	char prefix4[PREFIX_TEXT], prefix6[PREFIX_TEXT], text4[ADDRESS_TEXT], text6[ADDRESS_TEXT];
	char link[LINK_BYTES] = "";

	if (network_has_bridge(n))
		network_link(tag, n->n, link);
	else
		memcpy(link, n->bridge, sizeof(link));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:s, s:s, s:b, s:o,"
			 " s:i, s:s}",
			 "name", n->name, "tenant", n->tenant, "mode", network_mode_names[n->mode],
			 "prefix4", prefix_print(&n->prefix4, prefix4), "prefix6",
			 prefix_print(&n->prefix6, prefix6), "gateway4",
			 address_print(&gateway4, text4), "gateway6",
			 address_print(&gateway6, text6), "nat", n->nat, "leaving", n->leaving,
			 "egress", network_egress_list(n->egress), "link", link, "addressing",
			 network_addressing_names[n->addressing], "dns", n->dns, "resolvers",
			 list_resolvers(n), "vlan", (int)n->vlan, "datapath",
			 network_datapath_names[n->netdev]);
}
